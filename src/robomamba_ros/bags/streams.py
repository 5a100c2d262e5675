"""Values of one stream by their stamps, and what became of all streams of a recording."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from robomamba_ros.types import NANOSECONDS

T = TypeVar('T')

# How many jumps of the clocks are kept with their times; all are counted.
_JUMPS_KEPT = 5


@dataclass
class Report:
    """What became of the streams; counts by stream, by camera or by reason.

    late: values older than what came before. repeats: ticks without a new image. ages_ns: sum over
    samples of the age of the image. missing: ticks without a sample. breaks: ends of episodes.
    """

    samples: int = 0
    late: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    ages_ns: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    breaks: Counter[str] = field(default_factory=Counter)
    jumps: list[tuple[int, int]] = field(default_factory=list)
    jump_count: int = 0

    def add_jump(self, from_ns: int, to_ns: int) -> None:
        """Count a jump of the stamps."""
        self.jump_count += 1
        if len(self.jumps) < _JUMPS_KEPT:
            self.jumps.append((from_ns, to_ns))

    def describe_jumps(self) -> list[str]:
        """Return a line for each jump that was kept, and one for the number of the others."""
        lines = [describe_jump(*jump) for jump in self.jumps]
        more = self.jump_count - len(lines)
        return [*lines, f'and {more} jumps more'] if more else lines


class Stream(Generic[T]):
    """Values by their stamps, as far back as they are needed."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, T]] = deque()

    @property
    def newest(self) -> tuple[int, T] | None:
        """The last value and its stamp."""
        return self._entries[-1] if self._entries else None

    @property
    def oldest_ns(self) -> int | None:
        """The stamp of the first value that is still there."""
        return self._entries[0][0] if self._entries else None

    def reaches(self, time_ns: int) -> bool:
        """Return whether a value of a time or later is there."""
        return bool(self._entries) and self._entries[-1][0] >= time_ns

    def add(self, stamp_ns: int, value: T) -> bool:
        """Take a value; return whether it is newer than all before, else it is left out."""
        if self.reaches(stamp_ns):
            return False
        self._entries.append((stamp_ns, value))
        return True

    def around(self, time_ns: int) -> tuple[tuple[int, T] | None, tuple[int, T] | None]:
        """Return the last value not after a time, and the first one after it."""
        before = None
        for entry in self._entries:
            if entry[0] > time_ns:
                return before, entry
            before = entry
        return before, None

    def forget_before(self, time_ns: int) -> None:
        """Drop what is not needed from a time on: all but the last value not after it."""
        while len(self._entries) > 1 and self._entries[1][0] <= time_ns:
            self._entries.popleft()


def describe_jump(from_ns: int, to_ns: int) -> str:
    """Say from where to where the clock of a recording jumped [ns]."""
    way = 'ahead' if to_ns > from_ns else 'back'
    return (
        f'the clock jumped {way} from {from_ns / NANOSECONDS:.3f} s to {to_ns / NANOSECONDS:.3f} s'
    )
