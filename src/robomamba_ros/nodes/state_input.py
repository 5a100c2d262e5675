"""Joins `joint_states` and `ee_pose` into the robot's state; knows nothing about its use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from robomamba_ros.data.state_messages import StateJoiner
from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes import qos
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import RobotState


class StateInput:
    """Subscribes to both topics and calls back with (state, stamp of its joints [ns]).

    realtime: with every pose, the newest joints beside it; how old they may be is for the reader
    to judge. lockstep: once both of one stamp are there. A message that cannot be used is
    reported and dropped, so that the stream goes stale instead of wrong.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        mode: str,
        on_state: Callable[[RobotState, int], None],
        on_error: Callable[[ObservationError], None],
    ) -> None:
        self._node = node
        self._on_state = on_state
        self._on_error = on_error
        self.count = 0
        joiner = StateJoiner(arm, same_stamp=mode == 'lockstep')

        def on_joints(message: JointState) -> None:
            self._take(joiner.add_joints, message)

        def on_pose(message: PoseStamped) -> None:
            self._take(joiner.add_pose, message)

        profile = qos.state(mode)
        self._subscriptions = [
            node.create_subscription(JointState, 'joint_states', on_joints, profile),
            node.create_subscription(PoseStamped, 'ee_pose', on_pose, profile),
        ]

    def _take(self, add: Callable[[Any], tuple[RobotState, int] | None], message: Any) -> None:
        try:
            joined = add(message)
            if joined is not None:
                self.count += 1
                self._on_state(*joined)
        except ObservationError as error:
            self._on_error(error)

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
