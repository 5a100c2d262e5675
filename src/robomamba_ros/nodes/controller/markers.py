"""Draws for RViz where the end effector went, will go, and no longer goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from robomamba_ros.control.setpoints.preview import Preview, Scene
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.warning_counts import WarningCounts
from robomamba_ros.types import Pose

PERIOD_S = 0.2
# How long the thread that draws sleeps after each pose and marker [s].
PAUSE_S = 5e-4
# Red, green, blue of each part of a Preview, which are the namespaces that RViz can hide.
COLORS = {
    'executed': (0.45, 0.55, 0.7),
    'pending': (0.1, 0.8, 0.2),
    'discarded': (0.9, 0.15, 0.1),
}
LINE_M, SPHERE_M = 0.003, 0.008


class Markers:
    """Publishes `markers` five times a second while somebody looks, from a thread of its own.

    frame: the base frame. scene: returns what is to be drawn, to that thread; it is not called
    while nobody looks.
    """

    def __init__(self, node: Any, frame: str, scene: Callable[[], Scene]) -> None:
        self._node = node
        self._frame = frame
        self._scene = scene
        self._warnings = WarningCounts(lambda text: node.get_logger().warning(text))
        self._publisher = node.create_publisher(MarkerArray, 'markers', qos.MARKERS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name='markers', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # Wall time: the picture is for people, and a simulated clock may stand still.
        while not self._over.wait(PERIOD_S):
            try:
                self._draw()
            except Exception as error:
                self._warnings.note(f'cannot draw markers: {error}')

    def _draw(self) -> None:
        if not self._publisher.get_subscription_count():
            return
        # The interpreter belongs to control: a pose takes a fraction of the pause after it.
        preview = self._scene().preview(lambda: time.sleep(PAUSE_S))
        stamp = self._node.get_clock().now().to_msg()
        for marker in markers(preview, self._frame, stamp):
            time.sleep(PAUSE_S)
            # One by one: a message is converted without giving the interpreter up.
            self._publisher.publish(MarkerArray(markers=[marker]))

    def destroy(self) -> None:
        """Stop."""
        self._over.set()
        self._thread.join()
        self._node.destroy_publisher(self._publisher)


def markers(preview: Preview, frame: str, stamp: Time) -> Iterator[Marker]:
    """Yield a line, and spheres at its poses, for every part of a preview, in `frame`."""
    for part, color in COLORS.items():
        poses = getattr(preview, part)
        for kind, size in ((Marker.LINE_STRIP, LINE_M), (Marker.SPHERE_LIST, SPHERE_M)):
            marker = _marker(kind, poses, size)
            marker.header.frame_id, marker.header.stamp = frame, stamp
            marker.ns, marker.color = part, ColorRGBA(r=color[0], g=color[1], b=color[2], a=0.9)
            yield marker


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
