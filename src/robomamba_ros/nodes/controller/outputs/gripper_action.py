"""Goals for a gripper's action server, as its driver can take them: one at a time."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action.client import ActionClient
from rclpy.action.graph import get_action_names_and_types
from sensor_msgs.msg import JointState

from robomamba_ros.control.setpoints.openings import OnChange
from robomamba_ros.errors import ActionError, BackendError
from robomamba_ros.nodes.common.conversions import gripper_position
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import ACTIONS, Output

# How long a newer opening waits for the end of a goal [s], and a refused one to be sent again.
PATIENCE_S, RETRY_S = 3.0, 1.0
# How often a server that is not there is looked for [s].
LOOK_S = 0.1


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
    """Goals of the action control_msgs/GripperCommand or ParallelGripperCommand.

    Drivers differ in what they do with a second goal: the controllers of ros2_control drop the
    first one, franka_gripper runs both at once. So an opening further on waits for the end of the
    goal that runs, and one that turns back cancels it. A refused goal is sent again while it is
    wanted. on_error: called with what goes wrong. Raises BackendError where control_msgs is
    missing.
    """

    def __init__(
        self, node: Any, arm: ArmContract, output: Output, on_error: Callable[[Exception], None]
    ) -> None:
        super().__init__(arm.control_rate_hz)
        self._node = node
        self._arm = arm
        self._on_error = on_error
        self._output = output
        self._max_effort = float(output.max_effort or 0.0)
        package, _, name = output.action.split('/')
        try:
            self._action = getattr(importlib.import_module(f'{package}.action'), name)
        except ImportError as error:
            raise BackendError(
                f"the gripper of arm '{arm.name}' is commanded by the action {package}/{name}, and "
                f'{package} is not installed: apt install ros-$ROS_DISTRO-control-msgs; or set '
                'gripper_output: joint_state'
            ) from error
        except AttributeError:
            raise BackendError(
                f"the gripper of arm '{arm.name}' is commanded by the action {package}/{name}, "
                f'which the installed {package} is too old for; kind: gripper_command is what '
                'drivers of its age take'
            ) from None
        # Topics are remapped and actions are not, so the name is resolved as one of a topic.
        self._name = node.resolve_topic_name(output.name)
        self._client: Any = ActionClient(node, self._action, self._name)
        self._goal: _Goal | None = None
        self._retry_s = 0.0

    def go_to(self, opening: float) -> bool:
        """Send the goal, once the gripper's driver is there and has done what it was told."""
        now_s = time.monotonic()
        if now_s < self._retry_s:
            return False
        if not self._client.server_is_ready():
            self._goal = None
            self._retry_s = now_s + LOOK_S
            self._on_error(ActionError(self._unanswered()))
            return False
        if self._runs(opening, now_s):
            return False
        message = self._message(gripper_position(opening, self._arm))
        before = opening if self.opening is None else self.opening
        self._goal = goal = _Goal(opening, before)
        sent = self._client.send_goal_async(message)
        sent.add_done_callback(partial(self._on_response, goal))
        return True

    def _message(self, position: float) -> Any:
        """Return the goal of a position [rad or m]."""
        goal = self._action.Goal()
        if self._output.kind == 'gripper_command':
            goal.command.position, goal.command.max_effort = position, self._max_effort
        else:
            names = list(self._arm.names_of('gripper'))
            goal.command = JointState(name=names, position=[position], effort=[self._max_effort])
        return goal

    def _unanswered(self) -> str:
        """Return why nobody takes a goal, with the kind to write where it is of another type."""
        served = dict(get_action_names_and_types(self._node)).get(self._name, [])
        others = [kind for kind, action in ACTIONS.items() if action in served]
        if self._output.action in served or not served:
            return f"nobody answers the action '{self._name}' of the gripper"
        remedy = f'write `kind: {others[0]}`' if others else 'name another action'
        return (
            f"the action '{self._name}' of the gripper is {', '.join(served)}, and the contract of "
            f'{self._arm.name} says {self._output.action}; {remedy} in its outputs'
        )

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
