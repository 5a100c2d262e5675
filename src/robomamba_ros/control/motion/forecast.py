"""Computes commands ahead of time, for controllers that are sent whole trajectories.

A copy of the arm's motion runs ahead through the code that the setpoint loop runs, so a forecast is
what the loop will command, to the bit, as long as nothing intervenes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from robomamba_ros.control.motion.course import Course, Plan, advance
from robomamba_ros.control.motion.joint_motion import JointMotion
from robomamba_ros.control.motion.trajectory import Points, Trajectory
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS

# A trajectory brakes to rest after this time [ns]: what an arm does where the loop has died. The
# next one is sent when less than _RESERVE_NS of it is left, or what a late tick needs, _LATE_NS
# beyond the lead.
_COVER_NS, _RESERVE_NS = 3 * NANOSECONDS // 10, NANOSECONDS // 5
_LATE_NS = NANOSECONDS // 20
# How many periods with inverse kinematics are computed beside a control period, at most, and twice
# as many without; where the course changes, what a late tick needs beyond the lead, and one more.
_WITH_POSE = 4
_FOR_EVER = 2**63
STOOD_STILL = 'the control loop stood still for longer than its controllers had been told'


@dataclass(frozen=True)
class Step:
    """The motion at the end of the period that begins at tick_ns.

    followed: the course that was followed in it, None where the motion brakes.
    """

    tick_ns: int
    motion: JointMotion
    followed: Course | None


class Forecast:
    """The commands after tick_ns: along the plan, then to rest.

    motion: as it is after the tick; copies of it are used. known: steps after that one that are
    known already. complete: whether all are computed, but for a stop joint by joint. end_ns: the
    tick that was computed last.
    """

    def __init__(
        self,
        motion: JointMotion,
        plan: Plan,
        tick_ns: int,
        period_ns: int,
        known: Iterable[Step] = (),
    ) -> None:
        self._motion = motion.copy()
        self._plan = plan
        self._period_ns = period_ns
        self._points = Points(period_ns, motion)
        self._ahead: deque[Step] = deque()
        self.end_ns = tick_ns
        self.complete = False
        for step in known:
            self._add(step)

    def extend(self, until_ns: int, with_pose: int) -> None:
        """Compute up to the tick at until_ns; and to rest, once nothing is followed any more.

        with_pose: after how many periods with inverse kinematics to leave the rest for later.
        """
        left = 2 * with_pose
        while (
            left > 0
            and not self.complete
            and (self.end_ns < until_ns or self._plan.is_over(self.end_ns))
        ):
            motion, tick_ns = self._motion.copy(), self.end_ns + self._period_ns
            self._add(Step(tick_ns, motion, advance(motion, self._plan, tick_ns, self._period_ns)))
            left -= 2 if motion.by_pose else 1

    def _add(self, step: Step) -> None:
        self._motion, self.end_ns = step.motion, step.tick_ns
        if step.followed and step.motion.problem:
            self._plan = Plan()
        self._points.add(step.tick_ns, step.motion)
        self._ahead.append(step)
        # A stop joint by joint is what every trajectory ends with.
        self.complete = self._plan.is_over(step.tick_ns) and step.motion.brakes_by_joint

    def steps(self, since_ns: int, until_ns: int) -> list[Step]:
        """Return those of the ticks from since_ns on, before until_ns."""
        return [step for step in self._ahead if since_ns <= step.tick_ns < until_ns]

    def end(self, end_ns: int) -> None:
        """Brake joint by joint after the tick at end_ns, as what was sent up to it does."""
        for step in self.steps(end_ns, end_ns + 1):
            step.motion.give_up_pose()

    def forget(self, until_ns: int) -> None:
        """Forget the ticks before until_ns."""
        while self._ahead and self._ahead[0].tick_ns < until_ns:
            self._ahead.popleft()
        self._points.forget(until_ns)

    def trajectory(self, now_ns: int) -> Trajectory:
        """Return what lies ahead of what is computed so far, and a stop joint by joint from there.

        The last point is there even where it has passed.
        """
        return self._points.trajectory(now_ns, *self._motion.stop())


class Foresight:
    """Keeps trajectory controllers supplied, and knows what they do meanwhile.

    A change of course is sent at once: what late ticks need of it, then a stop. What comes after
    is computed beside the control periods that follow, a few periods in each so that none takes
    long, and sent before that stop begins.

    delay_ns: how long after a tick another course begins. Controllers come onto a trajectory
    within that time, and by then have to be on the same way as before.
    """

    def __init__(self, arm: ArmContract) -> None:
        self._period_ns = arm.period_ns
        self.delay_ns = _delay_ns(arm)
        self._forecast: Forecast | None = None
        self._plan = Plan()
        self._covered_ns: int | None = None
        self._least_ns = self.delay_ns + _LATE_NS
        self._reserve_ns = max(_RESERVE_NS, self._least_ns)
        self._cover_ns = max(_COVER_NS, self._reserve_ns + _LATE_NS)
        self._first = max(-(-_LATE_NS // arm.period_ns), self.delay_ns // arm.period_ns) + 1
        self._due_ns = 0
        # Until when the loop does what was forecast.
        self._until_ns = _FOR_EVER
        # Until when something is left to be done of what was sent last, where nothing more is.
        self._ends_ns: int | None = None

    def restart(self, motion: JointMotion, plan: Plan, tick_ns: int) -> None:
        """Forecast another plan from the command of the tick at tick_ns on."""
        known: list[Step] = []
        if self._forecast is not None:
            known = self._forecast.steps(tick_ns + self._period_ns, self._until_ns)
        self._plan, self._until_ns, self._due_ns = plan, _FOR_EVER, tick_ns
        self._ends_ns = None
        self._forecast = Forecast(motion, plan, tick_ns, self._period_ns, known)
        self._forecast.extend(tick_ns + self._cover_ns, self._first)
        self._covered_ns = None

    def diverge(self, tick_ns: int) -> None:
        """Take note that the loop does something else from the tick at tick_ns on."""
        self._until_ns = min(self._until_ns, tick_ns)

    def step(self, tick_ns: int) -> Step | None:
        """Return what the loop does in the period that begins at tick_ns, where it is known.

        The motion is the caller's from then on.
        """
        if self._forecast is None or tick_ns >= self._until_ns:
            return None
        return next(iter(self._forecast.steps(tick_ns, tick_ns + 1)), None)

    def give_up(self) -> None:
        """Take note that the controllers brake from here on, as was forecast."""
        self._plan = Plan()

    def end(self) -> None:
        """Send nothing more: controllers go to the end of what they have, and the loop too."""
        self._plan = Plan()
        if self._forecast is None or self._covered_ns is None or self._ends_ns is not None:
            return
        self._ends_ns = min(self._covered_ns, self._forecast.end_ns)
        self._forecast.end(self._ends_ns)
        self._until_ns, self._covered_ns = self._ends_ns + 1, _FOR_EVER

    def clear(self) -> None:
        """Forget the plan: nothing is commanded any more."""
        self._plan = Plan()
        self._forecast = self._covered_ns = self._ends_ns = None

    def due(self, now_ns: int) -> Trajectory | None:
        """Return the trajectory to send now, None while the last one still holds."""
        forecast, covered_ns = self._forecast, self._covered_ns
        if forecast is None or covered_ns == _FOR_EVER:
            return None
        if covered_ns is not None:
            forecast.forget(now_ns)
            # A late tick makes up for those that it missed.
            missed = max((now_ns - self._due_ns) // self._period_ns - 1, 0)
            forecast.extend(now_ns + self._cover_ns, _WITH_POSE + missed)
            self._due_ns = now_ns
            left_ns = covered_ns - now_ns
            whole = forecast.complete or forecast.end_ns >= now_ns + self._cover_ns
            if left_ns > (self._reserve_ns if whole else self._least_ns):
                return None
        self._covered_ns = _FOR_EVER if forecast.complete else forecast.end_ns
        return forecast.trajectory(now_ns)

    def advance_missed(self, motion: JointMotion, tick_ns: int) -> tuple[JointMotion, str]:
        """Return the motion after the period at tick_ns, as the controllers did by themselves.

        motion: the one before it. Also returns why they stop in it, '' where they do not.
        """
        problem = ''
        if self._covered_ns is not None and tick_ns > self._covered_ns:
            self._forecast, self._plan = None, Plan()
            self._covered_ns = _FOR_EVER
            motion.give_up_pose()
            problem = STOOD_STILL
        known = self.step(tick_ns)
        if known is None:
            known = Step(tick_ns, motion, advance(motion, self._plan, tick_ns, self._period_ns))
        if known.followed and known.motion.problem:
            self._plan = Plan()
            problem = known.motion.problem
        return known.motion, problem

    def is_over(self, tick_ns: int) -> bool:
        """Tell whether nothing is followed any more from the period that begins at tick_ns on."""
        ends_ns = self._ends_ns
        return self._plan.is_over(tick_ns) and (ends_ns is None or tick_ns >= ends_ns)


def _delay_ns(arm: ArmContract) -> int:
    """Return the longest lead of a trajectory in whole periods, at least two.

    What is between two points depends on the command after the second.
    """
    sent = (o for o in arm.outputs if o.kind == 'joint_trajectory' and o.part != 'gripper')
    leads = [output.lead_s or 0.0 for output in sent]
    return max(2, *(-(-round(s * NANOSECONDS) // arm.period_ns) for s in leads)) * arm.period_ns
