"""Commands to a joint_trajectory_controller: the whole way, whenever it changes.

The stamp is zero, so that the controller begins on receipt: versions differ in what they do with
one in the past. The last velocity is zero, so that it comes to rest if nothing follows.
"""

from __future__ import annotations

from typing import Any

from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.control.handover import Handover
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.conversions import joint_trajectory
from robomamba_ros.nodes.outputs.command import Command
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output
from robomamba_ros.types import NANOSECONDS


class TrajectoryOutput:
    """The trajectory of a part's joints, from a point about lead_s ahead on (see Handover)."""

    def __init__(self, node: Any, arm: ArmContract, output: Output) -> None:
        self._node = node
        own = arm.joints_of(output.part)
        self._names = [joint.name for joint in own]
        columns = [arm.joints.index(joint) for joint in own]
        self._handover = Handover(own, columns, arm.period_ns, lead_ns(arm, output))
        self._publisher = node.create_publisher(JointTrajectory, output.name, qos.COMMAND)
        self.count = 0
        self.at_rest = True

    def send(self, command: Command) -> None:
        """Publish the trajectory where it is another one than before."""
        if command.trajectory is None:
            return
        # Computing it took time, in which the controller went on: what has passed is trimmed.
        now_ns = int(self._node.get_clock().now().nanoseconds)
        times_ns, points = self._handover.begin(command.trajectory, now_ns)
        since_ns = [time_ns - now_ns for time_ns in times_ns]
        self._publisher.publish(joint_trajectory(self._names, since_ns, points))
        self.count += 1

    def stop(self) -> None:
        """Leave the controller at the end of the way, at rest."""

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_publisher(self._publisher)


def lead_ns(arm: ArmContract, output: Output) -> int:
    """Return how far ahead the first point of a trajectory lies [ns]; one period by default."""
    return arm.period_ns if output.lead_s is None else round(output.lead_s * NANOSECONDS)
