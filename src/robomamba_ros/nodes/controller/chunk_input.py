"""Subscribes to `action_chunk` and `joint_chunk` and hands on whole chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from robomamba_ros.errors import ActionError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.chunk_messages import ChunkJoiner, is_withdrawal
from robomamba_ros.types import ActionChunk


class ChunkInput:
    """Calls back with every chunk whose two messages have come, or with what is wrong with it.

    on_withdrawal: called where the sender says that its last chunk is not to be followed further.
    count, newest_ns: how many came, and the stamp of the newest.
    """

    def __init__(
        self,
        node: Any,
        frame: str,
        on_chunk: Callable[[ActionChunk], None],
        on_withdrawal: Callable[[], None],
        on_error: Callable[[ActionError], None],
    ) -> None:
        self._node = node
        self._on_chunk = on_chunk
        self._on_error = on_error
        self.count = self.newest_ns = 0
        joiner = ChunkJoiner(frame)

        def on_targets(message: MultiDOFJointTrajectory) -> None:
            if is_withdrawal(message):
                on_withdrawal()
                return
            self._take(joiner.add_targets, message)

        def on_joints(message: JointTrajectory) -> None:
            self._take(joiner.add_joints, message)

        self._subscriptions = [
            node.create_subscription(
                MultiDOFJointTrajectory, 'action_chunk', on_targets, qos.COMMAND
            ),
            node.create_subscription(JointTrajectory, 'joint_chunk', on_joints, qos.COMMAND),
        ]

    def _take(self, add: Callable[[Any], ActionChunk | None], message: Any) -> None:
        try:
            chunk = add(message)
            if chunk is not None:
                self.count += 1
                self.newest_ns = chunk.stamp_ns
                self._on_chunk(chunk)
        except ActionError as error:
            self._on_error(error)

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
