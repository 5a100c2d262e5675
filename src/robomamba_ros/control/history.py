"""Values by time, looked up between their stamps: states measured, points commanded."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Generic, TypeVar

from robomamba_ros.errors import ObservationError
from robomamba_ros.spatial.transforms import interpolate_states
from robomamba_ros.types import NANOSECONDS, RobotState

T = TypeVar('T')


class History(Generic[T]):
    """The values of the last `span_s` seconds; their stamps only ever increase.

    mix: returns the value a fraction 0..1 of the way from one to another.
    """

    def __init__(self, mix: Callable[[T, T, float], T], span_s: float = 10.0) -> None:
        self._mix = mix
        self._span_ns = round(span_s * NANOSECONDS)
        self._entries: deque[tuple[int, T]] = deque()

    @property
    def newest(self) -> T | None:
        """The last value added."""
        return self._entries[-1][1] if self._entries else None

    @property
    def oldest_ns(self) -> int | None:
        """The stamp of the first value that is still remembered."""
        return self._entries[0][0] if self._entries else None

    def put(self, stamp_ns: int, value: T) -> None:
        """Remember a value; the same stamp again changes nothing, an older one is refused."""
        if self._entries and stamp_ns <= self._entries[-1][0]:
            back_s = (self._entries[-1][0] - stamp_ns) / NANOSECONDS
            if back_s == 0.0:
                return
            raise ObservationError(
                f'a state is stamped {back_s:.3f} s before the one received last; it is ignored. '
                'After a jump of the clock (a bag that starts over) reset the node.'
            )
        self._entries.append((stamp_ns, value))
        while stamp_ns - self._entries[0][0] > self._span_ns:
            self._entries.popleft()

    def at(self, time_ns: int) -> T | None:
        """Return the value at `time_ns`, mixed; the first or last one outside the history.

        A value stamped exactly so is returned as it is. None while the history is empty.
        """
        if not self._entries:
            return None
        index = bisect_right(self._entries, time_ns, key=lambda entry: entry[0])
        if index == 0:
            return self._entries[0][1]
        before_ns, before = self._entries[index - 1]
        if index == len(self._entries) or before_ns == time_ns:
            return before
        after_ns, after = self._entries[index]
        return self._mix(before, after, (time_ns - before_ns) / (after_ns - before_ns))

    def since(self, time_ns: int) -> list[tuple[int, T]]:
        """Return the values with their stamps, from the last one up to `time_ns` on."""
        first = bisect_right(self._entries, time_ns, key=lambda entry: entry[0]) - 1
        return list(islice(self._entries, max(first, 0), None))

    def copy(self) -> History[T]:
        """Return what is remembered now; any thread may ask."""
        other = History(self._mix)
        # One call of C, so that nothing is put in meanwhile.
        other._entries = self._entries.copy()
        return other

    def clear(self) -> None:
        """Forget every value."""
        self._entries.clear()


class StateHistory(History[RobotState]):
    """The states of the arm, each under its own stamp.

    wraps: joints that are where they were after a whole turn. Their positions go on without a
    step where a driver takes a turn off them.
    """

    def __init__(self, span_s: float = 10.0, wraps: tuple[str, ...] = ()) -> None:
        super().__init__(interpolate_states, span_s)
        self._wraps = wraps

    def add(self, state: RobotState) -> None:
        """Remember a state; the same stamp again changes nothing, an older one is refused."""
        before = self.newest
        if before is not None and self._wraps:
            turns = {
                name: round((before.joints[name] - state.joints[name]) / (2.0 * math.pi))
                for name in self._wraps
                if name in before.joints and name in state.joints
            }
            if any(turns.values()):
                whole = {name: state.joints[name] + 2.0 * math.pi * n for name, n in turns.items()}
                state = replace(state, joints={**state.joints, **whole})
        self.put(state.stamp_ns, state)
