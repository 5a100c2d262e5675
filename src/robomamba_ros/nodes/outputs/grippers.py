"""Commands to a gripper that goes to an opening by itself: sent when the opening changes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.errors import ActionError, BackendError
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.conversions import gripper_position, joint_trajectory
from robomamba_ros.nodes.outputs.command import Command
from robomamba_ros.nodes.outputs.trajectories import lead_ns
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output

# A change of the opening that is worth a command; policies give a new number in every step.
_STEP = 0.02


class _OnChange:
    """Sends an opening that is another one than the last, or than where commanding began.

    So a gripper that holds something when the arm is enabled is told nothing, and holds it still.
    """

    def __init__(self) -> None:
        self._opening: float | None = None
        self.count = 0
        self.at_rest = True

    def go_to(self, opening: float) -> bool:
        """Send an opening; tell whether it could be."""
        raise NotImplementedError

    def send(self, command: Command) -> None:
        """Send the opening where it has changed."""
        asked = command.setpoint.gripper
        if self._opening is None:
            self._opening = asked
        # The ends are exact, however small the last step.
        worth = abs(asked - self._opening) >= _STEP or asked in (0.0, 1.0)
        if asked != self._opening and worth and self.go_to(asked):
            self._opening = asked
            self.count += 1

    def stop(self) -> None:
        """Leave the gripper as it is."""
        self._opening = None


class GripperTrajectory(_OnChange):
    """A trajectory of one point, lead_s ahead."""

    def __init__(self, node: Any, arm: ArmContract, output: Output) -> None:
        super().__init__()
        self._node = node
        self._arm = arm
        self._lead_ns = lead_ns(arm, output)
        self._publisher = node.create_publisher(JointTrajectory, output.name, qos.COMMAND)

    def go_to(self, opening: float) -> bool:
        """Publish the trajectory."""
        point = np.array([[[gripper_position(opening, self._arm)], [0.0], [0.0]]])
        self._publisher.publish(joint_trajectory([self._arm.gripper.joint], [self._lead_ns], point))
        return True

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_publisher(self._publisher)


class GripperGoal(_OnChange):
    """Goals of the action control_msgs/GripperCommand; a new one replaces the one before.

    on_error: called with what goes wrong. Raises BackendError where control_msgs is missing.
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

    def go_to(self, opening: float) -> bool:
        """Send the goal, once the gripper's driver is there."""
        if not self._client.server_is_ready():
            self._on_error(ActionError(f"nobody answers the action '{self._name}' of the gripper"))
            return False
        goal = self._action.Goal()
        goal.command.position = gripper_position(opening, self._arm)
        goal.command.max_effort = self._max_effort
        self._client.send_goal_async(goal).add_done_callback(self._on_response)
        return True

    def _on_response(self, future: Any) -> None:
        if not future.result().accepted:
            self._on_error(ActionError(f"the action '{self._name}' refused a goal"))

    def destroy(self) -> None:
        """Disconnect; a goal that runs is left to come to its end."""
        self._client.destroy()
