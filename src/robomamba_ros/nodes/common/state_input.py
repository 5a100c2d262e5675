"""Joins an arm's proprioception into its state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.state import StateJoiner, nanoseconds
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.robot_description import RobotDescription
from robomamba_ros.robots.arm import ArmContract, input_kind
from robomamba_ros.types import RobotState

_TYPES = {'joint_states': JointState, 'ee_pose': PoseStamped, 'odometry': Odometry}
# Stamps of which messages are kept in lockstep: of streams that never agree there is no end.
_WAITING = 100


class StateInput:
    """Subscribes to the streams that the contract names and calls back with every state.

    realtime: with every pose, or every JointState of the arm where the pose is computed from it,
    the newest of the others beside it. lockstep: once all of one stamp are there, whatever came in
    between: no state is lost to a reader that is behind. A message that cannot be used is reported
    and dropped, so that the stream goes stale instead of wrong.

    description: where the kinematics come from, if the pose is computed or somebody else wants
    them; without them there is no state.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        mode: str,
        on_state: Callable[[RobotState], None],
        on_error: Callable[[ObservationError], None],
        description: RobotDescription | None = None,
    ) -> None:
        self._node = node
        self._on_state = on_state
        self._on_error = on_error
        self.count = 0
        self._joiner = StateJoiner(arm, same_stamp=mode == 'lockstep')
        self._description = description
        self._lockstep = mode == 'lockstep'
        # In lockstep the messages of stamps that are not complete yet, by stream.
        self._waiting: dict[int, dict[str, Any]] = {}
        self._subscriptions = [
            node.create_subscription(
                _TYPES[input_kind(stream)], stream, partial(self._take, stream), qos.state(mode)
            )
            for stream in arm.inputs
        ]

    def _take(self, stream: str, message: Any) -> None:
        if not self._lockstep:
            self._join(stream, message)
            return
        stamp_ns = nanoseconds(message.header.stamp)
        together = self._waiting.setdefault(stamp_ns, {})
        together[stream] = message
        while len(self._waiting) > _WAITING:
            del self._waiting[min(self._waiting)]
        if len(together) == len(self._subscriptions):
            self._waiting = {ns: kept for ns, kept in self._waiting.items() if ns > stamp_ns}
            for name, each in together.items():
                self._join(name, each)

    def _join(self, stream: str, message: Any) -> None:
        try:
            if self._description is not None:
                self._joiner.kinematics = self._description.kinematics
            state = self._joiner.add(stream, message)
            if state is not None:
                self.count += 1
                self._on_state(state)
        except ObservationError as error:
            self._on_error(error)

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
