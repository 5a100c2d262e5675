"""Joint trajectories as values, what a controller rejects of them, and the way between two points.

After validate_trajectory_msg and interpolate_between_points of ros2_controllers'
joint_trajectory_controller.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.errors import ActionError
from robomamba_ros.types import NANOSECONDS, Float64Array

# The controller compares the last velocity with that of single precision.
_STILL = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class TrajectoryPoint:
    """Where joints are to be at `time_ns`: positions (n,), velocities and accelerations or None."""

    time_ns: int
    positions: Float64Array
    velocities: Float64Array | None = None
    accelerations: Float64Array | None = None


@dataclass(frozen=True)
class JointTrajectory:
    """Points [rad or m] of the joints `names`, timed from `stamp_ns`; 0 is the time of receipt."""

    stamp_ns: int
    names: tuple[str, ...]
    points: tuple[TrajectoryPoint, ...]


def joint_trajectory(
    names: Sequence[str], times_ns: Sequence[int], points: Float64Array
) -> JointTrajectory:
    """Return the trajectory of positions, velocities and accelerations (k, 3, n), begun on receipt.

    times_ns: (k,) since then [ns].
    """
    each = zip(times_ns, points, strict=True)
    return JointTrajectory(0, tuple(names), tuple(TrajectoryPoint(at, *rows) for at, rows in each))


def check_trajectory(
    trajectory: JointTrajectory,
    own: Sequence[str],
    received_ns: int,
    *,
    ends_in_motion: bool = False,
) -> None:
    """Raise ActionError with the reason where a controller of the joints `own` rejects it.

    ends_in_motion: whether the last velocity may be other than 0.
    """
    names, points = trajectory.names, trajectory.points
    if sorted(names) != sorted(own):
        raise ActionError(
            f'the joints of the trajectory ({", ".join(names) or "none"}) are not those of the '
            f'controller: {", ".join(own)}, each once'
        )
    if not points:
        raise ActionError('the trajectory has no points')
    for index, point in enumerate(points):
        _check_point(point, index, len(names))
    for index, (point, following) in enumerate(itertools.pairwise(points)):
        if following.time_ns <= point.time_ns:
            raise ActionError(
                f'the times of points {index} and {index + 1} are not strictly increasing: '
                f'{point.time_ns / NANOSECONDS:.6f} s and {following.time_ns / NANOSECONDS:.6f} s'
            )
    last = points[-1].velocities
    if not ends_in_motion and last is not None and (np.abs(last) > _STILL).any():
        joint = int(np.argmax(np.abs(last)))
        raise ActionError(
            f'the velocity of {names[joint]} at the last point is {last[joint]:.6g}, not 0'
        )
    late_ns = received_ns - (trajectory.stamp_ns + points[-1].time_ns)
    if trajectory.stamp_ns and late_ns > 0:
        raise ActionError(
            f'the trajectory ended {late_ns / NANOSECONDS:.3f} s ago; stamp it later, or 0 to '
            'start on receipt'
        )


def _check_point(point: TrajectoryPoint, index: int, count: int) -> None:
    fields = {
        'positions': point.positions,
        'velocities': point.velocities,
        'accelerations': point.accelerations,
    }
    for field, values in fields.items():
        if values is None:
            continue
        if len(values) != count:
            raise ActionError(f'point {index} has {len(values)} {field} for {count} joints')
        if not np.isfinite(values).all():
            raise ActionError(f'point {index} has {field} that are not finite: {values.tolist()}')
    if point.accelerations is not None and point.velocities is None:
        raise ActionError(f'point {index} has accelerations and no velocities')


def polynomial(begin: TrajectoryPoint, end: TrajectoryPoint) -> Float64Array:
    """Return the coefficients (degree + 1, n) of the way from begin to end, in s from begin.

    It has the lowest degree that both ends determine: a line, a cubic or a quintic.
    """
    whole = (end.time_ns - begin.time_ns) / NANOSECONDS
    p0, p1 = begin.positions, end.positions
    v0, v1, a0, a1 = begin.velocities, end.velocities, begin.accelerations, end.accelerations
    if v0 is None or v1 is None:
        return np.array([p0, (p1 - p0) / whole])
    # What is left of each derivative at the end, were the first terms all there is.
    if a0 is None or a1 is None:
        way = p1 - p0 - v0 * whole
        speed = (v1 - v0) * whole
        return np.array([p0, v0, (3 * way - speed) / whole**2, (speed - 2 * way) / whole**3])
    way = p1 - p0 - v0 * whole - a0 * whole**2 / 2
    speed = (v1 - v0 - a0 * whole) * whole
    change = (a1 - a0) * whole**2
    return np.array(
        [
            p0,
            v0,
            a0 / 2,
            (10 * way - 4 * speed + change / 2) / whole**3,
            (-15 * way + 7 * speed - change) / whole**4,
            (6 * way - 3 * speed + change / 2) / whole**5,
        ]
    )
