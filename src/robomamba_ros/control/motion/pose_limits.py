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

from robomamba_ros.control.motion.pursuit import NO_WALLS, ROUNDING, Pursuit, braking_speed, norm
from robomamba_ros.control.motion.smoothing import MovingAverage, smoothing_periods
from robomamba_ros.control.motion.twin import twin
from robomamba_ros.robots.bounded import clipped
from robomamba_ros.robots.parts import CartesianLimits, Workspace
from robomamba_ros.spatial.transforms import move_in_base, turn_between
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

    pose: the last command. ahead: the newest one before it was averaged, which commands reach
    `lag_periods` later. velocity [m/s], rotation_velocity [rad/s]: of the last command, (3,).
    active_limits: those that kept the last command from its target; a smoothed jerk counts.
    """

    def __init__(
        self, limits: CartesianLimits, workspace: Workspace, period_s: float, start: Pose
    ) -> None:
        self._limits = limits
        self._workspace = workspace
        self._period = period_s
        periods = pose_smoothing_periods(limits, period_s)
        self.lag_periods = (periods - 1) / 2
        # Of positions, and beside them of turns.
        self._average = MovingAverage(periods, np.concatenate((start.position, np.zeros(3))))
        self._target = start
        self.ahead = start
        self._ahead_velocity: Float64Array = np.zeros(3)
        self._ahead_turning: Float64Array = np.zeros(3)
        self._acceleration: Float64Array = np.zeros(3)
        self._turning_change: Float64Array = np.zeros(3)
        self._behind: Float64Array = np.zeros(3)
        self.pose = start
        self.velocity: Float64Array = np.zeros(3)
        self.rotation_velocity: Float64Array = np.zeros(3)
        self.active_limits: tuple[str, ...] = ()

    def copy(self) -> PoseLimiter:
        """Return one that goes on from here by itself."""
        other = twin(self)
        other._average = self._average.copy()
        return other

    @property
    def at_rest(self) -> bool:
        """Whether the command stands still."""
        ahead = self._ahead_velocity.any() or self._ahead_turning.any()
        moving = ahead or self.velocity.any() or self.rotation_velocity.any()
        return not moving and self._average.settled

    def follow(self, target: Pose) -> Pose:
        """Return the pose to command in this period so as to be on `target`, or to catch up."""
        limits, period = self._limits, self._period
        self._behind = _same_way(_turn(self.ahead, target), self._behind)
        linear = Pursuit(
            current=self._ahead_velocity,
            reaching=(target.position - self.ahead.position) / period,
            tracking=(target.position - self._target.position) / period,
            speed=limits.velocity,
            acceleration=limits.acceleration,
            period=period,
            walls=self._wall_speeds(),
        )
        angular = Pursuit(
            current=self._ahead_turning,
            reaching=self._behind / period,
            tracking=_turn(self._target, target) / period,
            speed=limits.rotation_velocity,
            acceleration=limits.rotation_acceleration,
            period=period,
            walls=NO_WALLS,
        )
        active_limits, turning_limits = linear.active_limits(), angular.active_limits()
        self.active_limits = (*active_limits, *(f'rotation_{name}' for name in turning_limits))
        position, quaternion = target.position, target.quaternion
        if active_limits:
            position = self._inside(self.ahead.position + linear.velocity() * period)
        if turning_limits:
            turn = angular.velocity() * period
            quaternion = move_in_base(self.ahead, np.zeros(3), turn).quaternion
        self._target = target
        self._command(Pose(position, quaternion) if self.active_limits else target)
        return self.pose

    def brake(self) -> Pose:
        """Return the pose to command in this period so as to come to rest along the way it moves.

        It slows down by the stop decelerations, and faster only where a wall is near.
        """
        limits, period = self._limits, self._period
        velocity = _slowed(self._ahead_velocity, limits.stop_deceleration * period)
        turning = _slowed(self._ahead_turning, limits.rotation_stop_deceleration * period)
        # The stop begins here: what was still to catch up is given up.
        self._target = self.ahead
        if not (velocity.any() or turning.any()):
            return self.follow(self.ahead)
        ahead = move_in_base(self.ahead, velocity * period, turning * period)
        return self.follow(Pose(self._inside(ahead.position), ahead.quaternion))

    def _command(self, ahead: Pose) -> None:
        """Take the next command of the first stage and give the mean of it and those before."""
        period = self._period
        velocity = (ahead.position - self.ahead.position) / period
        turning = _turn(self.ahead, ahead) / period
        self.active_limits += self._smoothed(velocity, turning)
        self.ahead, self._ahead_velocity, self._ahead_turning = ahead, velocity, turning
        if self.lag_periods == 0:
            self.pose, self.velocity, self.rotation_velocity = ahead, velocity, turning
            return
        mean = self._average.add(np.concatenate((ahead.position, turning)))
        position = mean[:3]
        self.velocity = (position - self.pose.position) / period
        self.rotation_velocity = mean[3:]
        if any(self.velocity.tolist()) or any(self.rotation_velocity.tolist()):
            turned = move_in_base(self.pose, np.zeros(3), self.rotation_velocity * period)
            self.pose = Pose(position, turned.quaternion)
        # Turns about different axes add up otherwise than their mean does. The first stage goes on
        # from where the mean will arrive, so the difference is made up as it arises.
        arriving = move_in_base(self.pose, np.zeros(3), self._average.pending[3:] * period)
        self.ahead = Pose(ahead.position, arriving.quaternion)

    def _smoothed(self, velocity: Float64Array, turning: Float64Array) -> tuple[str, ...]:
        """Return which jerks the step to these velocities of the first stage exceeds."""
        acceleration = (velocity - self._ahead_velocity) / self._period
        turning_change = (turning - self._ahead_turning) / self._period
        found = []
        for name, now, before, jerk in (
            ('jerk', acceleration, self._acceleration, self._limits.jerk),
            ('rotation_jerk', turning_change, self._turning_change, self._limits.rotation_jerk),
        ):
            if jerk is not None and norm(now - before) > jerk * self._period + ROUNDING:
                found.append(name)
        self._acceleration, self._turning_change = acceleration, turning_change
        return tuple(found)

    def _inside(self, position: Float64Array) -> Float64Array:
        """Return the position clipped to the workspace, or to where the arm is outside of it."""
        start = self.ahead.position
        lower = np.minimum(self._workspace.lower, start)
        upper = np.maximum(self._workspace.upper, start)
        return clipped(position, lower, upper)

    def _wall_speeds(self) -> tuple[Float64Array, Float64Array]:
        """Return the lowest and highest velocity per axis from which the walls can be kept."""
        share = self._limits.acceleration / math.sqrt(3.0)
        position, box = self.ahead.position, self._workspace
        gaps = np.concatenate((position - box.lower, box.upper - position))
        speeds = braking_speed(gaps, share, self._period)
        return -speeds[:3], speeds[3:]


def _slowed(velocity: Float64Array, amount: float) -> Float64Array:
    speed = norm(velocity)
    return velocity * (1.0 - amount / speed) if speed > amount else np.zeros(3)


def _same_way(turn: Float64Array, before: Float64Array) -> Float64Array:
    """Return the turn that is left, the long way round where the shorter one would turn back.

    A target that turns faster than the limit gets more than half a turn ahead.
    """
    angle = norm(turn)
    if min(angle, norm(before)) < 0.5 * math.pi or turn.dot(before) >= 0.0:
        return turn
    return turn * (1.0 - 2.0 * math.pi / angle)


def _turn(start: Pose, end: Pose) -> Float64Array:
    turn = turn_between(start, end)
    return turn if norm(turn) > _STILL else np.zeros(3)
