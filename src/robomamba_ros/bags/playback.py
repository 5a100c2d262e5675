"""Schedules a recording for playback: its rate, pauses, and ticks of a clock between messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from robomamba_ros.bags.records import Record


def with_ticks(
    records: Iterable[Record], begin_ns: int, end_ns: int, period_ns: int
) -> Iterator[tuple[int, Record | None]]:
    """Yield what is due up to `end_ns`, by time [ns]: a record, or None for a tick of the clock.

    period_ns: from tick to tick, from `begin_ns` on; 0: no ticks.
    """
    tick_ns = begin_ns
    for record in records:
        due_ns = min(record.log_ns, end_ns)
        while period_ns and tick_ns <= due_ns:
            yield tick_ns, None
            tick_ns += period_ns
        if record.log_ns > end_ns:
            return
        yield record.log_ns, record


class PlaybackClock:
    """Maps wall time to a bag's time, both in ns; it stands still until `resume`.

    rate: seconds of the bag in a second on the wall.
    """

    def __init__(self, start_ns: int, rate: float) -> None:
        self._bag_ns = start_ns
        self._rate = rate
        self._since_ns: int | None = None

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._since_ns is None

    def bag_ns(self, wall_ns: int) -> int:
        """Return the bag's time at a wall time."""
        if self._since_ns is None:
            return self._bag_ns
        return self._bag_ns + round((wall_ns - self._since_ns) * self._rate)

    def wait_ns(self, bag_ns: int, wall_ns: int) -> int | None:
        """Return how long it takes from `wall_ns` to a bag's time, None while it stands still."""
        if self._since_ns is None:
            return None
        return max(0, round((bag_ns - self.bag_ns(wall_ns)) / self._rate))

    def pause(self, wall_ns: int) -> None:
        """Stand still."""
        self._bag_ns, self._since_ns = self.bag_ns(wall_ns), None

    def resume(self, wall_ns: int) -> None:
        """Go on."""
        if self._since_ns is None:
            self._since_ns = wall_ns
