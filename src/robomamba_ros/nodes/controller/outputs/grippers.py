"""Commands to a gripper that goes to an opening by itself: sent when the opening changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.control.setpoints.openings import OnChange
from robomamba_ros.control.setpoints.senders import Command, lead_ns
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import gripper_position, joint_trajectory
from robomamba_ros.nodes.controller.outputs.per_period import PerPeriod
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output


class GripperTrajectory(OnChange):
    """A trajectory of one point, lead_s ahead.

    lockstep_ns: in lockstep the time of the period. One in which the opening does not change has a
    message without points: simulated time waits for it.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        output: Output,
        lockstep_ns: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(arm.control_rate_hz)
        self._node = node
        self._arm = arm
        self._lead_ns = lead_ns(arm, output)
        self._publisher = node.create_publisher(JointTrajectory, output.name, qos.COMMAND)
        self._period = PerPeriod(self._publisher.publish, JointTrajectory, lockstep_ns)

    def go_to(self, opening: float) -> bool:
        """Publish the trajectory."""
        point = np.array([[[gripper_position(opening, self._arm)], [0.0], [0.0]]])
        self._period.say(joint_trajectory(self._arm.names_of('gripper'), [self._lead_ns], point))
        return True

    def send(self, command: Command) -> None:
        """Publish the opening where it has changed."""
        if not self._period.repeat():
            super().send(command)
            self._period.go_on()

    def stop(self) -> None:
        """Leave the gripper as it is."""
        if not self._period.repeat():
            super().stop()
            self._period.go_on()

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_publisher(self._publisher)
