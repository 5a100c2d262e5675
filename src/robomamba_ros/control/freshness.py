"""Tells which input is late, and by how much. Reads no clock: the time comes in."""

from __future__ import annotations

from collections.abc import Mapping

from robomamba_ros.errors import ObservationError, unknown_name
from robomamba_ros.types import NANOSECONDS


class Freshness:
    """The newest stamp of each stream against the age it may have.

    budgets: stream -> age at which it is late [s].
    """

    def __init__(self, budgets: Mapping[str, float]) -> None:
        self.budgets = dict(budgets)
        self._stamps: dict[str, int] = {}

    def note(self, stream: str, stamp_ns: int) -> None:
        """Record a message; an older one than the newest changes nothing."""
        if stream not in self.budgets:
            raise ObservationError(unknown_name('stream', stream, self.budgets))
        self._stamps[stream] = max(stamp_ns, self._stamps.get(stream, stamp_ns))

    def age_s(self, stream: str, now_ns: int) -> float | None:
        """Return the age of the newest message [s], None where there was none yet."""
        stamp_ns = self._stamps.get(stream)
        return None if stamp_ns is None else (now_ns - stamp_ns) / NANOSECONDS

    def problems(self, now_ns: int, reader_late_s: float = 0.0) -> tuple[str, ...]:
        """Return one sentence per stream that cannot be trusted at `now_ns`, none if all can.

        reader_late_s: how much later than it was due whoever asks does so [s]. Messages may have
        come meanwhile and wait to be read, so it is named beside a stream that is late.

        A stamp further ahead of the clock than the budget is as wrong as one too far behind: an
        age that stays negative would hide for ever that the stream has stopped.
        """
        return tuple(
            problem
            for stream in self.budgets
            if (problem := self.problem(stream, now_ns, reader_late_s))
        )

    def problem(self, stream: str, now_ns: int, reader_late_s: float = 0.0) -> str:
        """Return why one stream cannot be trusted at `now_ns`, '' where it can."""
        age_s, budget_s = self.age_s(stream, now_ns), self.budgets[stream]
        return _problem(stream, age_s, budget_s, reader_late_s)

    def clear(self) -> None:
        """Forget every message."""
        self._stamps.clear()


def _problem(stream: str, age_s: float | None, budget_s: float, reader_late_s: float) -> str:
    if age_s is None:
        return f'{stream}: nothing received yet'
    if age_s > budget_s:
        busy = f' (this node itself ran {reader_late_s:.3f} s late: the machine was busy)'
        late = f'{stream} is late: {age_s:.3f} s old, budget {budget_s:.3f} s'
        return late + busy if reader_late_s > 0.0 else late
    if age_s < -budget_s:
        return (
            f'{stream} is stamped {-age_s:.3f} s ahead of the clock: the clocks differ, or '
            'use_sim_time is not the same everywhere'
        )
    return ''
