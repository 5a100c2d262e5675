"""Notices goals that others give to the controllers that are commanded.

MoveIt and most programs move an arm by the action of its trajectory controller, which a count of
publishers does not see. A goal ends what the controller was sent by topic, and the other way round.
"""

from __future__ import annotations

from typing import Any

from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.qos import qos_profile_action_status_default

from robomamba_ros.nodes.common.diagnostics import SOMEBODY_ELSE
from robomamba_ros.nodes.common.readers import readers_of

_ACTION = 'follow_joint_trajectory'
_RUNS = (GoalStatus.STATUS_ACCEPTED, GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING)


class GoalsWatch:
    """Whether a goal of somebody else runs at a controller that reads one of some topics.

    outputs: topics of the node's own, by which the controllers are found.
    """

    def __init__(self, node: Any, outputs: tuple[str, ...]) -> None:
        self._node = node
        self._outputs = outputs
        self._connections: dict[str, Any] = {}
        self._running: dict[str, int] = {}

    def look(self) -> None:
        """Listen to controllers that have appeared; a few times a second."""
        names = readers_of(self._node, *self._outputs)
        for gone in self._connections.keys() - names:
            self._node.destroy_subscription(self._connections.pop(gone))
            self._running.pop(gone, None)
        for name in names - self._connections.keys():
            self._connections[name] = self._node.create_subscription(
                GoalStatusArray,
                f'{name}/{_ACTION}/_action/status',
                lambda message, name=name: self._on(name, message),
                qos_profile_action_status_default,
            )

    def _on(self, name: str, message: GoalStatusArray) -> None:
        self._running[name] = sum(goal.status in _RUNS for goal in message.status_list)

    def problem(self) -> str:
        """Return which controllers others have given goals, '' where none."""
        return '; '.join(
            f'{SOMEBODY_ELSE} moves the arm by {name}/{_ACTION}: end that goal'
            for name, count in sorted(self._running.items())
            if count
        )

    def destroy(self) -> None:
        """Disconnect."""
        while self._connections:
            self._node.destroy_subscription(self._connections.popitem()[1])
