"""The time of an arm that a controller slows down, or that nobody commanded for a while.

A controller that scales adds period * scaling to the time of its trajectory in each update. What
is planned in that time stays with the arm at 50 % and through a pause. Reads no clock.
"""

from __future__ import annotations

from bisect import bisect_right

from robomamba_ros.errors import ObservationError
from robomamba_ros.types import NANOSECONDS

# How long past changes are remembered [ns].
_SPAN_NS = 10 * NANOSECONDS


def check_scale(scale: float) -> None:
    """Raise ObservationError on a speed scaling that is not within 0..1."""
    if not 0.0 <= scale <= 1.0:
        raise ObservationError(f'the speed scaling is {scale}, allowed: 0 to 1')


class ArmTime:
    """Maps the clock to the arm's own time, both in nanoseconds; the same until it is scaled."""

    def __init__(self) -> None:
        # From which time on, the arm's time there, and the scale since.
        self._changes: list[tuple[int, int, float]] = [(0, 0, 1.0)]

    def set_scale(self, scale: float, now_ns: int) -> None:
        """Slow the arm's time to `scale`, 0..1, from now_ns on.

        Raises ObservationError on another number. A change in the past counts from the last one.
        """
        check_scale(scale)
        if scale == self._changes[-1][2]:
            return
        now_ns = max(now_ns, self._changes[-1][0])
        self._changes.append((now_ns, self.at(now_ns), scale))
        self._forget(now_ns)

    def stand_still(self, since_ns: int, until_ns: int) -> None:
        """Take out the time between two moments since the last change: nothing moved the arm."""
        here_ns, scale = self.at(since_ns), self._changes[-1][2]
        self._changes += [(since_ns, here_ns, 0.0), (until_ns, here_ns, scale)]
        self._forget(until_ns)

    def _forget(self, now_ns: int) -> None:
        while len(self._changes) > 1 and self._changes[1][0] < now_ns - _SPAN_NS:
            self._changes.pop(0)

    def at(self, clock_ns: int) -> int:
        """Return the arm's time at a time of the clock."""
        index = bisect_right(self._changes, clock_ns, key=lambda change: change[0])
        since_ns, arm_ns, scale = self._changes[max(index - 1, 0)]
        return (
            arm_ns + round((clock_ns - since_ns) * scale)
            if scale != 1.0
            else (arm_ns + clock_ns - since_ns)
        )
