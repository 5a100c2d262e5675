"""Commands to a joint_trajectory_controller: the whole way, whenever it changes.

The stamp is zero, so that the controller begins on receipt: versions differ in what they do with
one in the past. The last velocity is zero, so that it comes to rest if nothing follows.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.nodes import qos
from robomamba_ros.nodes.conversions import joint_trajectory
from robomamba_ros.nodes.outputs.command import Command
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output
from robomamba_ros.types import NANOSECONDS


class TrajectoryOutput:
    """The trajectory of a part's joints.

    Points that would lie less than lead_s ahead are left out: until then the controller comes from
    where it is onto the new way.
    """

    def __init__(self, node: Any, arm: ArmContract, output: Output) -> None:
        self._node = node
        own = arm.joints_of(output.part)
        self._names = [joint.name for joint in own]
        self._columns = [arm.joints.index(joint) for joint in own]
        self._lead_ns = lead_ns(arm, output)
        self._publisher = node.create_publisher(JointTrajectory, output.name, qos.COMMAND)
        self.count = 0

    def send(self, command: Command) -> None:
        """Publish the trajectory where it is another one than before."""
        way = command.trajectory
        if way is None:
            return
        # Computing it took time, in which the controller went on: what has passed is trimmed.
        now_ns = int(self._node.get_clock().now().nanoseconds)
        # The last point is always there, if need be at the lead.
        first = min(bisect_left(way.times_ns, now_ns + self._lead_ns), len(way.times_ns) - 1)
        message = joint_trajectory(
            self._names,
            [max(time_ns - now_ns, self._lead_ns) for time_ns in way.times_ns[first:]],
            way.positions[first:, self._columns],
            way.velocities[first:, self._columns],
        )
        self._publisher.publish(message)
        self.count += 1

    def stop(self) -> None:
        """Leave the controller at the end of the way, at rest."""

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_publisher(self._publisher)


def lead_ns(arm: ArmContract, output: Output) -> int:
    """Return how far ahead the first point of a trajectory lies [ns]; one period by default."""
    return arm.period_ns if output.lead_s is None else round(output.lead_s * NANOSECONDS)
