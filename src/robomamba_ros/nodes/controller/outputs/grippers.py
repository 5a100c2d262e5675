"""Commands to a gripper that goes to an opening by itself: sent when the opening changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.control.setpoints.openings import OnChange
from robomamba_ros.control.setpoints.senders import lead_ns
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import gripper_position, joint_trajectory
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output


class GripperTrajectory(OnChange):
    """A trajectory of one point, lead_s ahead."""

    def __init__(self, node: Any, arm: ArmContract, output: Output) -> None:
        super().__init__(arm.control_rate_hz)
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
