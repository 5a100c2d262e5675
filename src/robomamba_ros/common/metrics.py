"""Counters and latencies for diagnostics. Reads no clock: durations are arguments."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

import numpy as np

from robomamba_ros.types import Float64Array


class LatencyWindow:
    """The last `size` durations [s]; older ones are forgotten, so that memory is bounded."""

    def __init__(self, size: int = 1000) -> None:
        self._durations: deque[float] = deque(maxlen=size)

    def add(self, duration_s: float) -> None:
        """Record one duration [s]."""
        self._durations.append(duration_s)

    @property
    def count(self) -> int:
        """How many durations the window holds."""
        return len(self._durations)

    @property
    def durations(self) -> Float64Array:
        """The durations in the window (n,) [s], oldest first."""
        return np.array(self._durations, dtype=np.float64)

    @property
    def p50(self) -> float:
        """The median [s]; NaN while the window is empty."""
        return self._percentile(50.0)

    @property
    def p99(self) -> float:
        """The 99th percentile [s]; NaN while the window is empty."""
        return self._percentile(99.0)

    def _percentile(self, percent: float) -> float:
        return float(np.percentile(self._durations, percent)) if self._durations else float('nan')


class TickTimes:
    """How long control periods take to compute, and how punctually they begin.

    period_s: of control [s]. An overrun is a tick that took longer than a period, or began more
    than half a period later than it was due after the one before: the arm got a command late.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._took, self._late = LatencyWindow(), LatencyWindow()
        self._begun_s: float | None = None
        self._count = self._overruns = 0
        self._longest_s = self._latest_s = 0.0

    def add(self, begun_s: float, ended_s: float, *, punctual: bool = True) -> None:
        """Record a tick by the times of its begin and its end [s].

        punctual: whether the one before began a period earlier; not so where time is simulated.
        """
        took_s, late_s = ended_s - begun_s, 0.0
        if punctual and self._begun_s is not None:
            late_s = max(begun_s - self._begun_s - self._period_s, 0.0)
        self._begun_s = begun_s
        self._took.add(took_s)
        self._late.add(late_s)
        self._count += 1
        self._overruns += took_s > self._period_s or late_s > 0.5 * self._period_s
        self._longest_s, self._latest_s = max(self._longest_s, took_s), max(self._latest_s, late_s)

    def values(self) -> dict[str, float | int]:
        """Return all as plain values by name; the share is of all ticks, 0..1."""
        if not self._count:
            return {'ticks': 0}
        return {
            'ticks': self._count,
            'tick_p50_ms': 1e3 * self._took.p50,
            'tick_p99_ms': 1e3 * self._took.p99,
            'tick_max_ms': 1e3 * self._longest_s,
            'late_p50_ms': 1e3 * self._late.p50,
            'late_p99_ms': 1e3 * self._late.p99,
            'late_max_ms': 1e3 * self._latest_s,
            'overruns': self._overruns,
            'overrun_share': self._overruns / self._count,
        }


class MotionCounts:
    """What the setpoints of a run met: limits, seams, refusals and stops.

    limited: setpoints that a limit kept from their point. dropped_states: measurements that were
    of no use.
    """

    def __init__(self) -> None:
        self.setpoints = 0
        self.limited = 0
        self.dropped_states = 0
        self._active_limits: Counter[str] = Counter()
        self._jumps = {'m': 0.0, 'rad': 0.0, 'joint': 0.0}
        self._refused = 0
        self._refusal = ''
        self._stops = 0
        self._stop = ''

    def add_setpoint(self, active_limits: Iterable[str]) -> None:
        """Count one setpoint and the limits that bit it."""
        active = tuple(active_limits)
        self.setpoints += 1
        self.limited += bool(active)
        self._active_limits.update(active)

    def add_seam(self, way_m: float, turn_rad: float, joint: float) -> None:
        """Record the jumps of a seam: of the pose, or of the joint that jumps most [rad or m]."""
        for name, jump in (('m', way_m), ('rad', turn_rad), ('joint', joint)):
            self._jumps[name] = max(jump, self._jumps[name])

    def add_refusal(self, reason: str) -> None:
        """Count a chunk that was refused."""
        self._refused += 1
        self._refusal = reason

    def add_stop(self, reason: str) -> None:
        """Count a stop."""
        self._stops += 1
        self._stop = reason

    def values(self) -> dict[str, float | int | str]:
        """Return all as plain values by name; shares are of all setpoints, 0..1."""
        values: dict[str, float | int | str] = {'limited_setpoints': self.limited}
        if self.setpoints:
            values['limited_share'] = self.limited / self.setpoints
        for name, count in sorted(self._active_limits.items()):
            values[f'limited_by_{name}'] = count / self.setpoints
        for name, jump in self._jumps.items():
            values[f'seam_jump_max_{name}'] = jump
        values['refused_chunks'] = self._refused
        values['dropped_states'] = self.dropped_states
        values['stops'] = self._stops
        if self._refusal:
            values['last_refusal'] = self._refusal
        if self._stop:
            values['last_stop'] = self._stop
        return values
