"""Publishes what a node measures on /diagnostics once a second, and logs what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from robomamba_ros.common.metrics import LatencyWindow
from robomamba_ros.errors import shortened, without_numbers
from robomamba_ros.nodes.common import qos

LONGEST = 4000  # letters of a message or value
# What a controller's reason begins with where another program moves the arm.
SOMEBODY_ELSE = 'somebody else'
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Report:
    """What a node says about itself: a level, the state and its reason, and measured values."""

    level: bytes
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


def status_message(name: str, report: Report) -> DiagnosticStatus:
    """Return a report as diagnostic_msgs/DiagnosticStatus."""
    values = [KeyValue(key=key, value=_text(value)) for key, value in report.values.items()]
    message = shortened(report.message, LONGEST)
    return DiagnosticStatus(level=report.level, name=name, message=message, values=values)


def _text(value: object) -> str:
    return f'{value:.3f}' if isinstance(value, float) else shortened(str(value), LONGEST)


class Diagnostics:
    """Publishes `measure()` of a node at 1 Hz, and at once on `publish()`.

    What it says is logged too where that is new, numbers aside: an arm that stops says why where
    it was started.
    """

    def __init__(self, node: Any, measure: Callable[[], Report]) -> None:
        self._node = node
        self._measure = measure
        self._said = ''
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        # Wall time: a simulated clock that stands still is worth a diagnostic, not silence.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(1.0, self.publish, clock=steady)

    def publish(self) -> None:
        """Publish now."""
        name = self._node.get_fully_qualified_name().lstrip('/')
        report = self._measure()
        self._say(report)
        message = DiagnosticArray(status=[status_message(name, report)])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _say(self, report: Report) -> None:
        said = without_numbers(report.message)
        if said == self._said:
            return
        self._said = said
        text = shortened(report.message, LONGEST)
        if report.level == OK:
            self._node.get_logger().info(text)
        else:
            self._node.get_logger().warning(text)


class Rate:
    """Turns a running count into events per second of wall time."""

    def __init__(self) -> None:
        self._count = 0
        self._since = time.monotonic()

    def read(self, count: int) -> float:
        """Return the rate since the last reading, given the count now."""
        now = time.monotonic()
        rate = (count - self._count) / max(now - self._since, 1e-9)
        self._count, self._since = count, now
        return rate


def latency_values(name: str, window: LatencyWindow) -> dict[str, object]:
    """Return count, median and 99th percentile of a latency, in milliseconds."""
    return {
        f'{name}_count': window.count,
        f'{name}_p50_ms': 1e3 * window.p50,
        f'{name}_p99_ms': 1e3 * window.p99,
    }
