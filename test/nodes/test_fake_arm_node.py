"""The fake arm alone over DDS: what it publishes, takes, refuses and says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, Twist
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64, String
from std_srvs.srv import SetBool, Trigger
from support.dds_bench import FOLDER
from support.patience import PATIENCE_S
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from robomamba_ros.messages.images import camera_to_rgb, depth_to_metres, image_to_rgb
from robomamba_ros.messages.state import nanoseconds, pose_from_stamped
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import (
    duration_message,
    gripper_command,
    pose_to_stamped,
    time_message,
)
from robomamba_ros.nodes.fake_arm.fake_arm_node import FakeArmNode
from robomamba_ros.nodes.fake_arm.publishers import MARKER_MM, WALL_MM
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.simulation.camera_encodings import encode
from robomamba_ros.simulation.color_bars import BARS, ColorBars
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.spatial.transforms import move_in_base
from robomamba_ros.types import NANOSECONDS

SMALL = {'camera_width': 96, 'camera_height': 64}


def bars(rgb: np.ndarray) -> list[tuple[int, ...]]:
    """Return the colours of the bars, from left to right."""
    columns = ((np.arange(len(BARS)) + 0.5) * rgb.shape[1] / len(BARS)).astype(int)
    return [tuple(pixel) for pixel in rgb[4, columns].tolist()]


def values(diagnostics) -> dict[str, str]:
    found = [s for message in diagnostics for s in message.status if s.name == 'fake_arm_node']
    return {value.key: value.value for value in found[-1].values} if found else {}


def trajectory(arm, change: float, seconds: float) -> JointTrajectory:
    """Return a way of all joints from rest, by `change`, to rest."""
    joints = arm.joints_of('arm')
    point = JointTrajectoryPoint(
        positions=[joint.rest + change for joint in joints],
        velocities=[0.0] * len(joints),
        time_from_start=duration_message(round(seconds * NANOSECONDS)),
    )
    return JointTrajectory(joint_names=[joint.name for joint in joints], points=[point])


def publisher(peer, kind, topic):
    made = peer.node.create_publisher(kind, topic, qos.COMMAND)
    peer.wait_for(lambda: made.get_subscription_count() == 1, f'the fake arm on {topic}')
    return made


@pytest.fixture
def arm_node(host, peer) -> Callable[..., FakeArmNode]:
    """Start a fake arm in simulated time, which goes on by a period once the arm has moved."""

    def run(arm: ArmContract, **parameters: Any) -> None:
        made: list[FakeArmNode] = []
        now_ns = 1000 * NANOSECONDS
        clock = peer.node.create_publisher(Clock, '/clock', qos.CLOCK)

        def make(**options: Any) -> FakeArmNode:
            made.append(FakeArmNode(**options))
            return made[0]

        def tell() -> None:
            nonlocal now_ns
            fake = made[0].fake if made else None
            if fake is not None and fake.now_ns >= now_ns:
                now_ns += arm.period_ns
            # Best effort, as /clock is: it is said again while it is waited for.
            clock.publish(Clock(clock=time_message(now_ns)))

        peer.node.create_timer(0.004, tell)
        host((make, {'arm': arm.name, 'use_sim_time': True, **SMALL, **parameters}))

    return run


def test_it_follows_a_trajectory_and_measures_it(arm_node, peer) -> None:
    arm = load_arm('franka_panda')
    arm_node(arm)
    states = peer.record(JointState, 'joint_states', qos.STATE)
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    peer.wait_for(lambda: bool(states), 'joint states')
    assert list(states[0].name) == [*(j.name for j in arm.joints), 'panda_finger_joint1']
    assert list(states[0].position) == [*(j.rest for j in arm.joints), 0.039]
    assert list(states[0].velocity) == [0.0] * 8

    publisher(peer, JointTrajectory, 'joint_trajectory').publish(trajectory(arm, 0.1, 0.5))
    peer.wait_for(lambda: abs(states[-1].position[0] - 0.1) < 1e-9, 'the end of the way')
    assert any(state.velocity[0] > 0.0 for state in states)
    assert np.diff([nanoseconds(state.header.stamp) for state in states]).min() > 0
    peer.wait_for(lambda: values(diagnostics).get('arm_arrived') == 'True', 'the arrival')
    found = values(diagnostics)
    assert (found['arm_commands'], 'arm_refused' in found) == ('1', False)
    # Halfway of the cubic from rest to rest: 1.5 times the mean speed, up to a period slower.
    speed = 0.3 / max(joint.velocity for joint in arm.joints if joint.name == 'panda_joint4')
    assert float(found['arm_velocity_share']) == pytest.approx(0.99 * speed, rel=0.015)
    assert found['arm_velocity_of'] == 'panda_joint4'
    levels = [s for s in diagnostics[-1].status if s.name == 'fake_arm_node']
    assert levels[-1].message == 'every command was within its limits'

    # A way back at once: beyond the limits, which it says; after a reset it is at rest again.
    publisher(peer, JointTrajectory, 'joint_trajectory').publish(trajectory(arm, 0.5, 0.05))
    peer.wait_for(
        lambda: 'times its limit' in diagnostics[-1].status[0].message, 'a limit to be exceeded'
    )
    assert peer.call(Trigger, 'fake_arm_node/reset', Trigger.Request()).success
    peer.wait_for(lambda: states[-1].position[0] == 0.0, 'the reset')
    peer.wait_for(lambda: 'arm_commands' not in values(diagnostics[-1:]), 'the counts to be reset')


def test_what_it_refuses_it_says_and_counts(arm_node, peer, capfd) -> None:
    arm = load_arm('franka_fr3')
    arm_node(arm)
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    arm_topic = publisher(peer, JointTrajectory, 'joint_trajectory')
    for joints, reason in ((['fr3_joint1'], 'not those of the controller'), (None, 'efforts')):
        message = trajectory(arm, 0.1, 0.5)
        if joints is None:
            message.points[0].effort = [1.0]
        else:
            message.joint_names = joints
        arm_topic.publish(message)
        peer.wait_for(lambda r=reason: r in values(diagnostics).get('arm_refusal', ''), reason)
    assert values(diagnostics)['arm_refused'] == '2'
    gripper = publisher(peer, JointState, 'gripper')
    gripper.publish(JointState(name=['thumb'], position=[0.0]))
    peer.wait_for(lambda: 'lacks fr3_finger_joint1' in str(values(diagnostics)), 'the gripper')

    def many() -> bool:
        gripper.publish(JointState(name=['thumb'], position=[0.0]))
        return int(values(diagnostics)['gripper_refused']) >= 10

    peer.wait_for(many, 'more of them')
    logged = ''.join(capfd.readouterr())
    assert 'lacks fr3_finger_joint1' in logged
    assert '(10 times by now)' in logged


def test_it_is_stopped_moved_and_switched_by_services(arm_node, peer) -> None:
    arm = load_arm('franka_panda')
    options = {'disagree': 'lag_s=0.02,split_states=true', 'speed_scaling': 0.5}
    arm_node(arm, **options)
    states = peer.record(JointState, 'joint_states', qos.STATE)
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    peer.wait_for(lambda: len(states) > 1, 'joint states')
    assert {tuple(state.name) for state in states} == {
        arm.names_of('gripper'),
        arm.names_of('arm'),
    }

    def second() -> float:
        return [state for state in states if len(state.name) > 1][-1].position[1]

    def set_to(name: str, on: bool) -> None:
        request = SetBool.Request(data=on)
        assert peer.call(SetBool, f'fake_arm_node/{name}', request).success

    commands = publisher(peer, JointTrajectory, 'joint_trajectory')
    set_to('emergency_stop', True)
    commands.publish(trajectory(arm, 0.1, 0.1))
    peer.wait_for(lambda: 'is not active' in values(diagnostics).get('arm_refusal', ''), 'refusal')
    peer.wait_for(lambda: values(diagnostics)['stopped'] == 'emergency_stop', 'the stop')
    set_to('emergency_stop', False)
    # A hand moves the second joint; nothing was commanded, and still it moved.
    rest = second()
    assert peer.call(Trigger, 'fake_arm_node/hand', Trigger.Request()).success
    peer.wait_for(lambda: second() == pytest.approx(rest + 0.3), 'the hand')
    set_to('controllers', True)
    peer.wait_for(lambda: float(values(diagnostics)['arm_moved_velocity_share']) > 0.1, 'motion')
    assert float(values(diagnostics)['arm_velocity_share']) == 0.0
    # Somebody else brings it back, half as fast and with a lag.
    assert peer.call(Trigger, 'fake_arm_node/other_commander', Trigger.Request()).success
    peer.wait_for(lambda: second() == pytest.approx(rest + 0.6, abs=1e-6), 'the other commander')
    set_to('measuring', False)


def test_it_says_what_interlocks_and_speed_scaling_listen_to(host, peer, tmp_path) -> None:
    document = yaml.safe_load((FOLDER / 'ur5e.yaml').read_text())
    document['interlocks'] = [
        {
            'name': 'running',
            'topic': 'program_running',
            'type': 'std_msgs/msg/Bool',
            'field': 'data',
            'allowed': [True],
            'latched': True,
        }
    ]
    document['speed_scaling'] = {'topic': 'scaling', 'budget_s': 1.0}
    path = tmp_path / 'ur5e.yaml'
    path.write_text(yaml.safe_dump(document))
    host((FakeArmNode, {'arm': str(path), 'speed_scaling': 0.5, **SMALL}))
    said = peer.record(Bool, 'interlock/running', qos.LATCHED)
    scales = peer.record(Float64, 'speed_scaling', qos.STATE)
    peer.wait_for(lambda: bool(said and scales), 'what it says')
    assert said[-1].data
    assert scales[-1].data == 50.0
    for stopped in (True, False):
        request = SetBool.Request(data=stopped)
        assert peer.call(SetBool, 'fake_arm_node/protective_stop', request).success
        peer.wait_for(lambda on=stopped: said[-1].data is not on, 'the interlock')
        expected = 0.0 if stopped else 50.0
        peer.wait_for(lambda value=expected: scales[-1].data == value, 'the scaling')


def test_what_cannot_be_a_disagreement_ends_the_node(peer, alone) -> None:
    for text, reason in (
        ('lag=1', "did you mean 'lag_s'"),
        ('speed_scaling=0.5', 'speed_scaling, which is a parameter of the node itself'),
    ):
        node = alone(FakeArmNode, disagree=text, arm='ur5e')
        peer.also_spin(node)
        peer.wait_for(lambda node=node: bool(node.fatal), 'the reason')
        assert reason in node.fatal


def test_a_camera_shows_its_encoding_with_depth_and_intrinsics(arm_node, peer) -> None:
    arm = load_arm('franka_fr3')
    (camera,) = arm.cameras
    arm_node(arm)
    images = peer.record(Image, 'camera/wrist/image', qos.CAMERA)
    depths = peer.record(Image, 'camera/wrist/depth', qos.CAMERA)
    infos = peer.record(CameraInfo, 'camera/wrist/camera_info', qos.CAMERA)
    peer.wait_for(lambda: bool(images and depths and infos), 'image, depth and camera_info')
    assert bars(camera_to_rgb(images[0], camera)) == [color for _, color in BARS]
    depth = depth_to_metres(depths[0])
    assert depth.shape == (64, 96)
    assert sorted(set(np.unique(depth).round(4))) == [MARKER_MM / 1e3, WALL_MM / 1e3]
    assert (infos[0].width, infos[0].height) == (96, 64)
    # 60 degrees from top to bottom.
    assert infos[0].k[4] == pytest.approx(32.0 / np.tan(np.deg2rad(30.0)))
    frames = {message[0].header.frame_id for message in (images, depths, infos)}
    assert frames == {'wrist_optical_frame'}


def test_compressed_cameras_are_jpeg(arm_node, peer) -> None:
    arm = load_arm('so101')
    arm_node(arm)
    images = peer.record(CompressedImage, 'camera/front/image/compressed', qos.CAMERA)
    peer.wait_for(lambda: bool(images), 'an image')
    rgb = camera_to_rgb(images[0], arm.cameras[1])
    expected = [color for _, color in BARS]
    assert np.abs(np.array(bars(rgb)) - np.array(expected)).max() < 30


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'])
def test_every_encoding_is_read_back_as_it_was(encoding) -> None:
    picture = ColorBars('wrist', 64, 48).at(0)
    pixels = encode(picture, encoding)
    message = Image(height=48, width=64, encoding=encoding, step=64 * pixels.shape[2])
    message.data = pixels.tobytes()
    read = image_to_rgb(message)
    if encoding == 'mono8':
        # Red, green and blue count by 0.299, 0.587 and 0.114.
        assert bars(read)[1] == (210, 210, 210)
        assert [value for value, _, _ in bars(read)] == sorted(
            (value for value, _, _ in bars(read)), reverse=True
        )
    else:
        assert np.array_equal(read, picture)


def test_a_mobile_robot_drives_and_its_description_has_no_base(arm_node, peer) -> None:
    arm = load_arm('hsr')
    arm_node(arm)
    states = peer.record(JointState, 'joint_states', qos.STATE)
    odometry = peer.record(Odometry, 'odometry', qos.STATE)
    descriptions = peer.record(String, 'robot_description', qos.LATCHED)
    base = publisher(peer, Twist, 'base')
    peer.wait_for(lambda: bool(states and odometry and descriptions), 'what it publishes')
    assert 'odom_x' not in states[0].name
    assert 'head_pan_joint' in states[0].name
    assert descriptions[0].data == made_up_urdf(arm)
    twist = Twist()
    twist.linear.x, twist.angular.z = 0.1, 0.5
    base.publish(twist)
    peer.wait_for(
        lambda: (
            odometry[-1].pose.pose.orientation.z > 0.1 and odometry[-1].twist.twist.linear.x == 0.0
        ),
        'a turn, and the base to stop by itself',
    )
    assert odometry[-1].pose.pose.position.x == pytest.approx(0.05, abs=0.004)
    assert odometry[-1].header.frame_id == 'odom'
    # In its footprint it goes ahead, whatever its heading.
    moving = [o.twist.twist.linear for o in odometry if o.twist.twist.linear.x > 0.0]
    assert all(v.x == pytest.approx(0.1, abs=1e-3) for v in moving)
    assert all(v.y == pytest.approx(0.0, abs=2e-3) for v in moving)


def test_an_arm_commanded_by_poses_goes_there_and_its_gripper_closes(arm_node, peer) -> None:
    arm = load_arm('sawyer_sim')
    arm_node(arm)
    poses = peer.record(PoseStamped, 'ee_pose', qos.STATE)
    states = peer.record(JointState, 'joint_states', qos.STATE)
    targets = publisher(peer, PoseStamped, 'target_pose')
    peer.wait_for(lambda: bool(poses), 'a pose')
    goal = move_in_base(pose_from_stamped(poses[0], 'base'), np.full(3, 0.02), np.zeros(3))
    targets.publish(pose_to_stamped(goal, 0, 'base'))
    peer.wait_for(
        lambda: np.abs(pose_from_stamped(poses[-1], 'base').position - goal.position).max() < 1e-4,
        'the arm to arrive',
    )
    publisher(peer, JointState, 'gripper').publish(gripper_command(0.0, 0, arm))
    peer.wait_for(lambda: bool(states) and states[-1].position[-1] == 0.0, 'the gripper to close')


def test_a_urdf_is_taken_where_one_is_given(host, peer, tmp_path) -> None:
    path = tmp_path / 'mine.urdf'
    path.write_text('<robot name="mine"><link name="fr3_link0"/></robot>')
    host((FakeArmNode, {'arm': 'franka_fr3', 'urdf': str(path), **SMALL}))
    descriptions = peer.record(String, 'robot_description', qos.LATCHED)
    peer.wait_for(lambda: bool(descriptions), 'the description')
    assert descriptions[0].data == path.read_text()


@pytest.mark.parametrize(
    ('parameters', 'reason'),
    [
        ({'arm': 'franka_fr4'}, "there is no 'franka_fr4'"),
        ({'urdf': '/nowhere/arm.urdf'}, "the parameter 'urdf' names a file that cannot be read"),
        ({'camera_rate': 0.0}, "'camera_rate' must lie within"),
    ],
)
def test_a_wrong_parameter_ends_it_with_a_reason(host, parameters, reason) -> None:
    started = host((FakeArmNode, parameters))
    assert started.wait(PATIENCE_S)
    assert reason in started.failures[0]
