"""Computes commands ahead of time, for controllers that are sent whole trajectories.

A copy of the arm's motion runs ahead through the code that the setpoint loop runs, so a forecast is
what the loop will command, to the bit, as long as nothing intervenes.
"""

from __future__ import annotations

from bisect import bisect_right
from copy import copy
from dataclasses import dataclass

import numpy as np

from robomamba_ros.control.motion.course import Plan, advance
from robomamba_ros.control.motion.joint_motion import JointMotion
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, Float64Array

# A trajectory brakes to rest after this time [ns]: what an arm does where the loop has died. The
# next one is sent when less than _RESERVE_NS of it is left, or what a late tick needs, _LATE_NS
# beyond the lead.
_COVER_NS, _RESERVE_NS = 3 * NANOSECONDS // 10, NANOSECONDS // 5
_LATE_NS = NANOSECONDS // 20
_FOR_EVER = 2**63
STOOD_STILL = 'the control loop stood still for longer than its controllers had been told'


@dataclass(frozen=True)
class Trajectory:
    """Points of all joints in the contract's order, one a control period, the last at rest.

    times_ns (k,) increase by the period; positions, velocities, accelerations (k, n) [rad or m,
    per s, per s^2].

    They are those of the cubic B-spline whose control points are the commands. A quintic through
    them, which is what a joint_trajectory_controller computes, is that spline: its positions,
    velocities, accelerations and jerks are means of the commands' own, and so exceed no limit, at
    no time between them. The commands themselves taken for points would overshoot.
    """

    times_ns: tuple[int, ...]
    positions: Float64Array
    velocities: Float64Array
    accelerations: Float64Array


class Forecast:
    """The commands after tick_ns: along the plan, then to rest.

    motion: as it is after the tick; a copy of it is used. complete: whether all are computed.
    end_ns: the tick that was computed last.
    """

    def __init__(self, motion: JointMotion, plan: Plan, tick_ns: int, period_ns: int) -> None:
        self._motion = motion.copy()
        self._plan = plan
        self._period_ns = period_ns
        self._points = _Points(period_ns, motion)
        self.end_ns = tick_ns
        self.complete = False

    def extend(self, until_ns: int) -> None:
        """Compute up to the tick at until_ns; and to rest, once nothing is followed any more."""
        while not self.complete and (self.end_ns < until_ns or self._plan.is_over(self.end_ns)):
            self.end_ns += self._period_ns
            followed = advance(self._motion, self._plan, self.end_ns, self._period_ns)
            if followed and self._motion.trouble:
                self._plan = Plan()
            self._points.add(self.end_ns, self._motion)
            self.complete = self._plan.is_over(self.end_ns) and self._motion.at_rest

    def trajectory(self, now_ns: int) -> Trajectory:
        """Return what lies ahead of what is computed so far, and a stop joint by joint from there.

        The last point is there even where it has passed.
        """
        points, end_ns = self._points.copy(), self.end_ns
        stop = self._motion.copy()
        stop.give_up_pose()
        while not (stop.at_rest and points.at_rest):
            stop.brake()
            end_ns += self._period_ns
            points.add(end_ns, stop)
        return points.trajectory(now_ns)


class Foresight:
    """Keeps trajectory controllers supplied, and knows what they do meanwhile.

    A change of course is sent at once: a few tenths of a second, then a stop. What comes after is
    computed beside the control periods that follow, and sent before that stop begins.

    delay_ns: how long after a tick another course begins. Controllers come onto a trajectory
    within that time, and by then have to be on the same way as before.
    """

    def __init__(self, arm: ArmContract) -> None:
        self._period_ns = arm.period_ns
        self.delay_ns = _delay_ns(arm)
        self._forecast: Forecast | None = None
        self._plan = Plan()
        self._covered_ns: int | None = None
        self._reserve_ns = max(_RESERVE_NS, self.delay_ns + _LATE_NS)
        self._cover_ns = max(_COVER_NS, self._reserve_ns + _LATE_NS)

    def restart(self, motion: JointMotion, plan: Plan, tick_ns: int) -> None:
        """Forecast another plan from the command of the tick at tick_ns on."""
        self._plan = plan
        self._forecast = Forecast(motion, plan, tick_ns, self._period_ns)
        self._forecast.extend(tick_ns + self._cover_ns)
        self._covered_ns = None

    def give_up(self) -> None:
        """Take note that the controllers brake from here on, as was forecast."""
        self._plan = Plan()

    def clear(self) -> None:
        """Forget the plan: nothing is commanded any more."""
        self._plan = Plan()
        self._forecast = self._covered_ns = None

    def due(self, now_ns: int) -> Trajectory | None:
        """Return the trajectory to send now, None while the last one still holds."""
        forecast, covered_ns = self._forecast, self._covered_ns
        if forecast is None or covered_ns == _FOR_EVER:
            return None
        # One period in each period, so that it costs the same in all.
        forecast.extend(now_ns + self._cover_ns)
        if covered_ns is not None and covered_ns - now_ns > self._reserve_ns:
            return None
        self._covered_ns = _FOR_EVER if forecast.complete else forecast.end_ns
        return forecast.trajectory(now_ns)

    def relive(self, motion: JointMotion, tick_ns: int) -> str:
        """Move as the controllers did by themselves in the period that begins at tick_ns.

        Returns why they stop in it, '' where they do not.
        """
        problem = ''
        if self._covered_ns is not None and tick_ns > self._covered_ns:
            self._forecast, self._plan = None, Plan()
            self._covered_ns = _FOR_EVER
            motion.give_up_pose()
            problem = STOOD_STILL
        if advance(motion, self._plan, tick_ns, self._period_ns) and motion.trouble:
            self._plan = Plan()
            problem = motion.trouble
        return problem

    def is_over(self, tick_ns: int) -> bool:
        """Tell whether nothing is followed any more from the period that begins at tick_ns on."""
        return self._plan.is_over(tick_ns)


def _delay_ns(arm: ArmContract) -> int:
    """Return the longest lead of a trajectory in whole periods, at least two.

    What is between two points depends on the command after the second.
    """
    sent = (o for o in arm.outputs if o.kind == 'joint_trajectory' and o.part != 'gripper')
    leads = [output.lead_s or 0.0 for output in sent]
    return max(2, *(-(-round(s * NANOSECONDS) // arm.period_ns) for s in leads)) * arm.period_ns


class _Points:
    """The points of commands, each as soon as the command after it is known."""

    def __init__(self, period_ns: int, motion: JointMotion) -> None:
        self._period_ns = period_ns
        self._last = motion.joints, motion.velocity
        self._times_ns: list[int] = []
        self._rows: list[tuple[Float64Array, Float64Array, Float64Array]] = []

    @property
    def at_rest(self) -> bool:
        """Whether the last point stands still."""
        return bool(self._rows) and not (self._rows[-1][1].any() or self._rows[-1][2].any())

    def add(self, tick_ns: int, motion: JointMotion) -> None:
        """Take the command of the tick, and the point of the one before it, reached at tick_ns."""
        period_s = self._period_ns / NANOSECONDS
        joints, before = self._last
        after = motion.velocity
        change = after - before
        self._times_ns.append(tick_ns)
        self._rows.append(
            (joints + change * (period_s / 6.0), (before + after) / 2.0, change / period_s)
        )
        self._last = motion.joints, after

    def copy(self) -> _Points:
        other = copy(self)
        other._times_ns, other._rows = list(self._times_ns), list(self._rows)
        return other

    def trajectory(self, now_ns: int) -> Trajectory:
        first = min(bisect_right(self._times_ns, now_ns), len(self._times_ns) - 1)
        positions, velocities, accelerations = np.array(self._rows[first:]).swapaxes(0, 1)
        return Trajectory(tuple(self._times_ns[first:]), positions, velocities, accelerations)
