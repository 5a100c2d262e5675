"""Follows joint trajectories as ros2_controllers' joint_trajectory_controller (JTC) does.

Its rules, after its documentation (doc/trajectory.rst) and source (trajectory.cpp and
validate_trajectory_msg in joint_trajectory_controller.cpp of github.com/ros-controls/
ros2_controllers), with its defaults:

- A trajectory names every joint of the controller, in any order. Each point has a position for
  each, may have velocities, and with them accelerations; no efforts. Times are strictly increasing.
- Stamp 0 starts on receipt. Any other stamp is when the trajectory starts; one that has ended by
  then is rejected.
- Between two points that both have velocities the way is cubic, with accelerations too quintic,
  else linear: there velocities jump. The way to the first point begins where the arm is on
  receipt. Where that point is due already there is no way to it but a step, so a first point at
  0 s is a step, and so is a stamp that has passed.
- The last velocity is 0, and the last point is held.
- A trajectory replaces the one before it as a whole.

It differs in three points:

- JTC does not look for numbers that are not finite, nor for accelerations without velocities,
  which it cannot follow. Here both are rejected.
- Where JTC begins at its desired state, it repeats (Humble) or skips (later) one of its update
  periods. Here it goes on.
- Where JTC begins at a measured state without accelerations, versions before December 2025 draw a
  cubic. Here it is the quintic of those since, which take them for 0. From the desired state all
  draw the quintic.

Knows nothing about ROS messages, limits or the rest of the robot.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from robomamba_ros.errors import ActionError
from robomamba_ros.simulation.limit_record import JointRecord
from robomamba_ros.types import NANOSECONDS, Float64Array

# JTC compares the last velocity with that of single precision.
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


class TrajectoryController:
    """Moves the joints `names` along the newest trajectory; holds `start` (n,) until one comes.

    from_desired: a new trajectory begins at the desired state (JTC's interpolate_from_desired_state
    or open_loop_control), else at the measured one. record: takes the positions of every period.
    """

    def __init__(
        self,
        names: Sequence[str],
        start: Float64Array,
        now_ns: int,
        *,
        from_desired: bool = True,
        record: JointRecord | None = None,
    ) -> None:
        self.names = tuple(names)
        self.record = record
        self._from_desired = from_desired
        self._still = np.zeros(len(self.names))
        self.hold(now_ns, start)

    @property
    def arrived(self) -> bool:
        """Whether the last point is reached."""
        return self._desired.time_ns >= self._points[-1].time_ns

    def accept(
        self, trajectory: JointTrajectory, received_ns: int, measured: TrajectoryPoint
    ) -> None:
        """Follow `trajectory` from now on; measured: where the joints are.

        Raises ActionError with the reason of a rejection; what was followed before then goes on.
        """
        self._check(trajectory, received_ns)
        order = [trajectory.names.index(name) for name in self.names]
        start_ns = trajectory.stamp_ns or received_ns
        before = self._desired if self._from_desired else measured
        points = [
            TrajectoryPoint(
                start_ns + point.time_ns,
                point.positions[order],
                None if point.velocities is None else point.velocities[order],
                None if point.accelerations is None else point.accelerations[order],
            )
            for point in trajectory.points
        ]
        if before.accelerations is None and points[0].accelerations is not None:
            # What is not measured is taken for 0, so that the way to the first point is quintic.
            before = replace(before, accelerations=self._still)
        step = points[0].time_ns <= max(before.time_ns, received_ns)
        self._points = tuple(points) if step else (before, *points)

    def step(self, now_ns: int, here: Float64Array) -> Float64Array:
        """Return the positions (n,) to be at now_ns, whatever they were before."""
        self._desired = self._sample(now_ns)
        if self.record is not None:
            self.record.add(self._desired.positions)
        return self._desired.positions

    def hold(self, now_ns: int, here: Float64Array) -> None:
        """Stay at `here` (n,) until the next trajectory."""
        self._desired = TrajectoryPoint(now_ns, here, self._still, self._still)
        self._points = (self._desired,)

    def _sample(self, now_ns: int) -> TrajectoryPoint:
        for begin, end in zip(self._points, self._points[1:], strict=False):
            if now_ns < end.time_ns:
                return _interpolated(begin, end, now_ns)
        return TrajectoryPoint(now_ns, self._points[-1].positions, self._still, self._still)

    def _check(self, trajectory: JointTrajectory, received_ns: int) -> None:
        names, points = trajectory.names, trajectory.points
        if sorted(names) != sorted(self.names):
            raise ActionError(
                f'the joints of the trajectory ({", ".join(names) or "none"}) are not those of the '
                f'controller: {", ".join(self.names)}, each once'
            )
        if not points:
            raise ActionError('the trajectory has no points')
        for index, point in enumerate(points):
            _check_point(point, index, len(names))
        for index, (point, following) in enumerate(itertools.pairwise(points)):
            if following.time_ns <= point.time_ns:
                raise ActionError(
                    f'the times of points {index} and {index + 1} are not strictly increasing: '
                    f'{point.time_ns / NANOSECONDS:.6f} s and {following.time_ns / NANOSECONDS:.6f}'
                    ' s'
                )
        last = points[-1].velocities
        if last is not None and (np.abs(last) > _STILL).any():
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


def _interpolated(begin: TrajectoryPoint, end: TrajectoryPoint, now_ns: int) -> TrajectoryPoint:
    """Return the point at now_ns on the polynomial of lowest degree that both ends determine."""
    whole = (end.time_ns - begin.time_ns) / NANOSECONDS
    time = (now_ns - begin.time_ns) / NANOSECONDS
    p0, p1 = begin.positions, end.positions
    v0, v1, a0, a1 = begin.velocities, end.velocities, begin.accelerations, end.accelerations
    if v0 is None or v1 is None:
        slope = (p1 - p0) / whole
        return TrajectoryPoint(now_ns, p0 + slope * time, slope, np.zeros(len(p0)))
    # What is left of each derivative at the end, were the first terms all there is.
    if a0 is None or a1 is None:
        way = p1 - p0 - v0 * whole
        speed = (v1 - v0) * whole
        terms = [p0, v0, (3 * way - speed) / whole**2, (speed - 2 * way) / whole**3]
    else:
        way = p1 - p0 - v0 * whole - a0 * whole**2 / 2
        speed = (v1 - v0 - a0 * whole) * whole
        change = (a1 - a0) * whole**2
        terms = [
            p0,
            v0,
            a0 / 2,
            (10 * way - 4 * speed + change / 2) / whole**3,
            (-15 * way + 7 * speed - change) / whole**4,
            (6 * way - 3 * speed + change / 2) / whole**5,
        ]
    values = []
    for _ in range(3):
        values.append(sum(c * time**k for k, c in enumerate(terms)))
        terms = [k * c for k, c in enumerate(terms)][1:]
    return TrajectoryPoint(now_ns, *(np.asarray(value, dtype=np.float64) for value in values))
