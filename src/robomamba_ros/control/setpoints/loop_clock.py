"""When a control loop ticks: by the clock, in the arm's own time, and how late."""

from __future__ import annotations

from robomamba_ros.control.setpoints.arm_time import ArmTime
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS

# A loop that was not called for longer stood still [s]: what it streams has ended by then, and so
# have trajectories. A base goes on by itself for longer (cmd_vel_timeout).
_STALL_S, _BASE_ENDS_S = 0.3, 0.5
# A longer time between two ticks is a simulated clock that jumped [s].
_JUMP_S = 1.0


class LoopClock:
    """The last tick of a loop, and the time since the one before.

    foresight: controllers of trajectories go on by themselves. simulated: somebody else makes the
    time, who may let it jump while this process runs on. factor: multiplies how long a loop may
    stand still, up to the time that is a jump.
    time: the arm's own. now_ns, tick_ns: the last tick, by the clock and in the arm's time, None
    before the first. stall_s: the time between the last two ticks; stood_still: whether this
    process stood still meanwhile, for so long that what is streamed has ended. late_s: how much
    later than it was due the last tick came, 0 within two periods.
    """

    def __init__(
        self, arm: ArmContract, *, foresight: bool, simulated: bool = False, factor: float = 1.0
    ) -> None:
        self._period_ns, self._simulated = arm.period_ns, simulated
        twists = [output.part for output in arm.outputs if output.kind == 'twist']
        # Positions alone: by twists, and by trajectories, an arm goes on while a tick is late.
        self._streams = not (foresight or twists)
        self._most_s = _JUMP_S if simulated else min(_STALL_S * factor, _JUMP_S)
        self._ends_s = max(self._most_s, _BASE_ENDS_S) if 'base' in twists else self._most_s
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
        self.stood_still = self.stall_s > self._ends_s and not self._simulated
        if self._streams and before_ns is not None and self.late_s:
            # Caught up at once, what was missed would be run over.
            self.time.stand_still(before_ns, now_ns - self._period_ns)
        self.now_ns = now_ns

    @property
    def problem(self) -> str:
        """Why an arm that moved must not go on: the last tick came long after the one before."""
        if self.stall_s <= self._most_s:
            return ''
        if self._simulated:
            return f'the clock went on by {self.stall_s:.3f} s at once'
        return f'the control loop stood still for {self.stall_s:.3f} s'

    def own(self, clock_ns: int) -> int:
        """Return the arm's own time."""
        return self.time.at(clock_ns)

    def forget(self) -> None:
        """Begin anew: no tick has been yet."""
        self.now_ns = self.tick_ns = None
