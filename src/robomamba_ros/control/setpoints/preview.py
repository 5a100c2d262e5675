"""Where the end effector went, will go, and no longer goes, for display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from robomamba_ros.control.motion.timeline import Path, Point, Timeline
from robomamba_ros.types import Pose

# The most poses of each kind.
_MOST = 100


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
