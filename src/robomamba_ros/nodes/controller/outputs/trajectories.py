"""Commands to a joint_trajectory_controller: the whole way, whenever it changes.

The stamp is zero, so that the controller begins on receipt: versions differ in what they do with
one in the past. The last velocity is zero, so that it comes to rest if nothing follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.control.setpoints.senders import Command, TrajectorySender
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import joint_trajectory
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output


class TrajectoryOutput:
    """The trajectories of a part's joints; now_ns: the time of control."""

    def __init__(
        self, node: Any, arm: ArmContract, output: Output, now_ns: Callable[[], int]
    ) -> None:
        self._node = node
        self._now_ns = now_ns
        self._sender = TrajectorySender(arm, output)
        self._names = [joint.name for joint in self._sender.joints]
        self._publisher = node.create_publisher(JointTrajectory, output.name, qos.COMMAND)
        self.count = 0
        self.at_rest = True

    def send(self, command: Command) -> None:
        """Publish the trajectory where it is another one than before."""
        sent = self._sender.send(command, self._now_ns())
        if sent is not None:
            self._publisher.publish(joint_trajectory(self._names, *sent))
            self.count += 1

    def stand_still(self) -> None:
        """Leave the controller, which went to the end of the way."""
        self._sender.stand_still()

    def stop(self) -> None:
        """Leave the controller at the end of the way, at rest."""

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_publisher(self._publisher)
