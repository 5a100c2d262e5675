"""What an arm follows from now on: a path until it ends, then a stop; and when that changes.

The setpoint loop runs it period by period, a forecast all at once: the same function, so that both
give the same commands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from robomamba_ros.control.motion.pose_motion import Anchor, Motion
from robomamba_ros.control.motion.timeline import Path


@dataclass(frozen=True)
class Course:
    """A path that is followed until end_ns, looked up ahead by lag_ns (see Motion.lag_ns)."""

    path: Path
    end_ns: int
    lag_ns: int


@dataclass(frozen=True)
class Plan:
    """Follow `course` from the tick at start_ns on, `before` until then; None is to brake.

    rest: where to come to rest once nothing is followed; None for straight on.
    """

    course: Course | None = None
    start_ns: int = 0
    before: Plan | None = None
    rest: Anchor | None = None

    def at(self, tick_ns: int) -> Course | None:
        """Return what is followed in the period that begins at tick_ns; None to brake."""
        if self.before is not None and tick_ns < self.start_ns:
            return self.before.at(tick_ns)
        return None if self.course is None or tick_ns >= self.course.end_ns else self.course

    def rest_at(self, tick_ns: int) -> Anchor | None:
        """Return where to come to rest, as it is known in the period that begins at tick_ns."""
        if self.before is not None and tick_ns < self.start_ns:
            return self.before.rest_at(tick_ns)
        return self.rest

    def is_over(self, tick_ns: int) -> bool:
        """Tell whether nothing is followed from the period that begins at tick_ns on."""
        return self.at(tick_ns) is None and (self.before is None or tick_ns >= self.start_ns)

    def since(self, tick_ns: int) -> Plan:
        """Return the plan without what is over by tick_ns."""
        if self.before is None:
            return self
        before = None if tick_ns >= self.start_ns else self.before.since(tick_ns)
        return replace(self, before=before)


def advance(motion: Motion, plan: Plan, tick_ns: int, period_ns: int) -> Course | None:
    """Move by the period that begins at tick_ns; return the course that was followed in it."""
    course = plan.at(tick_ns)
    if course is None:
        motion.return_to(plan.rest_at(tick_ns))
        motion.brake()
    else:
        motion.follow(course.path.at(tick_ns + period_ns + course.lag_ns))
    return course
