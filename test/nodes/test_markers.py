from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from visualization_msgs.msg import Marker, MarkerArray

from robomamba_ros.control.setpoints.preview import Preview
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.controller.markers import Markers, marker_array
from robomamba_ros.types import Pose

UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])


def along_x(*ways: float) -> tuple[Pose, ...]:
    return tuple(Pose(np.array([way, 0.2, 0.3]), UPRIGHT) for way in ways)


def test_each_part_has_a_line_and_spheres_of_its_colour() -> None:
    preview = Preview(along_x(0.1, 0.2), along_x(0.2, 0.3, 0.4), along_x(0.2, 0.5))
    array = marker_array(preview, 'base', Time(sec=3))
    drawn = {(m.ns, m.type): [point.x for point in m.points] for m in array.markers}
    assert drawn == {
        ('executed', Marker.LINE_STRIP): [0.1, 0.2],
        ('executed', Marker.SPHERE_LIST): [0.1, 0.2],
        ('pending', Marker.LINE_STRIP): [0.2, 0.3, 0.4],
        ('pending', Marker.SPHERE_LIST): [0.2, 0.3, 0.4],
        ('discarded', Marker.LINE_STRIP): [0.2, 0.5],
        ('discarded', Marker.SPHERE_LIST): [0.2, 0.5],
    }
    assert {(m.header.frame_id, m.header.stamp.sec, m.action) for m in array.markers} == {
        ('base', 3, Marker.ADD)
    }
    # An id names a marker within its namespace.
    assert len({(m.ns, m.id) for m in array.markers}) == 6
    green = next(m.color for m in array.markers if m.ns == 'pending')
    red = next(m.color for m in array.markers if m.ns == 'discarded')
    assert green.g > 2 * green.r
    assert red.r > 2 * red.g


def test_what_is_no_more_is_erased() -> None:
    array = marker_array(Preview(pending=along_x(0.1, 0.2)), 'base', Time())
    erased = {m.ns for m in array.markers if m.action == Marker.DELETE}
    assert erased == {'executed', 'discarded'}


def test_nothing_is_computed_while_nobody_looks(peer: Any) -> None:
    node = Node('drawer')
    asked: list[int] = []

    def preview() -> Preview:
        asked.append(node.count_subscribers('markers'))
        return Preview(pending=along_x(0.1, 0.2))

    ticks: list[None] = []
    markers = Markers(node, 'base', preview)
    node.create_timer(0.2, lambda: ticks.append(None))
    peer.also_spin(node)
    try:
        peer.wait_for(lambda: len(ticks) >= 3, 'three periods')
        assert asked == []
        seen = peer.record(MarkerArray, 'markers', qos.COMMAND)
        peer.wait_for(lambda: seen, 'the markers')
        assert asked == [1] * len(asked)
        assert len(seen[0].markers) == 6
    finally:
        markers.destroy()
        node.destroy_node()
