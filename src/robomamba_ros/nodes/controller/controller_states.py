"""Listens to where controllers of trajectories hold their joints, while the arm rests.

A joint_trajectory_controller says it on `~/controller_state`, beside the topic of its commands. It
does so in every update, up to 1,000 times a second (Humble: at `state_publish_rate`, 50 Hz), which
would take this process a part of every control period. So nobody listens while the arm moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.control.setpoints.status import STOPS
from robomamba_ros.errors import BackendError
from robomamba_ros.messages.controller_state import reference_of
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.controller.interlocks import message_type
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output
from robomamba_ros.types import NANOSECONDS

TYPE = 'control_msgs/msg/JointTrajectoryControllerState'
# What was said longer ago does not count [ns].
_BUDGET_NS = NANOSECONDS // 2


def state_topic(commands: str) -> str:
    """Return the topic of a controller's state by that of its commands."""
    return f'{commands.rpartition("/")[0]}/controller_state'


class ControllerState:
    """What the controller of an output wants of its joints, for the references of a loop.

    Where a controller says it, an arm that is enabled waits for it, unless the contract assumes
    its settings. now_ns: the time of control. on_missing: told in one line where the package of
    its messages is not installed.
    """

    def __init__(
        self,
        node: Any,
        output: Output,
        arm: ArmContract,
        loop: SetpointLoop,
        now_ns: Callable[[], int],
        on_missing: Callable[[Exception], None],
    ) -> None:
        self._node, self._output = node, output
        self._names = arm.names_of(output.part)
        self._loop, self._now_ns, self._on_missing = loop, now_ns, on_missing
        self._topic = state_topic(node.resolve_topic_name(output.name))
        self._kind = message_type(TYPE)
        self._subscription: Any = None
        self._told = False

    def look(self) -> None:
        """Listen where somebody speaks and the arm rests; a few times a second."""
        says = self._node.count_publishers(self._topic) > 0
        if says and self._kind is None:
            self._miss()
        moves = self._loop.status.state in (LoopState.TRACKING, *STOPS)
        says = says and self._kind is not None
        listens = says and not moves
        if listens and self._subscription is None:
            self._subscription = self._node.create_subscription(
                self._kind, self._topic, self.take, qos.NEWEST_STATE
            )
        elif not listens:
            self.destroy()
        references = self._loop.references
        references.awaited.pop(self._output.part, None)
        # Also right after a stop, before it was heard again.
        if says and not self._output.assume_settings:
            references.awaited[self._output.part] = (
                f'nothing received yet on {self._topic}, where its controller says where it holds '
                'the joints: activate it, or set its `state_publish_rate`'
            )

    def _miss(self) -> None:
        if not self._told:
            self._told = True
            self._on_missing(
                BackendError(
                    f'{self._topic} says where the controller holds its joints, which cannot be '
                    f'read, as {TYPE} is not installed here: apt install '
                    'ros-$ROS_DISTRO-control-msgs'
                )
            )

    def take(self, message: Any) -> None:
        """Take what a controller says; of other joints than the output's it says nothing."""
        state = reference_of(message, self._names)
        if state is not None:
            self._loop.references.take(self._output.part, state, self._now_ns())

    def check(self, now_ns: int) -> None:
        """Forget what was said too long ago; in every control period."""
        said = self._loop.references.known.get(self._output.part)
        if said is not None and abs(now_ns - said.received_ns) > _BUDGET_NS:
            self._loop.references.forget(self._output.part)

    def destroy(self) -> None:
        """Unsubscribe, and forget."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self._loop.references.forget(self._output.part)
