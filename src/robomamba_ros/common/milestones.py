"""Where the time of a program's start goes: when it came how far, from the start of its process."""

from __future__ import annotations

import os
import time
from pathlib import Path

# Fields of /proc/self/stat after the name of the program, see proc(5): its start is the 22nd.
_START_FIELD = 22 - 3


def process_start_s() -> float:
    """Return when this process was started [s of the monotonic clock], to a hundredth."""
    fields = Path('/proc/self/stat').read_text().rpartition(')')[2].split()
    since_boot_s = int(fields[_START_FIELD]) / os.sysconf('SC_CLK_TCK')
    # Unlike the monotonic clock, the time since boot goes on while the machine is suspended.
    return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot_s)


class Milestones:
    """Times at which something was there, in a program whose parts start side by side.

    begin_s: what they count from [s of the monotonic clock]; by default the start of the process.
    """

    def __init__(self, begin_s: float | None = None) -> None:
        self._begin_s = process_start_s() if begin_s is None else begin_s
        self._reached: dict[str, float] = {}

    def reach(self, name: str, at_s: float | None = None) -> None:
        """Note a milestone, now or at a monotonic time; the first time of it counts."""
        self._reached.setdefault(name, time.monotonic() if at_s is None else at_s)

    def stages_s(self, last: str) -> dict[str, float]:
        """Return how long after the milestone before it each came, up to `last`, in their order.

        They add up to the time of `last`. Empty where `last` was not reached.
        """
        if last not in self._reached:
            return {}
        end_s = self._reached[last]
        passed = sorted((at_s, name) for name, at_s in self._reached.items() if at_s < end_s)
        stages, before_s = {}, self._begin_s
        for at_s, name in (*passed, (end_s, last)):
            stages[name] = at_s - before_s
            before_s = at_s
        return stages
