"""Draws for RViz where the end effector went, will go, and no longer goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from robomamba_ros.control.setpoints.preview import Preview
from robomamba_ros.nodes.common import qos
from robomamba_ros.types import Pose

PERIOD_S = 0.2
# Red, green, blue of each part of a Preview, which are the namespaces that RViz can hide.
COLORS = {
    'executed': (0.45, 0.55, 0.7),
    'pending': (0.1, 0.8, 0.2),
    'discarded': (0.9, 0.15, 0.1),
}
LINE_M, SPHERE_M = 0.003, 0.008


class Markers:
    """Publishes `markers` five times a second while somebody looks.

    frame: the base frame. preview: returns what is to be drawn; it is not called otherwise.
    """

    def __init__(self, node: Any, frame: str, preview: Callable[[], Preview]) -> None:
        self._node = node
        self._frame = frame
        self._preview = preview
        self._publisher = node.create_publisher(MarkerArray, 'markers', qos.COMMAND)
        # Wall time: the picture is for people, and a simulated clock may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD_S, self._draw, clock=steady)

    def _draw(self) -> None:
        if self._publisher.get_subscription_count():
            stamp = self._node.get_clock().now().to_msg()
            self._publisher.publish(marker_array(self._preview(), self._frame, stamp))

    def destroy(self) -> None:
        """Stop."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)


def marker_array(preview: Preview, frame: str, stamp: Time) -> MarkerArray:
    """Return a line with a sphere at each pose for every part of a preview, in `frame`."""
    array = MarkerArray()
    for part, color in COLORS.items():
        poses = getattr(preview, part)
        for kind, size in ((Marker.LINE_STRIP, LINE_M), (Marker.SPHERE_LIST, SPHERE_M)):
            marker = _marker(kind, poses, size)
            marker.header.frame_id, marker.header.stamp = frame, stamp
            marker.ns, marker.color = part, ColorRGBA(r=color[0], g=color[1], b=color[2], a=0.9)
            array.markers.append(marker)
    return array


def _marker(kind: int, poses: Sequence[Pose], size: float) -> Marker:
    marker = Marker(type=kind, id=kind, action=Marker.ADD)
    if len(poses) < 2:
        # RViz refuses a line of one point, and keeps what it has until it is told.
        marker.action = Marker.DELETE
        return marker
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = size
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in (p.position.tolist() for p in poses)]
    return marker
