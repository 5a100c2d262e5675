"""What an arm is to do from now on: follow a path until it ends, then brake.

The setpoint loop runs it period by period, a forecast all at once: the same function, so that
both give the same commands. Knows nothing about chunks, or why an arm stops earlier.
"""

from __future__ import annotations

from dataclasses import dataclass

from robomamba_ros.actions.timeline import Path
from robomamba_ros.control.motion import Motion


@dataclass(frozen=True)
class Course:
    """A path that is followed until end_ns, looked up ahead by lag_ns (see Motion.lag_ns)."""

    path: Path
    end_ns: int
    lag_ns: int


def advance(motion: Motion, course: Course | None, tick_ns: int, period_ns: int) -> bool:
    """Move by the period that begins at tick_ns; tell whether the course was followed in it."""
    if course is None or tick_ns >= course.end_ns:
        motion.brake()
        return False
    motion.follow(course.path.at(tick_ns + period_ns + course.lag_ns))
    return True
