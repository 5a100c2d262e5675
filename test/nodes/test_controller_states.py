"""A controller of trajectories that says where it holds the joints, over real topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rclpy.node import Node
from std_srvs.srv import SetBool
from support.made_arms import MADE
from support.made_robot import GRIPPER, JOINTS, LEAD_S, LOOK_S, TRAJECTORY
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from robomamba_ros.messages.controller_state import reference_of
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.controller import controller_states
from robomamba_ros.nodes.controller.interlocks import message_type
from robomamba_ros.types import NANOSECONDS, ActionSpace

TOPIC = '/controller_state'
NAMES = MADE['six'].names
READ = {**TRAJECTORY, 'controller_settings': 'read'}


class Saying:
    """A joint_trajectory_controller as far as it can be asked, and says what it wants."""

    def __init__(self, peer: Any, kind: Any, make: Callable[..., Any]) -> None:
        self.node = node = Node('arm_controller')
        node.declare_parameter('interpolate_from_desired_state', True)
        node.create_subscription(JointTrajectory, 'joint_trajectory', lambda _: None, 10)
        self._publisher = node.create_publisher(kind, TOPIC, qos.STATE_LOCKSTEP)
        self._make, self.wants = make, None
        node.create_timer(LOOK_S, self._say)
        peer.also_spin(node)

    def _say(self) -> None:
        if self.wants is not None:
            # In an order of its own.
            names = NAMES[::-1]
            self._publisher.publish(self._make(names, list(self.wants[::-1])))

    @property
    def readers(self) -> int:
        return self._publisher.get_subscription_count()


def real(names: list[str], positions: list[float]) -> Any:
    message = message_type(controller_states.TYPE)(joint_names=names)
    message.reference = JointTrajectoryPoint(positions=positions, velocities=[0.0] * len(names))
    return message


def stand_in(names: list[str], positions: list[float]) -> JointTrajectory:
    return JointTrajectory(joint_names=names, points=[JointTrajectoryPoint(positions=positions)])


@pytest.fixture(params=['control_msgs', 'a type that the wheels have'])
def saying(request, peer, monkeypatch) -> Iterator[Saying]:
    kind, make = message_type(controller_states.TYPE), real
    if request.param != 'control_msgs':
        kind, make = JointTrajectory, stand_in
        monkeypatch.setattr(controller_states, 'TYPE', 'trajectory_msgs/msg/JointTrajectory')
        monkeypatch.setattr(
            controller_states,
            'reference_of',
            lambda m, names: reference_of(
                SimpleNamespace(joint_names=m.joint_names, reference=m.points[0]), names
            ),
        )
    elif kind is None:
        pytest.skip('control_msgs is not installed')
    made = Saying(peer, kind, make)
    yield made
    made.node.destroy_node()


def test_the_first_hold_is_where_the_controller_wants_the_joints(start, peer, saying) -> None:
    sent = peer.record(JointTrajectory, 'joint_trajectory', 10)
    robot = start([READ, GRIPPER])
    peer.wait_for(lambda: saying.readers > 0, 'the controller node to listen')
    robot.enable()
    # It waits for what is said: the joints are measured, and sag from where they are wanted.
    robot.wait_for('reason', f'nothing received yet on {TOPIC}, where its controller says')
    assert not sent
    saying.wants = JOINTS + 0.01
    peer.wait_for(lambda: bool(sent), 'the hold')
    assert np.array_equal(sent[0].points[0].positions, JOINTS + 0.01)
    # It has nowhere to come from, and gets no time for that.
    assert nanoseconds(sent[0].points[0].time_from_start) == LEAD_S * NANOSECONDS

    robot.ready()
    robot.send(np.full((400, 1), 0.01), ('joint1',), ActionSpace.JOINT_DELTA)
    peer.wait_for(lambda: saying.readers == 0, 'nobody to listen while the arm moves')
    robot.enable(False)
    robot.wait_for('state', 'disabled')
    saying.wants = JOINTS + 200.0
    elsewhere = (
        'the controller of joint1 wants it at 200.200, 200.000 from where it is measured, 100.000 '
        'is allowed: free the arm, or deactivate the controller and activate it'
    )
    count = robot.values()['joint_trajectory_count']

    def told() -> bool:
        """It is refused; or where the controller has yet to say so, it waits and then says why."""
        request = SetBool.Request(data=True)
        response = peer.call(SetBool, 'controller_node/enable', request)
        return any(elsewhere in text for text in (response.message, robot.values()['reason']))

    peer.wait_for(told, 'the controller that is elsewhere to be named')
    assert robot.values()['joint_trajectory_count'] == count


def test_a_state_that_cannot_be_read_is_said_once(start, peer, monkeypatch, capfd) -> None:
    monkeypatch.setattr(controller_states, 'TYPE', 'no_msgs/msg/JointTrajectoryControllerState')
    speaker = peer.node.create_publisher(JointTrajectory, TOPIC, qos.STATE_LOCKSTEP)
    robot = start([TRAJECTORY, GRIPPER])
    said = [0]

    def told() -> bool:
        said[0] += capfd.readouterr().err.count(f'{TOPIC} says where the controller holds')
        return said[0] > 0

    peer.wait_for(told, 'what is missing to be said')
    # It starts as before, from where the joints are measured.
    sent = peer.record(JointTrajectory, 'joint_trajectory', 10)
    robot.ready()
    peer.wait_for(lambda: bool(sent), 'the hold')
    assert np.array_equal(sent[0].points[0].positions, JOINTS)
    told()
    assert said == [1]
    peer.node.destroy_publisher(speaker)
