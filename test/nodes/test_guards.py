"""What must hold for an arm to be moved, over real topics: who says it, and what its end does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus, GoalStatusArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool, Float64, Float64MultiArray
from std_srvs.srv import SetBool, Trigger
from support.made_arms import MADE
from support.made_robot import GRIPPER, TRAJECTORY, Robot
from support.motion import STREAM, Commands, go
from trajectory_msgs.msg import (
    JointTrajectory,
    JointTrajectoryPoint,
    MultiDOFJointTrajectory,
    MultiDOFJointTrajectoryPoint,
)

from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import duration_message
from robomamba_ros.nodes.controller.control_clock import ControlClock
from robomamba_ros.nodes.controller.control_cycle import ControlCycle
from robomamba_ros.nodes.controller.controller_watch import ActivityWatch, inactive
from robomamba_ros.nodes.controller.interlocks import field_of
from robomamba_ros.types import NANOSECONDS, ActionSpace

RUNNING = {
    'name': 'running',
    'topic': 'running',
    'type': 'std_msgs/msg/Bool',
    'field': 'data',
    'allowed': [True],
    'latched': True,
}
DEAD_MAN = {
    'name': 'dead_man',
    'topic': 'joy',
    'type': 'sensor_msgs/msg/Joy',
    'field': 'buttons[4]',
    'allowed': [1],
    'budget_s': 1.0,
}
ABSENT = {**DEAD_MAN, 'name': 'mode', 'type': 'franka_msgs/msg/FrankaRobotState', 'field': 'mode'}


@pytest.fixture
def moving(start, peer) -> Callable[..., tuple[Robot, Commands]]:
    """Start a robot and a controller, and return them once the arm moves."""

    def run(**changes: Any) -> tuple[Robot, Commands]:
        robot = start(STREAM, **changes)
        commands = Commands(robot)
        robot.ready()
        go(robot, commands)
        return robot, commands

    return run


def refusal(robot: Robot) -> str:
    """Return why the controller cannot be enabled now; '' where it can."""
    response = robot.peer.call(SetBool, 'controller_node/enable', SetBool.Request(data=True))
    return '' if response.success else response.message


def wait_for_refusal(robot: Robot, reason: str) -> None:
    said = ['']

    def refused() -> bool:
        said[0] = refusal(robot)
        return reason in said[0]

    try:
        robot.peer.wait_for(refused, reason)
    except AssertionError as error:
        raise AssertionError(f'{error}; it is {said[0]!r}') from None


def holds(robot: Robot, commands: Commands, reason: str) -> None:
    """Wait until the arm holds for this reason; it came to rest within its limits.

    The command then goes to where this arm is, which has not moved: enabled before that, it would
    begin with a jump.
    """
    robot.wait_for('reason', reason)
    robot.wait_for('state', 'holding')
    here = [robot.joints[name] for name in MADE['six'].names]
    robot.peer.wait_for(lambda: np.allclose(commands.path[-1], here), 'the command to return')
    commands.check()


def test_an_interlock_is_waited_for_stops_the_arm_and_never_moves_it_again(start, peer) -> None:
    robot = start(STREAM, interlocks=[RUNNING, {**ABSENT, 'optional': True}])
    wait_for_refusal(robot, 'interlock running: nothing received yet on /interlock/running')
    running = peer.node.create_publisher(Bool, 'interlock/running', qos.LATCHED)
    running.publish(Bool(data=False))
    wait_for_refusal(robot, 'interlock running: data is False, allowed: True')
    running.publish(Bool(data=True))
    commands = Commands(robot)
    robot.ready()
    go(robot, commands)
    running.publish(Bool(data=False))
    holds(robot, commands, 'interlock running: data is False')
    running.publish(Bool(data=True))
    robot.peer.wait_for(lambda: robot.values()['interlocks'] == '', 'the interlock to be free')
    assert robot.values()['state'] == 'holding'
    robot.peer.wait_for(lambda: refusal(robot) == '', 'the command to come to rest')
    # Whoever said so has gone: it counts no longer.
    peer.node.destroy_publisher(running)
    robot.wait_for('interlocks', 'interlock running: nothing received yet')


def test_a_button_has_to_be_held_and_its_sleep_lets_go(start, peer) -> None:
    robot = start(STREAM, interlocks=[DEAD_MAN])
    joy = peer.node.create_publisher(Joy, 'interlock/dead_man', 10)
    held = [0] * 4
    timer = peer.node.create_timer(0.02, lambda: joy.publish(Joy(buttons=held)))
    wait_for_refusal(robot, 'interlock dead_man: has no buttons[4] on /interlock/dead_man')
    held.append(0)
    wait_for_refusal(robot, 'interlock dead_man: buttons[4] is 0, allowed: 1')
    held[4] = 1
    commands = Commands(robot)
    robot.ready()
    go(robot, commands)
    timer.cancel()
    holds(robot, commands, 'interlock dead_man: /interlock/dead_man is late')


def test_a_message_package_that_is_missing_is_named_and_refuses(start) -> None:
    robot = start(STREAM, interlocks=[ABSENT])
    wait_for_refusal(robot, 'interlock mode: franka_msgs/msg/FrankaRobotState is not installed')
    assert 'apt install ros-$ROS_DISTRO-franka-msgs' in refusal(robot)


def test_speed_scaling_that_is_not_told_refuses(start, peer) -> None:
    robot = start(STREAM, speed_scaling={'topic': 'scaling', 'budget_s': 1.0})
    robot.wait_for('interlocks', 'speed scaling: nothing received yet on /speed_scaling')
    scaling = peer.node.create_publisher(Float64, 'speed_scaling', 10)
    percent = [170.0]
    peer.node.create_timer(0.02, lambda: scaling.publish(Float64(data=percent[0])))
    robot.wait_for('interlocks', 'the speed scaling is 1.7, allowed: 0 to 1 on /speed_scaling')
    percent[0] = 50.0
    robot.peer.wait_for(lambda: robot.values()['interlocks'] == '', 'the scaling to be taken')


def test_another_commander_stops_the_arm_and_is_named(moving, peer) -> None:
    robot, commands = moving()
    other = Node('teleoperation', start_parameter_services=False)
    other.create_publisher(Float64MultiArray, 'forward_position', qos.COMMAND)
    named = '/forward_position has 2 publishers, /controller_node, /teleoperation: end all but one'
    holds(robot, commands, named)
    wait_for_refusal(robot, named)
    other.destroy_node()
    robot.peer.wait_for(lambda: refusal(robot) == '', 'the other to be gone')
    # Two policies are two commanders too.
    go(robot, commands)
    peer.node.create_publisher(JointTrajectory, 'joint_chunk', qos.COMMAND)
    holds(robot, commands, '/joint_chunk has 2 publishers, /peer, /peer')


def test_another_commander_of_trajectories_takes_the_arm_and_no_stop_fights_with_it(
    start, peer
) -> None:
    robot = start([TRAJECTORY, GRIPPER])
    sent = peer.record(JointTrajectory, 'joint_trajectory', 10)
    robot.ready()
    # To and fro for a minute of the robot's time, in which the other one is seen.
    way = 0.02 * np.cos(0.2 * np.arange(1200))[:, None]
    robot.send(way, ('joint1',), ActionSpace.JOINT_DELTA)
    robot.wait_for('state', 'tracking')
    other = peer.node.create_publisher(JointTrajectory, 'joint_trajectory', qos.COMMAND)
    named = '/joint_trajectory has 2 publishers, /controller_node, /peer: end all but one'
    robot.wait_for('reason', named)
    assert robot.values()['state'] == 'holding'
    count = int(robot.values()['joint_trajectory_count'])
    peer.wait_for(lambda: len(sent) == count, 'all that was sent')
    # It comes to rest by what it has, from where it still was told to move.
    assert any(sent[-1].points[0].velocities)
    assert not any(sent[-1].points[-1].velocities)
    peer.node.destroy_publisher(other)
    robot.peer.wait_for(lambda: refusal(robot) == '', 'the other to be gone')
    assert int(robot.values()['joint_trajectory_count']) == count


def test_a_goal_of_somebody_else_takes_the_arm_and_nothing_more_is_sent(start, peer) -> None:
    """As MoveIt does, by the action of the controller; a stop would fight with it."""
    robot = start([TRAJECTORY, GRIPPER])
    sent = peer.record(JointTrajectory, 'joint_trajectory', 10)
    running = peer.node.create_publisher(
        GoalStatusArray, 'peer/follow_joint_trajectory/_action/status', qos.LATCHED
    )
    robot.ready()
    robot.send(np.full((80, 1), 0.01), ('joint1',), ActionSpace.JOINT_DELTA)
    robot.peer.wait_for(lambda: robot.values()['state'] == 'tracking', 'the arm to be moved')
    goal = GoalStatus(status=GoalStatus.STATUS_EXECUTING)
    running.publish(GoalStatusArray(status_list=[goal]))
    named = 'somebody else moves the arm by /peer/follow_joint_trajectory: end that goal'
    robot.wait_for('reason', named)
    assert robot.values()['state'] == 'holding'
    count = robot.values()['joint_trajectory_count']
    wait_for_refusal(robot, named)
    assert robot.values()['joint_trajectory_count'] == count
    goal.status = GoalStatus.STATUS_SUCCEEDED
    running.publish(GoalStatusArray(status_list=[goal]))
    robot.peer.wait_for(lambda: refusal(robot) == '', 'the goal to end')
    assert sent


@pytest.fixture
def controller(ros, peer) -> Any:
    """A joint_trajectory_controller as far as it can be asked."""
    node = Node('arm_controller')
    node.declare_parameter('joints', MADE['six'].names)
    node.declare_parameter('interpolate_from_desired_state', False)
    peer.also_spin(node)
    yield node
    node.destroy_node()


def test_a_controller_under_whose_settings_limits_do_not_hold_is_refused(
    start, peer, controller
) -> None:
    read = {**TRAJECTORY, 'controller_settings': 'read'}
    robot = start([read, GRIPPER])
    wait_for_refusal(robot, 'nobody listens on /joint_trajectory: start and activate the contr')
    # A recorder reads along, and says nothing about what limits do.
    peer.record(JointTrajectory, 'joint_trajectory', 10)
    wait_for_refusal(robot, '/peer on /joint_trajectory: its settings cannot be read')
    controller.create_subscription(JointTrajectory, 'joint_trajectory', lambda _: None, 10)
    wait_for_refusal(robot, '/arm_controller has interpolate_from_desired_state false')
    assert (
        'write `interpolate_from_desired_state: true` under `arm_controller: ros__parameters:`'
        in refusal(robot)
    )
    controller.set_parameters([Parameter('interpolate_from_desired_state', value=True)])
    robot.peer.wait_for(lambda: refusal(robot) == '', 'the new setting to be read')
    # What is set wrong while the arm is enabled stops it.
    controller.set_parameters([Parameter('joints', value=MADE['six'].names[:5])])
    robot.wait_for('reason', '/arm_controller moves joint1, joint2')


def test_positions_for_joints_in_another_order_are_refused(start, peer, controller) -> None:
    robot = start(STREAM)
    robot.ready()
    controller.create_subscription(Float64MultiArray, 'forward_position', lambda _: None, 10)
    names = MADE['six'].names
    controller.set_parameters([Parameter('joints', value=[*names[1:], names[0]])])
    robot.wait_for('reason', '/arm_controller has the order joint2, joint3')
    wait_for_refusal(robot, 'positions are sent as joint1, joint2')
    controller.set_parameters([Parameter('joints', value=names)])
    robot.peer.wait_for(lambda: refusal(robot) == '', 'the new order to be read')


def test_a_controller_that_is_not_active_is_named() -> None:
    states = {'/arm_controller': 'inactive', '/left/arm_controller': 'active'}
    readers = ['/left/arm_controller', '/arm_controller', '/recorder']
    assert inactive(readers, states) == [
        '/arm_controller is inactive: ros2 control set_controller_state arm_controller active'
    ]


class Managed:
    """A node beside a controller_manager, whose messages no wheel has: what is asked of both."""

    def __init__(self) -> None:
        self.state, self.ready, self.calls = 'active', True, 0
        self.srv_type = SimpleNamespace(Request=object)

    def get_fully_qualified_name(self) -> str:
        return '/controller_node'

    def get_service_names_and_types(self) -> list[tuple[str, list[str]]]:
        return [('/left/controller_manager/list_controllers', ['made_msgs/srv/ListControllers'])]

    def get_subscriptions_info_by_topic(self, topic: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(node_namespace='/left', node_name='arm_controller')]

    def create_client(self, kind: object, name: str) -> Managed:
        return self

    def destroy_client(self, client: object) -> None:
        self.ready = False

    def service_is_ready(self) -> bool:
        return self.ready

    def call_async(self, request: object) -> Future:
        self.calls += 1
        answer = Future()
        controller = SimpleNamespace(name='arm_controller', state=self.state)
        answer.set_result(SimpleNamespace(controller=[controller]))
        return answer


def test_a_controller_manager_is_asked_again_and_again(monkeypatch) -> None:
    kinds = SimpleNamespace(ListControllers=object)
    monkeypatch.setitem(sys.modules, 'made_msgs', SimpleNamespace(srv=kinds))
    monkeypatch.setitem(sys.modules, 'made_msgs.srv', kinds)
    node, missing = Managed(), []
    watch = ActivityWatch(node, ('joint_trajectory',), missing.append)
    watch.look()
    assert watch.problem() == ''
    node.state = 'inactive'
    watch.look()
    assert watch.problem() == (
        '/left/arm_controller is inactive: ros2 control set_controller_state arm_controller active'
    )
    node.state = 'active'
    watch.look()
    assert watch.problem() == ''
    assert node.calls == 3
    assert missing == []


def test_a_controller_manager_that_cannot_be_asked_is_named_once() -> None:
    missing: list[Exception] = []
    watch = ActivityWatch(Managed(), ('joint_trajectory',), missing.append)
    for _ in range(8):
        watch.look()
    assert watch.problem() == ''
    (said,) = missing
    assert 'made_msgs/srv/ListControllers is not installed here' in str(said)


def test_a_stop_of_anybody_needs_an_enable(moving) -> None:
    robot, commands = moving()
    answer = robot.peer.call(Trigger, 'controller_node/stop', Trigger.Request())
    assert answer.success
    assert 'stopped by ~/stop; enable to move again' in answer.message
    holds(robot, commands, 'stopped by ~/stop')
    robot.peer.wait_for(lambda: refusal(robot) == '', 'the command to come to rest')


def change(robot: Robot, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(robot.peer.call(ChangeState, 'controller_node/change_state', request).success)


def test_every_way_out_brakes_first(moving) -> None:
    robot, commands = moving()
    assert not change(robot, Transition.TRANSITION_ACTIVATE)
    assert commands.moving
    assert change(robot, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    gone = partial(robot.peer.node.count_publishers, 'forward_position')
    robot.peer.wait_for(lambda: gone() == 0, 'the outputs to go')
    # The last commands may come after the news of that.
    robot.peer.wait_for(
        lambda: np.array_equal(commands.path[-1], commands.path[-2]), 'commands that end at rest'
    )
    commands.check()


def test_an_exception_that_nobody_has_foreseen_brakes_and_is_said(moving, monkeypatch) -> None:
    robot, commands = moving()

    def break_down(*_: Any) -> None:
        raise ValueError('nobody has foreseen this')

    monkeypatch.setattr(ControlCycle, '_follow', break_down)
    robot.send(np.full((5, 1), 0.01), ('joint1',), ActionSpace.JOINT_DELTA)
    holds(robot, commands, 'internal error, ValueError: nobody has foreseen this; enable to')
    monkeypatch.undo()
    robot.peer.wait_for(lambda: refusal(robot) == '', 'the command to come to rest')
    go(robot, commands)
    commands.check()


def test_a_chunk_without_channels_is_refused_and_nothing_stops(moving, peer) -> None:
    robot, commands = moving()
    due = duration_message(50_000_000)
    targets = MultiDOFJointTrajectory(
        joint_names=['joint_delta'],
        points=[MultiDOFJointTrajectoryPoint(time_from_start=due)],
    )
    targets.header.frame_id = 'base'
    for publisher, message in zip(
        robot._chunks,
        (targets, JointTrajectory(points=[JointTrajectoryPoint(time_from_start=due)])),
        strict=True,
    ):
        publisher.publish(message)
    robot.wait_for('reason', 'action_chunk ran out')
    commands.check()


def test_a_system_clock_that_is_set_back_stops_the_arm(moving, monkeypatch) -> None:
    robot, commands = moving()
    monkeypatch.setattr(ControlClock, 'jump_s', lambda _: -20.0)
    holds(robot, commands, 'the system clock was set by -20.000 s; enable to move again')
    answer = robot.peer.call(SetBool, 'controller_node/enable', SetBool.Request(data=False))
    assert answer.success
    robot.wait_for('state', 'disabled')


def test_the_source_of_time_cannot_be_changed(start) -> None:
    robot = start(STREAM)
    parameters = [Parameter('use_sim_time', value=False).to_parameter_msg()]
    request = SetParameters.Request(parameters=parameters)
    answer = robot.peer.call(SetParameters, 'controller_node/set_parameters', request)
    assert [result.successful for result in answer.results] == [False]
    assert "'use_sim_time' cannot be changed while the node is up" in answer.results[0].reason


class TwoClocks(ControlClock):
    """A control clock whose two clocks a test sets."""

    def __init__(self) -> None:
        self.simulated, self.step_ns = False, None
        self.steady_ns, self.system_ns = 0, 1000 * NANOSECONDS
        self._steady_ns, self._offset_ns = 0, self.system_ns

    def _steady(self) -> int:  # type: ignore[override]
        return self.steady_ns

    def _system(self) -> int:
        return self.system_ns

    def pass_ns(self, steady: int, system: int) -> float:
        self.steady_ns += steady
        self.system_ns += system
        return self.jump_s()


def test_time_goes_on_evenly_when_the_system_clock_is_set() -> None:
    clock = TwoClocks()
    period = NANOSECONDS // 100
    assert clock.pass_ns(period, period) == 0.0
    assert clock.pass_ns(period, period - 20 * NANOSECONDS) == -20.0
    before_ns = clock.now_ns()
    assert clock.pass_ns(period, period) == -20.0
    assert clock.now_ns() - before_ns == period
    clock.follow()
    assert clock.pass_ns(period, period) == 0.0
    assert clock.now_ns() == clock.system_ns


def test_a_clock_that_runs_a_little_fast_is_followed() -> None:
    clock = TwoClocks()
    period = NANOSECONDS // 100
    for _ in range(2000):
        before_ns = clock.now_ns()
        assert clock.pass_ns(period, period + period // 2000) == 0.0
        assert abs(clock.now_ns() - before_ns - period) <= period // 100
    assert abs(clock.now_ns() - clock.system_ns) <= period // 100


def test_fields_are_found_by_dots_and_indices() -> None:
    joy = Joy(buttons=[3, 5])
    joy.header.frame_id = 'stick'
    assert field_of(joy, 'buttons[1]') == 5
    assert field_of(joy, 'header.frame_id') == 'stick'
    for path in ('buttons[2]', 'header.frame', 'axes[0].x'):
        with pytest.raises(ObservationError, match='has no'):
            field_of(joy, path)
