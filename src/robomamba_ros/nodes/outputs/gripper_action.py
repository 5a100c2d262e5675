"""Goals for a gripper's action server, as its driver can take them: one at a time."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from action_msgs.msg import GoalStatus

from robomamba_ros.errors import ActionError, BackendError
from robomamba_ros.nodes.conversions import gripper_position
from robomamba_ros.nodes.outputs.grippers import OnChange
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output

# How long a newer opening waits for the end of a goal [s], and a refused one to be sent again.
PATIENCE_S, RETRY_S = 3.0, 1.0


@dataclass
class _Goal:
    """A goal that runs to an opening, from the one before it. waited_s: since when another waits.

    handle: None until the server has accepted it.
    """

    opening: float
    before: float
    handle: Any = None
    waited_s: float | None = None
    cancelled: bool = False

    def turns_back(self, opening: float) -> bool:
        """Whether a newer opening lies in the other direction than this goal."""
        return (opening - self.opening) * (self.opening - self.before) < 0.0


class GripperGoal(OnChange):
    """Goals of the action control_msgs/GripperCommand.

    Drivers differ in what they do with a second goal: the controllers of ros2_control drop the
    first one, franka_gripper runs both at once. So an opening further on waits for the end of the
    goal that runs, and one that turns back cancels it. A refused goal is sent again while it is
    wanted. on_error: called with what goes wrong. Raises BackendError where control_msgs is
    missing.
    """

    def __init__(
        self, node: Any, arm: ArmContract, output: Output, on_error: Callable[[Exception], None]
    ) -> None:
        super().__init__()
        self._arm = arm
        self._on_error = on_error
        self._max_effort = float(output.max_effort or 0.0)
        try:
            self._action = importlib.import_module('control_msgs.action').GripperCommand
        except ImportError as error:
            raise BackendError(
                f"the gripper of arm '{arm.name}' is commanded by the action "
                'control_msgs/GripperCommand, and control_msgs is not installed: '
                'apt install ros-$ROS_DISTRO-control-msgs; or set gripper_output: joint_state'
            ) from error
        # Topics are remapped and actions are not, so the name is resolved as one of a topic.
        self._name = node.resolve_topic_name(output.name)
        client = importlib.import_module('rclpy.action').ActionClient
        self._client = client(node, self._action, self._name)
        self._goal: _Goal | None = None
        self._retry_s = 0.0

    def go_to(self, opening: float) -> bool:
        """Send the goal, once the gripper's driver is there and has done what it was told."""
        if not self._client.server_is_ready():
            self._goal = None
            self._on_error(ActionError(f"nobody answers the action '{self._name}' of the gripper"))
            return False
        now_s = time.monotonic()
        if now_s < self._retry_s or self._runs(opening, now_s):
            return False
        message = self._action.Goal()
        message.command.position = gripper_position(opening, self._arm)
        message.command.max_effort = self._max_effort
        before = opening if self.opening is None else self.opening
        self._goal = goal = _Goal(opening, before)
        sent = self._client.send_goal_async(message)
        sent.add_done_callback(partial(self._on_response, goal))
        return True

    def _runs(self, opening: float, now_s: float) -> bool:
        """Whether a goal runs whose end a newer opening has to wait for."""
        goal = self._goal
        if goal is None:
            return False
        if goal.turns_back(opening) and goal.handle is not None and not goal.cancelled:
            goal.cancelled = True
            goal.handle.cancel_goal_async()
        goal.waited_s = now_s if goal.waited_s is None else goal.waited_s
        if now_s < goal.waited_s + PATIENCE_S:
            return True
        self._on_error(
            ActionError(
                f"the action '{self._name}' has not ended a goal {PATIENCE_S:g} s after a newer "
                'one was asked for, and gets that now; is its driver stuck?'
            )
        )
        return False

    def _on_response(self, goal: _Goal, sent: Any) -> None:
        handle = sent.result()
        if handle.accepted:
            goal.handle = handle
            handle.get_result_async().add_done_callback(partial(self._on_end, goal))
            return
        self._forget(goal)
        self._retry_s = time.monotonic() + RETRY_S
        if self.opening == goal.opening:
            self.opening = goal.before
        self._on_error(
            ActionError(
                f"the action '{self._name}' refused a goal; is the gripper's controller active? "
                'The goal is sent again while it is wanted'
            )
        )

    def _on_end(self, goal: _Goal, end: Any) -> None:
        self._forget(goal)
        if end.result().status == GoalStatus.STATUS_ABORTED and not goal.cancelled:
            self._on_error(
                ActionError(
                    f"the action '{self._name}' aborted a goal: the gripper holds something, or "
                    'its driver says what is wrong'
                )
            )

    def _forget(self, goal: _Goal) -> None:
        if self._goal is goal:
            self._goal = None

    def destroy(self) -> None:
        """Disconnect; a goal that runs is left to come to its end."""
        self._client.destroy()
