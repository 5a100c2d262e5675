"""Joins `joint_states` and `ee_pose` into the robot's state; knows nothing about its use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.conversions import nanoseconds, robot_state
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
        self._arm = arm
        self._lockstep = mode == 'lockstep'
        self._on_state = on_state
        self._on_error = on_error
        self._joints: Any = None
        self._pose: Any = None
        self.count = 0
        profile = qos.state(mode)
        self._subscriptions = [
            node.create_subscription(JointState, 'joint_states', self._on_joints, profile),
            node.create_subscription(PoseStamped, 'ee_pose', self._on_pose, profile),
        ]

    def _on_joints(self, message: JointState) -> None:
        self._joints = message
        if self._lockstep:
            self._join()

    def _on_pose(self, message: PoseStamped) -> None:
        self._pose = message
        self._join()

    def _join(self) -> None:
        joints, pose = self._joints, self._pose
        if joints is None or pose is None:
            return
        if self._lockstep and joints.header.stamp != pose.header.stamp:
            return
        self.count += 1
        try:
            state = robot_state(joints, pose, self._arm)
            self._on_state(state, nanoseconds(joints.header.stamp))
        except ObservationError as error:
            self._on_error(error)

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
