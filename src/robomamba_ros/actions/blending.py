"""Crossfades from the path that is being followed to the next one, so that a seam is no jump.

Knows nothing about chunks: both sides are paths of poses.
"""

from __future__ import annotations

from dataclasses import dataclass

from robomamba_ros.actions.timeline import PosePath
from robomamba_ros.spatial.transforms import interpolate
from robomamba_ros.types import Pose


@dataclass(frozen=True)
class Crossfade:
    """A path that leaves `before` at start_ns and has become `after` at end_ns."""

    before: PosePath
    after: PosePath
    start_ns: int
    end_ns: int

    def pose_at(self, time_ns: int) -> Pose:
        """Return the pose between the two paths, weighted by `fade_weight`."""
        weight = fade_weight((time_ns - self.start_ns) / (self.end_ns - self.start_ns))
        if weight == 0.0:
            return self.before.pose_at(time_ns)
        if weight == 1.0:
            return self.after.pose_at(time_ns)
        return interpolate(self.before.pose_at(time_ns), self.after.pose_at(time_ns), weight)


def fade_weight(progress: float) -> float:
    """Return the share of the new path, 0..1: a cubic with no slope at either end.

    It begins with the velocity of the old path and ends with that of the new one.
    """
    bounded = min(max(progress, 0.0), 1.0)
    return bounded * bounded * (3.0 - 2.0 * bounded)


def settle(path: PosePath, now_ns: int) -> PosePath:
    """Return the path without the crossfades that are over, at any depth.

    Chunks that come faster than they fade would otherwise keep every earlier one alive.
    """
    if not isinstance(path, Crossfade):
        return path
    if now_ns >= path.end_ns:
        return settle(path.after, now_ns)
    return Crossfade(
        settle(path.before, now_ns), settle(path.after, now_ns), path.start_ns, path.end_ns
    )
