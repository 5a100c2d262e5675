"""Follows joint trajectories as ros2_controllers' joint_trajectory_controller (JTC) does.

Its rules, after its documentation (doc/trajectory.rst) and source (trajectory.cpp and `update` and
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
- The last velocity is 0, but for those of Humble, and the last point is held.
- A trajectory replaces the one before it as a whole.
- What is not measured of the state that it begins at, velocity or acceleration, is taken for 0
  (since December 2025; versions before draw a cubic from a measured state).
- Time in a trajectory passes at the speed scaling, and begins anew with every message.
- Where a joint is further than the path tolerance from where it is to be, it is held where it is
  measured: a step, and the arm stands.

Versions differ in how one trajectory follows another: see controller_rules. It differs from all of
them in two points: JTC does not look for numbers that are not finite, nor for accelerations without
velocities, which it cannot follow. Here both are rejected.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from robomamba_ros.simulation.controller_rules import Rules
from robomamba_ros.simulation.joint_trajectory import (
    JointTrajectory,
    TrajectoryPoint,
    check_trajectory,
    polynomial,
)
from robomamba_ros.simulation.limit_record import JointRecord
from robomamba_ros.types import NANOSECONDS, Float64Array

__all__ = ['JointTrajectory', 'TrajectoryController', 'TrajectoryPoint']


class TrajectoryController:
    """Moves the joints `names` along the newest trajectory; holds `start` (n,) until one comes.

    from_desired: a new trajectory begins at the desired state (JTC's interpolate_from_desired_state
    or open_loop_control), else at the measured one. rules: of a version, see controller_rules.
    period_ns: between two updates. tolerance: how far a joint may be from where it is to be while
    it moves [rad or m], 0 for any distance. record: takes the positions of every update.

    scaling: the share of a second that passes in a trajectory in one (UR's speed scaling).
    stopped: how often it held where it was measured for the tolerance.
    """

    def __init__(
        self,
        names: Sequence[str],
        start: Float64Array,
        now_ns: int,
        *,
        from_desired: bool = True,
        rules: Rules | None = None,
        period_ns: int = 0,
        tolerance: float = 0.0,
        record: JointRecord | None = None,
    ) -> None:
        self.names = tuple(names)
        self.record = record
        self.scaling = 1.0
        self.stopped = 0
        self._from_desired = from_desired
        self._rules = rules or Rules()
        self._ahead_ns = period_ns if self._rules.looks_ahead else 0
        self._tolerance = tolerance
        self._still = np.zeros(len(self.names))
        self._measured = TrajectoryPoint(now_ns, start, self._still)
        # The last update, the time in the trajectory, and a message that waits for an update.
        self._now_ns = self._clock_ns = now_ns
        self._pending: JointTrajectory | None = None
        self._hold(now_ns, start)

    @property
    def arrived(self) -> bool:
        """Whether the last point is reached."""
        return self._pending is None and self._clock_ns + self._ahead_ns >= self._times_ns[-1]

    @property
    def desired(self) -> Float64Array:
        """Its desired state at the last update: positions, velocities, accelerations (3, n)."""
        here = self._at(self._clock_ns)
        return np.array([here.positions, here.velocities, here.accelerations])

    def observe(self, measured: TrajectoryPoint) -> None:
        """Take note of where the joints are."""
        self._measured = measured

    def accept(
        self, trajectory: JointTrajectory, received_ns: int, measured: TrajectoryPoint
    ) -> None:
        """Follow `trajectory` from now on, or from the next update; measured: where the joints are.

        Raises ActionError with the reason of a rejection; what was followed before then goes on.
        """
        check_trajectory(
            trajectory, self.names, received_ns, ends_in_motion=self._rules.ends_in_motion
        )
        self.observe(measured)
        if self._rules.at_update:
            self._pending = trajectory
        else:
            before = replace(self._at(self._clock_ns), time_ns=self._now_ns)
            self._clock_ns = self._now_ns
            self._begin(trajectory, before if self._from_desired else measured, received_ns)

    def step(self, now_ns: int, here: Float64Array) -> Float64Array:
        """Return the positions (n,) to be at now_ns, whatever they were before."""
        if self._pending is not None:
            self._start_trajectory(self._pending, now_ns)
        else:
            self._clock_ns += round((now_ns - self._now_ns) * self.scaling)
        self._now_ns = now_ns
        if self._leaves_tolerance():
            self.stopped += 1
            self._hold(now_ns, self._measured.positions)
        positions = self._positions(self._clock_ns + self._ahead_ns)
        if self.record is not None:
            self.record.add(positions)
        return positions

    def hold(self, now_ns: int, here: Float64Array) -> None:
        """Stay at `here` (n,), where the joints are, until the next trajectory."""
        self._hold(now_ns, here)
        if self.record is not None:
            self.record.restart(here)

    def _hold(self, now_ns: int, here: Float64Array) -> None:
        self._now_ns = self._clock_ns = now_ns
        self._pending = None
        self._follow((TrajectoryPoint(now_ns, here, self._still, self._still),))

    def _start_trajectory(self, trajectory: JointTrajectory, now_ns: int) -> None:
        """Leave what was followed for a trajectory, as the rules of the version say."""
        if self._rules.replaces and self._clock_ns < self._times_ns[-1]:
            before = replace(self._at(self._clock_ns), time_ns=now_ns)
        elif self._from_desired:
            # Its last command, and the time of the update that gave it.
            given_ns = self._now_ns if self._rules.looks_ahead else now_ns
            before = replace(self._at(self._clock_ns + self._ahead_ns), time_ns=given_ns)
        else:
            before = replace(self._measured, time_ns=now_ns)
        self._clock_ns, self._pending = now_ns, None
        self._begin(trajectory, before, now_ns)

    def _begin(self, trajectory: JointTrajectory, before: TrajectoryPoint, now_ns: int) -> None:
        order = [trajectory.names.index(name) for name in self.names]
        start_ns = trajectory.stamp_ns or now_ns
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
            before = replace(before, accelerations=self._still)
        step = points[0].time_ns <= max(before.time_ns, now_ns)
        self._follow(tuple(points) if step else (before, *points))

    def _follow(self, points: tuple[TrajectoryPoint, ...]) -> None:
        self._points = points
        self._times_ns = [point.time_ns for point in points]
        self._segment, self._terms = 0, np.zeros((0, len(self.names)))

    def _way(self, time_ns: int) -> tuple[Float64Array, float] | None:
        """Return the terms of the way at a time and the seconds in it; None after the last."""
        after = max(bisect_right(self._times_ns, time_ns), 1)
        if after == len(self._points):
            return None
        begin = self._points[after - 1]
        if after != self._segment:
            self._segment, self._terms = after, polynomial(begin, self._points[after])
        return self._terms, (time_ns - begin.time_ns) / NANOSECONDS

    def _positions(self, time_ns: int) -> Float64Array:
        way = self._way(time_ns)
        if way is None:
            return self._points[-1].positions
        terms, seconds = way
        return np.asarray(seconds ** np.arange(len(terms)) @ terms)

    def _at(self, time_ns: int) -> TrajectoryPoint:
        """Return the point at a time, with its velocities and accelerations."""
        way = self._way(time_ns)
        if way is None:
            return TrajectoryPoint(time_ns, self._points[-1].positions, self._still, self._still)
        terms, seconds = way
        values = []
        for _ in range(3):
            powers = np.arange(len(terms))
            values.append(np.asarray(seconds**powers @ terms))
            terms = (powers[:, None] * terms)[1:]
        return TrajectoryPoint(time_ns, *values)

    def _leaves_tolerance(self) -> bool:
        """Tell whether a joint that moves is further from its way than is tolerated."""
        if not self._tolerance or self._clock_ns >= self._times_ns[-1]:
            return False
        error = np.abs(self._measured.positions - self._positions(self._clock_ns))
        return bool(error.max() > self._tolerance)
