from __future__ import annotations

import threading
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from visualization_msgs.msg import Marker, MarkerArray

from robomamba_ros.control.setpoints.preview import Preview, Scene
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.controller.markers import Markers, markers
from robomamba_ros.types import Pose

UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])


def along_x(*ways: float) -> tuple[Pose, ...]:
    return tuple(Pose(np.array([way, 0.2, 0.3]), UPRIGHT) for way in ways)


def test_each_part_has_a_line_and_spheres_of_its_colour() -> None:
    preview = Preview(along_x(0.1, 0.2), along_x(0.2, 0.3, 0.4), along_x(0.2, 0.5))
    drawing = list(markers(preview, 'base', Time(sec=3)))
    drawn = {(m.ns, m.type): [point.x for point in m.points] for m in drawing}
    assert drawn == {
        ('executed', Marker.LINE_STRIP): [0.1, 0.2],
        ('executed', Marker.SPHERE_LIST): [0.1, 0.2],
        ('pending', Marker.LINE_STRIP): [0.2, 0.3, 0.4],
        ('pending', Marker.SPHERE_LIST): [0.2, 0.3, 0.4],
        ('discarded', Marker.LINE_STRIP): [0.2, 0.5],
        ('discarded', Marker.SPHERE_LIST): [0.2, 0.5],
    }
    assert {(m.header.frame_id, m.header.stamp.sec, m.action) for m in drawing} == {
        ('base', 3, Marker.ADD)
    }
    # An id names a marker within its namespace.
    assert len({(m.ns, m.id) for m in drawing}) == 6
    green = next(m.color for m in drawing if m.ns == 'pending')
    red = next(m.color for m in drawing if m.ns == 'discarded')
    assert green.g > 2 * green.r
    assert red.r > 2 * red.g


def test_what_is_no_more_is_erased() -> None:
    drawing = markers(Preview(pending=along_x(0.1, 0.2)), 'base', Time())
    erased = {m.ns for m in drawing if m.action == Marker.DELETE}
    assert erased == {'executed', 'discarded'}


class Drawn(Scene):
    """A scene that says who draws it."""

    def __init__(self, asked: list[str]) -> None:
        object.__setattr__(self, 'asked', asked)

    def preview(self, pause: Any = None) -> Preview:
        self.asked.append(threading.current_thread().name)
        return Preview(pending=along_x(0.1, 0.2))


def test_a_thread_of_its_own_draws_and_only_while_somebody_looks(peer: Any) -> None:
    node = Node('drawer')
    asked: list[str] = []
    readers: list[int] = []

    def scene() -> Scene:
        readers.append(node.count_subscribers('markers'))
        return Drawn(asked)

    ticks: list[None] = []
    drawing = Markers(node, 'base', scene)
    node.create_timer(0.2, lambda: ticks.append(None))
    peer.also_spin(node)
    try:
        peer.wait_for(lambda: len(ticks) >= 3, 'three periods')
        assert asked == []
        seen = peer.record(MarkerArray, 'markers', qos.MARKERS)
        peer.wait_for(lambda: len(seen) >= 6, 'the markers')
        assert readers == [1] * len(readers)
        assert set(asked) == {'markers'}
        assert {(m.ns, m.type) for array in seen for m in array.markers} == {
            (part, kind)
            for part in ('executed', 'pending', 'discarded')
            for kind in (Marker.LINE_STRIP, Marker.SPHERE_LIST)
        }
    finally:
        drawing.destroy()
        node.destroy_node()
