"""Logs a warning when it begins and counts it from then on, so that none hides another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from robomamba_ros.errors import shortened, without_numbers

# When a warning that does not come again is over [s]; new kinds of them that are logged a second.
QUIET_S, WARN_KINDS = 10.0, 5


@dataclass
class _Warned:
    """A kind of warning: when it came [s], how often, and at which count it is logged next."""

    first_s: float
    last_s: float = 0.0
    count: int = 0
    next: int = 1


class WarningCounts:
    """The warnings of one node, by their text without its numbers.

    log: takes a line that is to be seen. A warning is logged when it begins, and then each time its
    count has grown tenfold. What has not come for QUIET_S is over, and begins anew. A few new kinds
    a second are logged.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._warned: dict[str, _Warned] = {}

    def note(self, error: Exception | str) -> None:
        """Count a warning, and log it where it is time to."""
        text = shortened(str(error))
        now_s, kind = time.monotonic(), without_numbers(text)
        for ended in [k for k, w in self._warned.items() if now_s > w.last_s + QUIET_S]:
            del self._warned[ended]
        if kind not in self._warned:
            if sum(now_s < w.first_s + 1.0 for w in self._warned.values()) >= WARN_KINDS:
                return
            self._warned[kind] = _Warned(now_s)
        warned = self._warned[kind]
        warned.last_s, warned.count = now_s, warned.count + 1
        if warned.count == warned.next:
            warned.next *= 10
            again = f' ({warned.count} times by now)' if warned.count > 1 else ''
            self._log(f'{text}{again}')
