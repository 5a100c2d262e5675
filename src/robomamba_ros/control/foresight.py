"""Computes commands ahead of time, for controllers that are sent whole trajectories.

A copy of the arm's motion runs ahead through the code that the setpoint loop runs, so a forecast
is what the loop will command, to the bit, as long as nothing intervenes. Knows nothing about
messages.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from robomamba_ros.control.course import Course, advance
from robomamba_ros.control.joint_motion import JointMotion
from robomamba_ros.types import NANOSECONDS, Float64Array

# A forecast takes longer than a control period. So a trajectory begins with this much of it [ns],
# braked to rest from there; the next one goes on when less than _RESERVE_NS of it is left.
_FIRST_NS, _RESERVE_NS = 3 * NANOSECONDS // 10, NANOSECONDS // 5
# How much is computed ahead in a time, in parts of it.
_PACE = 4
_FOR_EVER = 2**63


@dataclass(frozen=True)
class Trajectory:
    """Points of all joints in the contract's order, one a control period, the last at rest.

    times_ns (k,) increase by the period; positions, velocities (k, n) [rad or m, per s].

    A point lies midway between two commands, with the velocity between them. A cubic through such
    points, which is what a joint_trajectory_controller computes, is then the parabola between
    them: it has the velocities and accelerations of the commands and so exceeds no limit that they
    keep. Commands taken for points would overshoot between themselves.
    """

    times_ns: tuple[int, ...]
    positions: Float64Array
    velocities: Float64Array


class Forecast:
    """The commands after tick_ns: along the course, then to rest.

    motion: as it is after the tick; a copy of it is used. complete: whether all are computed.
    end_ns: the tick that was computed last.
    """

    def __init__(
        self, motion: JointMotion, course: Course | None, tick_ns: int, period_ns: int
    ) -> None:
        self._motion = motion.copy()
        self._course = course
        self._period_ns = period_ns
        self._points = _Points(period_ns)
        self.end_ns = tick_ns
        self.complete = False

    def extend(self, until_ns: int) -> None:
        """Compute up to the tick at until_ns, or to rest."""
        while self.end_ns < until_ns and not self.complete:
            self.end_ns += self._period_ns
            followed = advance(self._motion, self._course, self.end_ns, self._period_ns)
            if not followed or self._motion.trouble:
                self._course = None
            self._points.add(self.end_ns, self._motion)
            self.complete = self._course is None and self._motion.at_rest

    def trajectory(self, now_ns: int) -> Trajectory:
        """Return what lies ahead of what is computed so far, and a stop joint by joint from there.

        The last point is there even where it has passed.
        """
        points, end_ns = self._points.copy(), self.end_ns
        stop = self._motion.copy()
        stop.give_up_pose()
        while not stop.at_rest:
            stop.brake()
            end_ns += self._period_ns
            points.add(end_ns, stop)
        return points.trajectory(now_ns)


class Foresight:
    """Keeps trajectory controllers supplied, and knows what they do meanwhile.

    A change of course is sent at once: a few tenths of a second, then a stop. What comes after is
    computed beside the control periods that follow, and sent before that stop begins, until the
    whole course is sent.
    """

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._forecast: Forecast | None = None
        self._course: Course | None = None
        self._covered_ns: int | None = None
        self._extended_ns = 0

    def restart(self, motion: JointMotion, course: Course | None, tick_ns: int) -> None:
        """Forecast another course from the command of the tick at tick_ns on."""
        self._course = course
        self._forecast = Forecast(motion, course, tick_ns, self._period_ns)
        self._forecast.extend(tick_ns + max(_FIRST_NS, self._period_ns))
        self._covered_ns = None

    def drop_course(self) -> None:
        """Take note that the controllers brake from here on, as was forecast."""
        self._course = None

    def clear(self) -> None:
        """Forget the course: nothing is commanded any more."""
        self._forecast = self._course = self._covered_ns = None

    def due(self, now_ns: int) -> Trajectory | None:
        """Return the trajectory to send now, None while the last one still holds."""
        forecast, covered_ns = self._forecast, self._covered_ns
        if forecast is None or covered_ns == _FOR_EVER:
            return None
        if covered_ns is not None:
            forecast.extend(forecast.end_ns + _PACE * (now_ns - self._extended_ns))
        self._extended_ns = now_ns
        if covered_ns is not None and not forecast.complete and covered_ns - now_ns > _RESERVE_NS:
            return None
        self._covered_ns = _FOR_EVER if forecast.complete else forecast.end_ns
        return forecast.trajectory(now_ns)

    def relive(self, motion: JointMotion, tick_ns: int) -> str:
        """Move as the controllers did by themselves in the period that begins at tick_ns.

        Returns why they stop in it, '' where they do not.
        """
        problem = ''
        if self._covered_ns is not None and tick_ns > self._covered_ns:
            self._forecast = self._course = None
            self._covered_ns = _FOR_EVER
            motion.give_up_pose()
            problem = 'the control loop stood still for longer than its controllers had been told'
        if advance(motion, self._course, tick_ns, self._period_ns) and motion.trouble:
            self._course = None
            problem = motion.trouble
        return problem

    def is_over(self, tick_ns: int) -> bool:
        """Tell whether nothing is followed any more in the period that begins at tick_ns."""
        return self._course is None or tick_ns >= self._course.end_ns


class _Points:
    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._times_ns: list[int] = []
        self._positions: list[Float64Array] = []
        self._velocities: list[Float64Array] = []

    def add(self, tick_ns: int, motion: JointMotion) -> None:
        """Take the point midway to the command that is reached a period after tick_ns."""
        half_ns = self._period_ns // 2
        self._times_ns.append(tick_ns + self._period_ns - half_ns)
        self._positions.append(motion.joints - motion.velocity * (half_ns / NANOSECONDS))
        self._velocities.append(motion.velocity)

    def copy(self) -> _Points:
        other = _Points(self._period_ns)
        other._times_ns = list(self._times_ns)
        other._positions, other._velocities = list(self._positions), list(self._velocities)
        return other

    def trajectory(self, now_ns: int) -> Trajectory:
        first = min(bisect_right(self._times_ns, now_ns), len(self._times_ns) - 1)
        return Trajectory(
            tuple(self._times_ns[first:]),
            np.array(self._positions[first:]),
            np.array(self._velocities[first:]),
        )
