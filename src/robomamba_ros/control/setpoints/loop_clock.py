"""When a control loop ticks: by the clock, in the arm's own time, and how late."""

from __future__ import annotations

from robomamba_ros.control.setpoints.arm_time import ArmTime
from robomamba_ros.types import NANOSECONDS

# A longer time between two ticks is a clock that jumped, or a loop that stood still [s].
_STALL_S = 1.0


class LoopClock:
    """The last tick of a loop, and the time since the one before.

    streams: nothing moves the arm while a tick is late, so that time does not count for it.
    simulated: somebody else makes the time, who may let it jump while this process runs on.
    time: the arm's own. now_ns, tick_ns: the last tick, by the clock and in the arm's time, None
    before the first. stall_s: the time between the last two ticks; stood_still: whether this
    process stood still meanwhile, for so long that what is streamed has ended. late_s: how much
    later than it was due the last tick came, 0 within two periods.
    """

    def __init__(self, period_ns: int, *, streams: bool, simulated: bool = False) -> None:
        self._period_ns, self._streams, self._simulated = period_ns, streams, simulated
        self.time = ArmTime()
        self.now_ns: int | None = None
        self.tick_ns: int | None = None
        self.stall_s = self.late_s = 0.0
        self.stood_still = False

    def come(self, now_ns: int) -> None:
        """Take note of a tick at now_ns."""
        before_ns, period_s = self.now_ns, self._period_ns / NANOSECONDS
        self.stall_s = 0.0 if before_ns is None else (now_ns - before_ns) / NANOSECONDS
        late_s = self.stall_s - period_s
        self.late_s = late_s if late_s > period_s else 0.0
        self.stood_still = self.jumped and not self._simulated
        if self._streams and before_ns is not None and self.late_s:
            # Caught up at once, what was missed would be run over.
            self.time.stand_still(before_ns, now_ns - self._period_ns)
        self.now_ns = now_ns

    @property
    def jumped(self) -> bool:
        """Whether the last tick came long after the one before, whatever the reason."""
        return self.stall_s > _STALL_S

    def own(self, clock_ns: int) -> int:
        """Return the arm's own time."""
        return self.time.at(clock_ns)

    def forget(self) -> None:
        """Begin anew: no tick has been yet."""
        self.now_ns = self.tick_ns = None
