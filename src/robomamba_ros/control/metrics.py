"""Latencies of the last runs, for diagnostics. Reads no clock: durations come in."""

from __future__ import annotations

from collections import deque

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
