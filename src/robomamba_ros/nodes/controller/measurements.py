"""How long control takes, and how often what comes and goes, for /diagnostics."""

from __future__ import annotations

import time
from collections.abc import Mapping

from robomamba_ros.common.metrics import LatencyWindow, TickTimes
from robomamba_ros.nodes.common.diagnostics import Rate, latency_values
from robomamba_ros.types import NANOSECONDS


class Measurements:
    """From an observation to its first command, and each control period.

    ticks: the times of the periods. setpoints: how many were commanded.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._rates: dict[str, Rate] = {}
        self.setpoints = 0
        self.clear()

    def clear(self) -> None:
        """Begin anew; what is counted goes on."""
        self._latency = LatencyWindow()
        self.ticks = TickTimes(self._period_s)
        self._state_ns: int | None = None
        self._received_s = 0.0
        self._chunk_ns: int | None = None

    def state(self, stamp_ns: int) -> None:
        """Take note of a state."""
        if stamp_ns != self._state_ns:
            self._state_ns, self._received_s = stamp_ns, time.monotonic()

    def chunk(self, stamp_ns: int) -> None:
        """Take note of a chunk that is followed from now on."""
        self._chunk_ns = stamp_ns

    def command(self, now_ns: int) -> None:
        """Take note of a command; the first one of a chunk ends its way."""
        if self._chunk_ns is not None:
            # On a simulated clock an image may be stamped with a time that has not come here yet.
            self._latency.add(max(now_ns - self._chunk_ns, 0) / NANOSECONDS)
            self._chunk_ns = None

    def command_in_lockstep(self) -> None:
        """Take note of the first command of a chunk; wall time is what was spent meanwhile."""
        self._latency.add(time.monotonic() - self._received_s)

    def values(self, counts: Mapping[str, int]) -> dict[str, object]:
        """Return rates of what is counted, latencies and times."""
        found: dict[str, object] = {}
        for name, count in counts.items():
            rate = self._rates.setdefault(name, Rate())
            found |= {f'{name}_count': count, f'{name}_rate_hz': rate.read(count)}
        return found | latency_values('observation_to_command', self._latency) | self.ticks.values()
