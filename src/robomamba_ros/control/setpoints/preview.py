"""Where the end effector went, will go, and no longer goes, for display.

Control hands over a Scene, which costs it nothing; another thread makes a Preview of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from robomamba_ros.control.history import History
from robomamba_ros.control.motion.course import Course
from robomamba_ros.control.motion.joint_motion import end_effector
from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.control.motion.timeline import Path, Point, Timeline
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, Pose

# The most poses of each kind.
_MOST = 100
# How far back is shown what was executed, and how densely [ns].
_SHOWN_NS, _SHOWN_STEP_NS = 2 * NANOSECONDS, NANOSECONDS // 20


@dataclass(frozen=True)
class Preview:
    """Poses base_T_ee in the order of time; empty where no pose is known of joints.

    executed: commanded lately. pending: the rest of the chunk, from now on. discarded: steps of
    the newest chunk that had passed when it came, then those of the chunk before from there on.
    """

    executed: tuple[Pose, ...] = ()
    pending: tuple[Pose, ...] = ()
    discarded: tuple[Pose, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What there is to draw at now_ns: references to what does not change, or only grows.

    A thread of its own makes a preview of it, so that control never waits for a picture.
    kinematics: for that thread alone.
    """

    arm: ArmContract
    kinematics: Kinematics | None
    now_ns: int
    commanded: History[Anchor]
    course: Course | None
    timeline: Timeline | None
    discarded: tuple[Stretch, ...]

    def preview(self, pause: Callable[[], None] = lambda: None) -> Preview:
        """Return the poses commanded lately, those still to come, and those given up.

        pause: called after each pose, to let others run.
        """

        def pose_of(point: Point) -> Pose | None:
            pause()
            return end_effector(self.arm, self.kinematics, point)

        pending: tuple[Pose, ...] = ()
        if self.course is not None and self.timeline is not None:
            step_ns = self.timeline.chunk.dt_ns
            rest = Stretch(self.course.path, self.now_ns, self.course.end_ns, step_ns)
            pending = rest.poses(pose_of)
        discarded = tuple(pose for each in self.discarded for pose in each.poses(pose_of))
        since_ns = max(self.now_ns - _SHOWN_NS, self.commanded.oldest_ns or self.now_ns)
        commanded = (self.commanded.at(t) for t in range(since_ns, self.now_ns, _SHOWN_STEP_NS))
        executed = tuple(each.pose for each in commanded if each and each.pose)
        return Preview(executed, pending, discarded)


@dataclass(frozen=True)
class Stretch:
    """A path between two times [ns], with a knot at each step_ns."""

    path: Path
    start_ns: int
    end_ns: int
    step_ns: int

    def poses(self, pose_of: Callable[[Point], Pose | None]) -> tuple[Pose, ...]:
        """Return where it puts the end effector at its knots, or at each second, third .. one."""
        if self.end_ns <= self.start_ns:
            return ()
        step_ns = self.step_ns * -(-(self.end_ns - self.start_ns) // (self.step_ns * (_MOST - 1)))
        times = [*range(self.start_ns, self.end_ns, step_ns), self.end_ns]
        poses = (pose_of(self.path.at(time_ns)) for time_ns in times)
        return tuple(pose for pose in poses if pose is not None)


def discarded_at_seam(before: Timeline | None, after: Timeline, now_ns: int) -> tuple[Stretch, ...]:
    """Return what is not executed of a chunk that came at now_ns and of the one it replaced."""
    trimmed = Stretch(after, after.chunk.stamp_ns, now_ns, after.chunk.dt_ns)
    if before is None:
        return (trimmed,)
    return (trimmed, Stretch(before, now_ns, before.chunk.end_ns, before.chunk.dt_ns))
