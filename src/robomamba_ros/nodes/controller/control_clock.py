"""The control's time: the node's clock, unaffected by changes of the system clock.

A real arm is moved by the steady clock: NTP or a person may set the system clock at any time, and
an arm that brakes must brake on. With simulated time both are one.
"""

from __future__ import annotations

import time
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType

from robomamba_ros.types import NANOSECONDS

# Further than this the system clock was set [ns]; within it, it is followed.
JUMP_NS = NANOSECONDS // 20
# By which share of the passing time: an order more than clocks are slewed by (500 ppm).
SLEW = 0.005


class ControlClock:
    """Nanoseconds that stamps are compared with, as long as the two clocks agree.

    simulated: whether the node's clock is /clock, as it was when the node was made; it cannot be
    changed while the node is up. step_ns: in lockstep the time of the step that runs, which the
    message on /clock may follow.
    """

    def __init__(self, node: Any) -> None:
        self._clock = node.get_clock()
        self.simulated = bool(node.get_parameter('use_sim_time').value)
        self.step_ns: int | None = None
        self._steady_ns = self._steady()
        self._offset_ns = self._system() - self._steady_ns

    @property
    def timer_clock(self) -> Clock:
        """The clock that a control timer runs by."""
        return self._clock if self.simulated else Clock(clock_type=ClockType.STEADY_TIME)

    def now_ns(self) -> int:
        """Return the time [ns]."""
        if self.step_ns is not None:
            return self.step_ns
        return self._system() if self.simulated else self._steady() + self._offset_ns

    def jump_s(self) -> float:
        """Return how far the system clock was set since `follow` [s]; 0 where it was not.

        Small differences are made up for, a little at each call.
        """
        if self.simulated:
            return 0.0
        now_ns = self._steady()
        most_ns = SLEW * (now_ns - self._steady_ns)
        self._steady_ns = now_ns
        drift_ns = self._measured_offset_ns() - self._offset_ns
        if abs(drift_ns) > JUMP_NS:
            return drift_ns / NANOSECONDS
        self._offset_ns += round(max(-most_ns, min(most_ns, drift_ns)))
        return 0.0

    def follow(self) -> None:
        """Take the system clock as it is now, after a jump."""
        self._offset_ns = self._measured_offset_ns()

    def _measured_offset_ns(self) -> int:
        before_ns = self._steady()
        system_ns = self._system()
        after_ns = self._steady()
        # Whoever is interrupted between the two readings sees no jump in it.
        low_ns, high_ns = system_ns - after_ns, system_ns - before_ns
        return max(low_ns, min(high_ns, self._offset_ns))

    def _system(self) -> int:
        return int(self._clock.now().nanoseconds)

    @staticmethod
    def _steady() -> int:
        return time.monotonic_ns()
