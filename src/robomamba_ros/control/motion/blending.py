"""How a new chunk takes over from the paths before it: at once, by a crossfade, by an ensemble."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robomamba_ros.control.motion.timeline import Path, Point, Timeline, mix
from robomamba_ros.errors import ConfigError


@dataclass(frozen=True)
class Blending:
    """The choice; left as it is, a new chunk replaces the old one at once.

    crossfade_steps: action steps over which a new chunk fades in.
    ensemble_decay: instead, chunks that overlap are averaged with the weights exp(-decay * i),
        i = 0 for the oldest, as the temporal ensembling of ACT does (Zhao et al. 2023, algorithm
        2, where decay is m = 0.01); None for none.
    """

    crossfade_steps: int = 0
    ensemble_decay: float | None = None

    def __post_init__(self) -> None:
        if self.crossfade_steps < 0:
            raise ConfigError(f'crossfade_steps is {self.crossfade_steps}, allowed: 0 or more')
        decay = self.ensemble_decay
        if decay is not None and not (math.isfinite(decay) and decay >= 0.0):
            raise ConfigError(f'ensemble_decay is {decay}, allowed: a number of 0 or more')
        if decay is not None and self.crossfade_steps:
            raise ConfigError(
                f'crossfade_steps is {self.crossfade_steps} and ensemble_decay {decay}; chunks '
                'can be faded or averaged, not both: leave one out'
            )

    def join(self, before: Path, timeline: Timeline, now_ns: int) -> Path:
        """Return the path to follow from now on, where `before` was followed until now."""
        if self.ensemble_decay is not None:
            older = before.timelines if isinstance(before, Ensemble) else ()
            live = tuple(each for each in older if each.chunk.end_ns > now_ns)
            return Ensemble((*live, timeline), self.ensemble_decay)
        if self.crossfade_steps:
            end_ns = now_ns + self.crossfade_steps * timeline.chunk.dt_ns
            return Crossfade(settle(before, now_ns), timeline, now_ns, end_ns)
        return timeline


@dataclass(frozen=True)
class Hold:
    """Stays at one point."""

    point: Point

    def at(self, time_ns: int) -> Point:
        """Return the point, whatever the time."""
        return self.point

    def gripper_at(self, time_ns: int) -> float | None:
        """Leave the gripper as it is."""


@dataclass(frozen=True)
class Crossfade:
    """A path that leaves `before` at start_ns and has become `after` at end_ns."""

    before: Path
    after: Path
    start_ns: int
    end_ns: int

    def at(self, time_ns: int) -> Point:
        """Return the point between the two paths, weighted by `fade_weight`."""
        weight = fade_weight((time_ns - self.start_ns) / (self.end_ns - self.start_ns))
        if weight == 0.0:
            return self.before.at(time_ns)
        if weight == 1.0:
            return self.after.at(time_ns)
        return mix(self.before.at(time_ns), self.after.at(time_ns), weight)

    def gripper_at(self, time_ns: int) -> float | None:
        """Return what the new path asks for: half a grasp is none."""
        return self.after.gripper_at(time_ns)


@dataclass(frozen=True)
class Ensemble:
    """The weighted mean of the chunks that reach over a time, oldest first."""

    timelines: tuple[Timeline, ...]
    decay: float

    def at(self, time_ns: int) -> Point:
        """Return the weighted mean; turns are averaged one after the other, oldest first."""
        # What is reached at the end of a step belongs to that step.
        points = [timeline.at(time_ns) for timeline in self._over(time_ns - 1)]
        mean, total = points[0], 1.0
        for age, point in enumerate(points[1:], start=1):
            weight = math.exp(-self.decay * age)
            total += weight
            mean = mix(mean, point, weight / total)
        return mean

    def gripper_at(self, time_ns: int) -> float | None:
        """Return the weighted mean opening of the chunks that have one."""
        asked = [timeline.gripper_at(time_ns) for timeline in self._over(time_ns)]
        openings = [opening for opening in asked if opening is not None]
        weights = [math.exp(-self.decay * age) for age in range(len(openings))]
        return float(np.average(openings, weights=weights)) if openings else None

    def _over(self, time_ns: int) -> tuple[Timeline, ...]:
        """Return the chunks that have an action due at `time_ns`, or the newest for want of one."""
        over = (t for t in self.timelines if t.chunk.stamp_ns <= time_ns < t.chunk.end_ns)
        return tuple(over) or self.timelines[-1:]


def fade_weight(progress: float) -> float:
    """Return the share of the new path, 0..1: a cubic with no slope at either end.

    It begins with the velocity of the old path and ends with that of the new one.
    """
    bounded = min(max(progress, 0.0), 1.0)
    return bounded * bounded * (3.0 - 2.0 * bounded)


def settle(path: Path, now_ns: int) -> Path:
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
