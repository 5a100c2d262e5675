"""Every kind of controller over DDS: what it is sent while the arm holds, moves and stops."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Twist, TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger
from support.made_arms import MADE, MadeArm
from support.made_robot import GRIPPER, HEAD, JOINTS, LEAD_S, TRAJECTORY, contract
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.control.setpoints.senders import Command
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.controller.outputs import Outputs
from robomamba_ros.spatial.transforms import move_in_base
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    NANOSECONDS,
    ActionSpace,
    Pose,
    Setpoint,
)

# A base that is driven and a head that is positioned, beside an arm with trajectories.
DRIVEN = [
    TRAJECTORY,
    {'part': 'base', 'kind': 'twist', 'topic': 'cmd_vel', 'stamped': False},
    {'part': 'head', 'kind': 'forward_position', 'topic': 'head'},
    GRIPPER,
]


def with_a_head(made: MadeArm) -> list[dict[str, Any]]:
    """Return the joints of an arm's contract and one of a head."""
    return [*made.document()['joints'], {**HEAD, 'acceleration': 5.0}]


def times(message: JointTrajectory) -> np.ndarray:
    return np.array([nanoseconds(point.time_from_start) for point in message.points])


def positions(message: JointTrajectory) -> np.ndarray:
    return np.array([point.positions for point in message.points])


def check(message: JointTrajectory, names: list[str]) -> None:
    """Hold what every version of a joint_trajectory_controller asks of a trajectory."""
    assert list(message.joint_names) == names
    assert nanoseconds(message.header.stamp) == 0
    # Nothing lies nearer than half a period.
    assert times(message)[0] >= 5_000_000
    assert (np.diff(times(message)) > 0).all()
    for point in message.points:
        derivatives = (point.positions, point.velocities, point.accelerations)
        assert [len(each) for each in derivatives] == [len(names)] * 3
    assert list(message.points[-1].velocities) == [0.0] * len(names)


# Trajectories


def test_a_trajectory_controller_gets_a_hold_the_way_and_the_stop(start) -> None:
    robot = start([TRAJECTORY, GRIPPER])
    names, sent = MADE['six'].names, robot.peer.record(JointTrajectory, 'joint_trajectory', 10)
    robot.ready()
    robot.peer.wait_for(lambda: len(sent) == 1, 'the hold')
    (hold,) = sent
    assert positions(hold).tolist() == [JOINTS.tolist()]
    # It may want the joints a little elsewhere, and gets time to come from there.
    assert LEAD_S * NANOSECONDS < times(hold)[0] <= NANOSECONDS

    steps = 0.01 * np.arange(1, 41)[:, None] * np.ones(6)
    robot.send(JOINTS + steps, tuple(names), ActionSpace.JOINT_POSITION)
    robot.peer.wait_for(lambda: len(sent) > 4, 'the way')
    robot.wait_for('state', 'tracking')
    robot.enable(False)
    robot.wait_for('state', 'disabled')
    for message in sent:
        check(message, names)
    *way, stop = sent[1:]
    for message in way:
        # Three tenths of a second, and the stop after it; knots are a period of 10 ms apart.
        assert times(message)[-1] < 0.8e9
        assert (np.diff(times(message)) == 10_000_000).all()
        assert (positions(message) < JOINTS + 0.41).all()
    ends = [positions(message)[-1] for message in way]
    assert (np.diff(ends, axis=0) > 0.0).all()
    assert times(stop)[-1] < 0.8e9


def test_velocities_and_accelerations_are_those_of_the_positions(start) -> None:
    robot = start([TRAJECTORY, GRIPPER])
    sent = robot.peer.record(JointTrajectory, 'joint_trajectory', 10)
    robot.ready()
    wave = 0.3 * np.sin(0.2 * np.arange(40))[:, None] * np.linspace(1, -1, 6)
    robot.send(JOINTS + wave, tuple(MADE['six'].names), ActionSpace.JOINT_POSITION)
    robot.peer.wait_for(lambda: len(sent) > 4 and len(sent[-1].points) > 20, 'the way')
    velocities = np.array([point.velocities for point in sent[-1].points])
    accelerations = np.array([point.accelerations for point in sent[-1].points])
    # The first way is the controller's own; from there on accelerations change evenly.
    gained = (accelerations[1:] + accelerations[:-1]) / 2 * 0.01
    np.testing.assert_allclose(np.diff(velocities, axis=0), gained, atol=1e-9)
    curved = (2 * accelerations[:-1] + accelerations[1:]) / 6 * 0.01**2
    moved = velocities[:-1] * 0.01 + curved
    np.testing.assert_allclose(np.diff(positions(sent[-1]), axis=0), moved, atol=1e-9)
    assert np.abs(velocities).max() > 0.5
    assert np.abs(velocities).max() <= 2.0 + 1e-9


def test_a_base_and_a_head_get_trajectories_of_their_own(start) -> None:
    made = MADE['mobile']
    outputs = [TRAJECTORY, GRIPPER]
    outputs += [{'part': p, 'kind': 'joint_trajectory', 'topic': p} for p in ('base', 'head')]
    robot = start(outputs, made, np.full(5, 0.1), joints=with_a_head(made))
    parts = {
        'joint_trajectory': made.names,
        'base': ['odom_x', 'odom_y', 'odom_t'],
        'head': ['pan'],
    }
    sent = {name: robot.peer.record(JointTrajectory, name, 10) for name in parts}
    robot.ready()
    moves = ('odom_x', 'joint1', 'pan')
    robot.send(np.full((20, 3), 0.005), moves, ActionSpace.JOINT_DELTA)
    robot.peer.wait_for(lambda: all(len(m) > 4 for m in sent.values()), 'the ways')
    for name, names in parts.items():
        check(sent[name][-1], names)
        change = positions(sent[name][-1])[-1] - positions(sent[name][0])[0]
        moving = [joint in moves for joint in names]
        assert (np.abs(change) > 0.05).tolist() == moving


# Streams


def test_a_forward_controller_gets_every_position_in_order(start) -> None:
    outputs = [{'part': 'arm', 'kind': 'forward_position', 'topic': 'commands'}]
    outputs.append({'part': 'gripper', 'kind': 'forward_position', 'topic': 'fingers'})
    robot = start(outputs)
    sent = robot.peer.record(Float64MultiArray, 'forward_position', 100)
    fingers = robot.peer.record(Float64MultiArray, 'gripper', 100)
    robot.ready()
    robot.peer.wait_for(lambda: len(sent) > 2, 'the hold')
    assert sent[0].data.tolist() == JOINTS.tolist()
    actions = np.column_stack([JOINTS[1] + 0.01 * np.arange(1, 31), np.full(30, 0.25)])
    robot.send(actions, ('joint2', 'gripper'), ActionSpace.JOINT_POSITION)
    robot.wait_for('reason', 'action_chunk ran out')
    robot.peer.wait_for(lambda: sent[-1].data[1] > JOINTS[1] + 0.25, 'the end of the chunk')
    path = np.array([message.data for message in sent])
    assert np.array_equal(np.delete(path, 1, axis=1), np.tile(np.delete(JOINTS, 1), (len(path), 1)))
    assert path[:, 1].max() < JOINTS[1] + 0.31
    assert np.abs(np.diff(path[:, 1])).max() <= 2.0 * 0.01 + 1e-9
    assert fingers[-1].data.tolist() == [pytest.approx(0.01)]
    # A position each period of 10 ms, of which the chunk takes 150.
    assert int(robot.values()['forward_position_count']) > 150


def test_a_twist_moves_the_end_effector_and_ends_with_zero(start) -> None:
    made = MADE['six']
    outputs = [{'part': 'arm', 'kind': 'twist', 'topic': 'delta', 'stamped': True}, GRIPPER]
    inputs = {**made.document()['inputs'], 'ee_pose': {'topic': 'pose', 'budget_s': 1.0}}
    robot = start(outputs, inputs=inputs)
    begin = robot.pose = Pose(np.array([0.2, 0.1, 0.4]), np.array([0.0, 0.0, 0.0, 1.0]))
    sent: list[TwistStamped] = []

    def obey(message: TwistStamped) -> None:
        """Be moved by the twist for one control period."""
        sent.append(message)
        linear, angular = message.twist.linear, message.twist.angular
        way = 0.01 * np.array([linear.x, linear.y, linear.z])
        turn = 0.01 * np.array([angular.x, angular.y, angular.z])
        robot.pose = move_in_base(robot.pose, way, turn)

    robot.peer.node.create_subscription(TwistStamped, 'twist', obey, 100)
    robot.ready()
    actions = np.tile([0.004, 0.0, -0.002, 0.0, 0.0, 0.01], (30, 1))
    robot.send(actions, EE_DELTA_NAMES, ActionSpace.EE_DELTA)
    robot.wait_for('reason', 'action_chunk ran out')
    robot.peer.wait_for(lambda: robot.pose.position[0] > begin.position[0] + 0.1, 'the way')
    robot.enable(False)
    robot.wait_for('state', 'disabled')
    robot.peer.wait_for(lambda: sent[-1].twist == Twist(), 'the last twist')
    last = sent[-1]
    assert last.header.frame_id == 'base'
    assert abs(nanoseconds(last.header.stamp) - robot.now_ns()) < 60 * NANOSECONDS
    assert last.twist == Twist()
    speeds = [np.hypot(m.twist.linear.x, m.twist.linear.z) for m in sent]
    assert max(speeds) <= 1.0 + 1e-9
    assert max(speeds) > 0.08
    assert max(abs(m.twist.linear.y) for m in sent) < 0.01


def test_a_base_is_driven_in_its_own_frame_beside_trajectories_and_positions(start) -> None:
    robot = start(DRIVEN, MADE['mobile'], np.full(5, 0.1), joints=with_a_head(MADE['mobile']))
    robot.yaw = math.pi / 2
    sent = robot.peer.record(Twist, 'base', 100)
    head = robot.peer.record(Float64MultiArray, 'head', 100)
    robot.ready()
    robot.send(np.full((30, 2), [0.01, 0.005]), ('odom_x', 'pan'), ActionSpace.JOINT_DELTA)
    robot.peer.wait_for(lambda: any(twist.linear.y < -0.1 for twist in sent), 'the base to move')
    assert all(abs(twist.linear.x) < 1e-9 for twist in sent)
    robot.peer.wait_for(lambda: bool(head) and head[-1].data[0] > 0.02, 'the head to move')
    # Nobody says any more where the base is.
    robot.yaw = None
    values = robot.wait_for('reason', 'odometry is late')
    assert 'joint_states' not in values['reason']
    robot.wait_for('state', 'holding')
    robot.peer.wait_for(lambda: sent[-1] == Twist(), 'the base to stand')
    assert np.abs(np.diff([message.data[0] for message in head])).max() <= 1.0 * 0.01 + 1e-9


def test_outputs_come_to_rest_after_the_command_does(peer, tmp_path) -> None:
    arm = contract(tmp_path, DRIVEN, MADE['mobile'], joints=with_a_head(MADE['mobile']))
    sending = Outputs(
        peer.node,
        arm,
        {'gripper_output': 'contract', 'dry_run': False, 'mode': 'realtime'},
        lambda: peer.node.get_clock().now().nanoseconds,
        print,
        print,
    )
    assert sending.at_rest
    for tick in range(1, 4):
        positions = {joint.name: 0.001 * tick for joint in arm.joints}
        velocities = dict.fromkeys(positions, 0.1)
        setpoint = Setpoint(tick * arm.period_ns, None, 1.0, positions, velocities)
        sending.send(Command(setpoint, None, False, None))
    before, stops = dict(sending.counts), 0
    assert not sending.at_rest
    while not sending.at_rest:
        sending.stop()
        stops += 1
    # The average of 20 periods that keeps the jerk runs out.
    assert 20 <= stops < 40
    assert sending.counts['head'] == before['head'] + stops
    sending.destroy()


# Grippers


def test_a_gripper_of_trajectories_is_told_what_changes_and_no_more(start) -> None:
    gripper = {'part': 'gripper', 'kind': 'joint_trajectory', 'topic': 'hand', 'lead_s': 0.5}
    robot = start([TRAJECTORY, gripper])
    sent = robot.peer.record(JointTrajectory, 'gripper', 100)
    robot.ready()
    openings = np.concatenate([np.full(4, 1.0), np.full(3, 0.5), [0.495, 0.505], np.zeros(4)])
    robot.send(openings[:, None], ('gripper',), ActionSpace.JOINT_POSITION)
    robot.wait_for('reason', 'action_chunk ran out')
    robot.peer.wait_for(lambda: len(sent) >= 2, 'two commands')
    # It was open at first, and the small changes are not worth a command.
    assert [positions(m).tolist() for m in sent] == [[[0.02]], [[0.0]]]
    for message in sent:
        check(message, ['finger'])
        assert times(message).tolist() == [NANOSECONDS // 2]


def test_without_control_msgs_a_gripper_action_says_what_to_install(start, peer) -> None:
    if importlib.util.find_spec('control_msgs') is not None:
        pytest.skip('control_msgs is installed')
    action = {'part': 'gripper', 'kind': 'gripper_command', 'topic': 'grip', 'max_effort': 5.0}
    robot = start([TRAJECTORY, action], parameters={'autostart': False})
    robot.is_refused('apt install ros-$ROS_DISTRO-control-msgs')
    # What was made until then is gone.
    peer.wait_for(lambda: not peer.node.count_publishers('joint_trajectory'), 'the teardown')


def test_a_gripper_action_can_be_replaced_by_a_stream(start) -> None:
    action = {'part': 'gripper', 'kind': 'gripper_command', 'topic': 'grip', 'max_effort': 5.0}
    robot = start([TRAJECTORY, action], parameters={'gripper_output': 'joint_state'})
    sent = robot.peer.record(JointState, 'gripper', 100)
    robot.ready()
    robot.send(np.full((10, 1), 0.5), ('gripper',), ActionSpace.JOINT_POSITION)
    robot.peer.wait_for(lambda: bool(sent) and sent[-1].position[0] == 0.02, 'the opening')
    assert sent[-1].name == ['finger']


# Nothing moves


def test_a_dry_run_shows_everything_and_publishes_no_command(start, peer) -> None:
    robot = start([TRAJECTORY, GRIPPER], parameters={'dry_run': True})
    robot.ready()
    begin = robot.now_ns()
    for _ in range(2):
        robot.send(np.full((20, 1), 0.01), ('joint1',), ActionSpace.JOINT_DELTA)
        robot.wait_for('state', 'tracking')
        values = robot.wait_for('reason', 'action_chunk ran out')
    assert (robot.now_ns() - begin) / NANOSECONDS >= 2.0
    # The second chunk began where the arm is, not where the first one would have brought it.
    assert float(values['seam_jump_max_joint']) < 0.06
    assert int(values['observation_to_command_count']) == 2
    for topic in ('joint_trajectory', 'gripper'):
        assert peer.node.count_publishers(topic) == 0


def test_a_dry_run_goes_on_by_itself_after_a_stop(start) -> None:
    """As in a replay: what stops an arm waits for a person, and here there is no arm."""
    robot = start([TRAJECTORY, GRIPPER], parameters={'dry_run': True})
    robot.ready()
    for _ in range(2):
        robot.send(np.full((40, 1), 0.01), ('joint1',), ActionSpace.JOINT_DELTA)
        robot.wait_for('state', 'tracking')
        robot.silent = True
        robot.wait_for('reason', 'joint_states is late')
        robot.silent = False
        robot.wait_for('joint_states_age_s', '0.0')
    robot.send(np.full((40, 1), 0.01), ('joint1',), ActionSpace.JOINT_DELTA)
    robot.wait_for('state', 'tracking')


# What is missing


def test_the_arm_waits_for_its_urdf_and_says_so(start, peer) -> None:
    robot = start([TRAJECTORY, GRIPPER], urdf={'topic': 'robot_description'})
    publisher = peer.node.create_publisher(String, 'robot_description', qos.LATCHED)
    sent = peer.record(JointTrajectory, 'joint_trajectory', 10)
    robot.enable()
    robot.wait_for('reason', 'robot_description: nothing received yet')
    assert robot.values()['state'] == 'waiting'
    publisher.publish(String(data=MADE['seven'].urdf()))
    robot.wait_for('reason', "arm 'made' does not fit its URDF")
    assert sent == []
    publisher.publish(String(data=MADE['six'].urdf()))
    robot.wait_for('reason', 'no action_chunk yet')
    peer.wait_for(lambda: len(sent) == 1, 'the hold')


def test_a_text_that_is_no_urdf_ends_no_node_and_a_good_one_after_it_counts(start, peer) -> None:
    robot = start([TRAJECTORY, GRIPPER], urdf={'topic': 'robot_description'})
    publisher = peer.node.create_publisher(String, 'robot_description', qos.LATCHED)
    good = MADE['six'].urdf()
    axis = '<axis xyz="'
    robot.enable()
    for bad, reason in (
        (good.replace(axis, f'{axis}nan '), "the joint 'joint1' of the URDF has the axis xyz"),
        (good.replace('<robot', '<!DOCTYPE r [<!ENTITY a "b">]><robot'), 'declares XML entities'),
        (good.replace('</robot>', ''), 'is not XML'),
    ):
        publisher.publish(String(data=bad))
        robot.wait_for('reason', reason)
        assert robot.values()['state'] == 'waiting'
    publisher.publish(String(data=good))
    robot.wait_for('reason', 'no action_chunk yet')


@pytest.mark.parametrize('fault', ['nan', 'missing', 'twice'])
def test_joints_that_cannot_be_used_stop_the_arm(start, fault) -> None:
    robot = start([TRAJECTORY, GRIPPER])
    robot.ready()
    robot.send(np.full((100, 1), 0.004), ('joint1',), ActionSpace.JOINT_DELTA)
    robot.wait_for('state', 'tracking')
    if fault == 'nan':
        robot.joints['joint3'] = math.nan
    elif fault == 'missing':
        del robot.joints['joint3']
    else:
        robot.again = ['joint3']
    values = robot.wait_for('reason', 'joint_states is late')
    assert values['reason'].endswith('enable to move again')
    robot.wait_for('state', 'holding')


def test_parts_that_no_command_reaches_are_refused(start, peer) -> None:
    outputs = [{'part': 'arm', 'kind': 'target_pose', 'topic': 'target'}, GRIPPER]
    outputs.append({'part': 'head', 'kind': 'forward_position', 'topic': 'head'})
    robot = start(outputs, parameters={'autostart': False}, joints=with_a_head(MADE['six']))
    robot.is_refused("say nothing about its part 'head'")


def test_a_reset_begins_again_from_where_the_arm_is(start, peer) -> None:
    robot = start([TRAJECTORY, GRIPPER])
    sent = peer.record(JointTrajectory, 'joint_trajectory', 10)
    robot.ready()
    peer.wait_for(lambda: len(sent) == 1, 'the hold')
    robot.joints['joint1'] += 0.1
    robot.wait_for('state', 'waiting')
    assert peer.call(Trigger, 'controller_node/reset', Trigger.Request()).success
    peer.wait_for(lambda: len(sent) == 2, 'another hold')
    assert positions(sent[1])[0, 0] == pytest.approx(JOINTS[0] + 0.1)
