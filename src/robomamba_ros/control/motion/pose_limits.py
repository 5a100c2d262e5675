"""Keeps the commanded pose within velocity, acceleration and jerk limits and in the workspace.

A command is found in two stages. The first holds velocity, acceleration and walls: what respects
them passes unchanged, to the bit; what does not is caught up at a speed that can still be braked.
The second averages the first over as many periods as the jerk asks for (see smoothing.py), and is
absent where jerk has no limit. Both hold for any input.

Planning a time-optimal motion to the newest target in every period (as the library Ruckig does)
was tried instead. It takes a moving target for the end of a motion and never catches up with it,
runs at the jerk limit meanwhile, and knows limits per axis but none on a norm. An average delays
by a known time, which whoever has a chunk looks ahead by. One call is one control period.
"""

from __future__ import annotations

import math

import numpy as np

from robomamba_ros.control.motion.pursuit import (
    NO_WALLS,
    ROUNDING,
    Pursuit,
    braking_speed,
    braking_way,
)
from robomamba_ros.control.motion.smoothing import MovingAverage, smoothing_periods
from robomamba_ros.control.motion.twin import twin
from robomamba_ros.robots.parts import CartesianLimits, Workspace
from robomamba_ros.spatial.transforms import Quaternion, place, shortest_turn, turned, unit
from robomamba_ros.spatial.vectors import (
    ZERO,
    Vector,
    bounded,
    highest,
    lowest,
    minus,
    norm,
    over,
    plus,
    times,
    vector,
)
from robomamba_ros.types import Float64Array, Pose

# A turn that is but rounding [rad]: orientations are known to some 1e-16.
_STILL = 1e-13


def pose_smoothing_periods(limits: CartesianLimits, period_s: float) -> int:
    """Return over how many periods commands are averaged to keep the jerks; 1 without any."""
    linear = (limits.acceleration, limits.jerk)
    angular = (limits.rotation_acceleration, limits.rotation_jerk)
    return smoothing_periods((linear, angular), period_s)


class PoseLimiter:
    """Follows targets from a start at rest; each call gives the pose to command in one period.

    |v|, |dv/dt| and |d2v/dt2| of these poses are within limits, for the position and for the
    turning. Positions also stay in the workspace: the speed towards each of its walls never
    exceeds what the acceleration limit, shared by the three axes, can stop in time. From a start
    outside, they move only inwards.

    pose: the last command. active_limits: those that kept it from its target; a smoothed jerk
    counts.
    """

    def __init__(
        self, limits: CartesianLimits, workspace: Workspace, period_s: float, start: Pose
    ) -> None:
        self._limits = limits
        self._box = vector(workspace.lower), vector(workspace.upper)
        self._period = period_s
        # Shared by the three axes; a wall further away than `far` forbids no velocity in limits.
        self._wall_braking = limits.acceleration / math.sqrt(3.0)
        self._far = braking_way(limits.velocity, self._wall_braking, period_s)
        periods = pose_smoothing_periods(limits, period_s)
        self.lag_periods = (periods - 1) / 2
        # Of positions, and beside them of turns.
        self._average = MovingAverage(periods, np.concatenate((start.position, np.zeros(3))))
        self._target = self._position, self._quaternion = place(start)
        # Of the newest command before it was averaged.
        self._ahead = self._target
        self._ahead_velocity = self._ahead_turning = ZERO
        self._acceleration = self._turning_change = self._behind = ZERO
        self.pose = start
        self._velocity = self._turning = ZERO
        self.active_limits: tuple[str, ...] = ()

    def copy(self) -> PoseLimiter:
        """Return one that goes on from here by itself."""
        other = twin(self)
        other._average = self._average.copy()
        return other

    @property
    def ahead(self) -> Pose:
        """The newest command before it was averaged; commands reach it `lag_periods` later."""
        position, quaternion = self._ahead
        return Pose(np.array(position), np.array(quaternion))

    @property
    def velocity(self) -> Float64Array:
        """The velocity of the last command (3,) [m/s]."""
        return np.array(self._velocity)

    @property
    def rotation_velocity(self) -> Float64Array:
        """The turning of the last command (3,) [rad/s]."""
        return np.array(self._turning)

    @property
    def at_rest(self) -> bool:
        """Whether the command stands still."""
        velocities = self._ahead_velocity, self._ahead_turning, self._velocity, self._turning
        return not any(map(any, velocities)) and self._average.settled

    def follow(self, target: Pose) -> Pose:
        """Return the pose to command in this period so as to be on `target`, or to catch up."""
        self._follow(*place(target))
        if self.lag_periods == 0 and not self.active_limits:
            self.pose = target
        return self.pose

    def brake(self) -> Pose:
        """Return the pose to command in this period so as to come to rest along the way it moves.

        It slows down by the stop decelerations, and faster only where a wall is near.
        """
        limits, period = self._limits, self._period
        velocity = _slowed(self._ahead_velocity, limits.stop_deceleration * period)
        turning = _slowed(self._ahead_turning, limits.rotation_stop_deceleration * period)
        # The stop begins here: what was still to catch up is given up.
        self._target = position, quaternion = self._ahead
        self._behind = ZERO
        if any(velocity) or any(turning):
            position = self._inside(plus(position, times(period, velocity)))
            quaternion = unit(turned(quaternion, times(period, turning)))
        self._follow(position, quaternion)
        return self.pose

    def _follow(self, target: Vector, turned_to: Quaternion) -> None:
        limits, period = self._limits, self._period
        (here, turned_here), (before, turned_before) = self._ahead, self._target
        # What the target has turned in this period, and what has been turned in the one before.
        turned_on, caught_up = _turn(turned_before, turned_to), times(period, self._ahead_turning)
        jumps = norm(turned_on) > 0.5 * math.pi
        expected = ZERO if jumps else plus(self._behind, minus(turned_on, caught_up))
        self._behind = _same_way(_turn(turned_here, turned_to), expected)
        reaching = over(minus(target, here), period)
        linear = Pursuit(
            current=self._ahead_velocity,
            reaching=reaching,
            tracking=over(minus(target, before), period),
            speed=limits.velocity,
            acceleration=limits.acceleration,
            period=period,
            walls=self._wall_speeds(reaching),
        )
        angular = Pursuit(
            current=self._ahead_turning,
            reaching=over(self._behind, period),
            tracking=over(turned_on, period),
            speed=limits.rotation_velocity,
            acceleration=limits.rotation_acceleration,
            period=period,
            walls=NO_WALLS,
        )
        active_limits, turning_limits = linear.active_limits(), angular.active_limits()
        self.active_limits = (*active_limits, *(f'rotation_{name}' for name in turning_limits))
        position, quaternion = target, turned_to
        if active_limits:
            position = self._inside(plus(here, times(period, linear.velocity())))
        if turning_limits:
            quaternion = unit(turned(turned_here, times(period, angular.velocity())))
        self._target = target, turned_to
        self._command(position, quaternion)

    def _command(self, position: Vector, quaternion: Quaternion) -> None:
        """Take the next command of the first stage and give the mean of it and those before."""
        period = self._period
        here, turned_here = self._ahead
        velocity = over(minus(position, here), period)
        turning = over(_turn(turned_here, quaternion), period)
        self.active_limits += self._smoothed(velocity, turning)
        self._ahead_velocity, self._ahead_turning = velocity, turning
        self._ahead = position, quaternion
        if self.lag_periods == 0:
            self._velocity, self._turning = velocity, turning
            self._put(position, quaternion)
            return
        x, y, z, *mean = self._average.add(np.array((*position, *turning))).tolist()
        self._velocity = over(minus((x, y, z), self._position), period)
        self._turning = (mean[0], mean[1], mean[2])
        if any(self._velocity) or any(self._turning):
            self._put((x, y, z), unit(turned(self._quaternion, times(period, self._turning))))
        # Turns about different axes add up otherwise than their mean does. The first stage goes on
        # from where the mean will arrive, so the difference is made up as it arises.
        pending = times(period, vector(self._average.pending[3:]))
        self._ahead = position, unit(turned(self._quaternion, pending))

    def _put(self, position: Vector, quaternion: Quaternion) -> None:
        if position == self._position and quaternion == self._quaternion:
            return
        self._position, self._quaternion = position, quaternion
        self.pose = Pose(np.array(position), np.array(quaternion))

    def _smoothed(self, velocity: Vector, turning: Vector) -> tuple[str, ...]:
        """Return which jerks the step to these velocities of the first stage exceeds."""
        acceleration = over(minus(velocity, self._ahead_velocity), self._period)
        turning_change = over(minus(turning, self._ahead_turning), self._period)
        found = []
        for name, now, before, jerk in (
            ('jerk', acceleration, self._acceleration, self._limits.jerk),
            ('rotation_jerk', turning_change, self._turning_change, self._limits.rotation_jerk),
        ):
            if jerk is not None and norm(minus(now, before)) > jerk * self._period + ROUNDING:
                found.append(name)
        self._acceleration, self._turning_change = acceleration, turning_change
        return tuple(found)

    def _inside(self, position: Vector) -> Vector:
        """Return the position clipped to the workspace, or to where the arm is outside of it."""
        (start, _), (lower, upper) = self._ahead, self._box
        return bounded(position, lowest(lower, start), highest(upper, start))

    def _wall_speeds(self, reaching: Vector) -> tuple[Vector, Vector]:
        """Return the lowest and highest velocity per axis from which the walls can be kept.

        Endless for a wall that is too far to matter to the velocity `reaching`.
        """
        far = self._far if norm(reaching) <= self._limits.velocity else math.inf
        (x, y, z), (lower, upper) = self._ahead[0], self._box

        def speed(distance: float) -> float:
            if distance > far:
                return math.inf
            return braking_speed(distance, self._wall_braking, self._period)

        return (
            (-speed(x - lower[0]), -speed(y - lower[1]), -speed(z - lower[2])),
            (speed(upper[0] - x), speed(upper[1] - y), speed(upper[2] - z)),
        )


def _slowed(velocity: Vector, amount: float) -> Vector:
    speed = norm(velocity)
    return times(1.0 - amount / speed, velocity) if speed > amount else ZERO


def _same_way(turn: Vector, expected: Vector) -> Vector:
    """Return the turn that is left, the long way round where that is the one expected.

    A target that turns faster than the limit gets more than half a turn ahead; the shorter way to
    it would turn back. A whole turn that it is ahead is dropped.
    """
    angle = norm(turn)
    if not angle or norm(expected) < math.pi:
        return turn
    longer = times(1.0 - 2.0 * math.pi / angle, turn)
    return min(turn, longer, key=lambda way: norm(minus(way, expected)))


def _turn(start: Quaternion, end: Quaternion) -> Vector:
    turn = shortest_turn(start, end)
    return turn if norm(turn) > _STILL else ZERO
