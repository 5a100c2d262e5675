"""Commands to a gripper that goes to an opening by itself: sent when the opening changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.control.senders import Command, lead_ns
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.conversions import gripper_position, joint_trajectory
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output

# A change of the opening that is worth a command; policies give a new number in every step.
_STEP = 0.02


class OnChange:
    """Sends an opening that is another one than the last, or than where commanding began.

    So a gripper that holds something when the arm is enabled is told nothing, and holds it still.
    opening: that one.
    """

    def __init__(self) -> None:
        self.opening: float | None = None
        self.count = 0
        self.at_rest = True

    def go_to(self, opening: float) -> bool:
        """Send an opening; tell whether it could be."""
        raise NotImplementedError

    def send(self, command: Command) -> None:
        """Send the opening where it has changed."""
        asked = command.setpoint.gripper
        if self.opening is None:
            self.opening = asked
        # The ends are exact, however small the last step.
        worth = abs(asked - self.opening) >= _STEP or asked in (0.0, 1.0)
        if asked != self.opening and worth and self.go_to(asked):
            self.opening = asked
            self.count += 1

    def stop(self) -> None:
        """Leave the gripper as it is."""
        self.opening = None


class GripperTrajectory(OnChange):
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
        self._publisher.publish(
            joint_trajectory(self._arm.names_of('gripper'), [self._lead_ns], point)
        )
        return True

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_publisher(self._publisher)
