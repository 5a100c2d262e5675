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

import numpy as np

from robomamba_ros.control.motion.twin import twin
from robomamba_ros.robots.bounded import clipped
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
        if len(rows) == 1:
            return value
        mean = value + np.add.reduce(rows - value) / len(rows)
        return clipped(mean, np.minimum.reduce(rows), np.maximum.reduce(rows))

    def ahead(self, values: Float64Array) -> Float64Array:
        """Return the means (k, d) to come where values (k, d) are added one after the other."""
        count = len(self._rows)
        if count == 1:
            return values
        rows = np.concatenate((self._rows[1:], values))
        windows = np.lib.stride_tricks.sliding_window_view(rows, count, axis=0)
        means = values + np.add.reduce(windows - values[:, :, None], axis=2) / count
        return clipped(
            means, np.minimum.reduce(windows, axis=2), np.maximum.reduce(windows, axis=2)
        )

    @property
    def count(self) -> int:
        """Over how many vectors it averages."""
        return len(self._rows)

    def copy(self) -> MovingAverage:
        """Return one that goes on from here by itself."""
        other = twin(self)
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
