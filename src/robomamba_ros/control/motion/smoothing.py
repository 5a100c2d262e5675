"""Moving averages: what turns a limit on acceleration into one on jerk as well.

The mean of the last n commands has n times less jerk than a change of acceleration within one
period: at most 2 * acceleration / (n * period). Everything convex that holds for the commands (a
box of positions, the norms of velocity and acceleration) holds for their mean, whatever they are,
and a command that stands still is met exactly n periods later. Its delay is (n - 1) / 2 periods.
The method: Biagiotti and Melchiorri, "FIR filters for online trajectory planning with time- and
frequency-domain specifications", Control Engineering Practice 20 (2012).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import copy

import numpy as np

from robomamba_ros.types import Float64Array


def smoothing_periods(limits: Iterable[tuple[float, float | None]], period_s: float) -> int:
    """Return over how many periods to average so as to keep every jerk.

    limits: (acceleration, jerk) pairs; a jerk of None needs no average. Axes share one number, so
    that a straight line stays straight.
    """
    # Rounding must not ask for one more than a ratio that is whole.
    ratios = [2.0 * a / (j * period_s) - 1e-9 for a, j in limits if j is not None]
    return max([1, *(math.ceil(ratio) for ratio in ratios)])


class MovingAverage:
    """The mean of the last `count` vectors (d,), all equal to `start` at first."""

    def __init__(self, count: int, start: Float64Array) -> None:
        self._rows = np.tile(np.asarray(start, dtype=np.float64), (count, 1))
        self._shares = np.arange(count) / count

    def add(self, value: Float64Array) -> Float64Array:
        """Return the mean of `value` and those before it; equal ones give exactly that one."""
        rows = self._rows
        rows[:-1] = rows[1:]
        rows[-1] = value
        mean = value + (rows - value).mean(axis=0)
        return np.asarray(np.clip(mean, rows.min(axis=0), rows.max(axis=0)))

    def copy(self) -> MovingAverage:
        """Return one that goes on from here by itself."""
        other = copy(self)
        other._rows = self._rows.copy()
        return other

    @property
    def pending(self) -> Float64Array:
        """What the means to come add up to, if only zeros follow (d,)."""
        return np.asarray(self._shares @ self._rows, dtype=np.float64)

    @property
    def settled(self) -> bool:
        """Whether the mean stands still."""
        return bool((self._rows == self._rows[-1]).all())
