"""Keeps commanded joints within their positions, velocities, accelerations and jerks.

The two stages of limits.py, each joint with limits of its own. One call is one control
period.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from robomamba_ros.control.motion.pursuit import ROUNDING, braking_speed
from robomamba_ros.control.motion.smoothing import MovingAverage, smoothing_periods
from robomamba_ros.control.motion.twin import twin
from robomamba_ros.robots.bounded import clipped, within
from robomamba_ros.robots.parts import Joint
from robomamba_ros.types import Float64Array


class JointLimiter:
    """Follows targets (n,) from a start at rest; each call gives the joints of one period.

    Positions, and their differences once, twice and three times, are within the limits of each
    joint. The speed towards an end of a joint never exceeds what its acceleration can stop in
    time. A joint that starts outside its positions moves only inwards.

    joints: the last command (n,) in the order of `joints` [rad or m]; velocity: of that command.
    ahead: the newest command before it was averaged, which commands reach `lag_periods` later.
    active_limits: those that kept the last command from its target; a smoothed jerk counts.
    """

    def __init__(self, joints: Sequence[Joint], period_s: float, start: Float64Array) -> None:
        self._lower = np.array([joint.position[0] for joint in joints])
        self._upper = np.array([joint.position[1] for joint in joints])
        self._speed = np.array([joint.velocity for joint in joints])
        self._acceleration = np.array([joint.acceleration for joint in joints])
        jerks = [np.inf if joint.jerk is None else joint.jerk for joint in joints]
        self._most_jump = np.array(jerks) * period_s + ROUNDING
        self._period = period_s
        periods = smoothing_periods([(j.acceleration, j.jerk) for j in joints], period_s)
        self.lag_periods = (periods - 1) / 2
        self._average = MovingAverage(periods, start)
        self._target: Float64Array = np.asarray(start, dtype=np.float64)
        self.ahead = self._target
        self._ahead_velocity = np.zeros(len(joints))
        self._ahead_acceleration = np.zeros(len(joints))
        self.joints = self._target
        self.velocity = np.zeros(len(joints))
        self.active_limits: tuple[str, ...] = ()

    def copy(self) -> JointLimiter:
        """Return one that goes on from here by itself."""
        other = twin(self)
        other._average = self._average.copy()
        return other

    @property
    def at_rest(self) -> bool:
        """Whether the command stands still."""
        moving = self._ahead_velocity.any() or self.velocity.any()
        return not moving and self._average.settled

    @property
    def rest(self) -> Float64Array:
        """About where the joints (n,) would come to rest if they braked from now on."""
        # All brake in proportion, as fast as the one that takes longest can.
        periods = np.max(np.abs(self._ahead_velocity) / (self._acceleration * self._period))
        way = self._ahead_velocity * self._period * (0.5 * periods + 0.5)
        return self._inside(self.ahead + way)

    def follow(self, target: Float64Array) -> Float64Array:
        """Return the joints to command in this period so as to be on `target`, or to catch up.

        Each joint does so by itself: one that is late does not hold up the others.
        """
        period, step = self._period, self._acceleration * self._period
        current = self._ahead_velocity
        reaching = (target - self.ahead) / period
        tracking = (target - self._target) / period
        gap = (reaching - tracking) * period
        # One call for all three: most of its time is spent on calling.
        ways = np.array((self.ahead - self._lower, self._upper - self.ahead, np.abs(gap)))
        inward, upper, closing = braking_speed(ways, self._acceleration, period)
        lower = -inward
        # As in Pursuit, which has limits on the norm: a target is met only where its own velocity
        # can be taken up in the next period.
        change = np.maximum(np.abs(reaching - current), np.abs(reaching - tracking))
        forbids = {
            'position': (reaching < lower - ROUNDING) | (reaching > upper + ROUNDING),
            'velocity': np.abs(reaching) > self._speed + ROUNDING,
            'acceleration': change > step + ROUNDING,
        }
        self.active_limits = tuple(
            name for name, joints in forbids.items() if True in joints.tolist()
        )
        self._target = target
        if not self.active_limits:
            self._command(np.asarray(target, dtype=np.float64))
            return self.joints
        limited = forbids['position'] | forbids['velocity'] | forbids['acceleration']
        desired = tracking + np.sign(gap) * closing
        desired = clipped(clipped(desired, -self._speed, self._speed), lower, upper)
        velocity = clipped(desired, current - step, current + step)
        moved = self._inside(self.ahead + velocity * period)
        self._command(np.where(limited, moved, target))
        return self.joints

    def brake(self) -> Float64Array:
        """Return the joints to command in this period so as to come to rest on a straight line.

        All joints slow down in proportion, as fast as the slowest of them can; one that is near
        its end brakes harder than that.
        """
        step = self._acceleration * self._period
        share = np.min(step / np.maximum(np.abs(self._ahead_velocity), step))
        velocity = self._ahead_velocity * (1.0 - share)
        # The stop begins here: what was still to catch up is given up.
        self._target = self.ahead
        return self.follow(self._inside(self.ahead + velocity * self._period))

    def stop(self) -> tuple[Float64Array, Float64Array]:
        """Return joints and their velocities (k, n) in the periods of a stop by `brake`, to rest.

        The limiter itself stays where it is.
        """
        period = self._period
        periods = float(np.max(np.abs(self._ahead_velocity) / (self._acceleration * period)))
        count = math.ceil(periods)
        # What is left of the velocity: all joints brake in proportion.
        left = 1.0 - np.arange(1, count + 1) / periods if count else np.zeros(0)
        way = np.add.accumulate(np.maximum(left, 0.0))[:, None] * (self._ahead_velocity * period)
        if count and not within(self.ahead + way[-1], self._lower, self._upper):
            return self._stop_at_an_end()
        # The average comes to rest one period after its last row.
        rest = np.repeat(
            way[-1:] if count else np.zeros((1, len(self.ahead))), self._average.count + 1, axis=0
        )
        joints = self._average.ahead(self.ahead + np.concatenate((way, rest)))
        return joints, np.diff(joints, axis=0, prepend=self.joints[None]) / period

    def _stop_at_an_end(self) -> tuple[Float64Array, Float64Array]:
        """Return the same where a joint is near its end, and brakes harder than the others."""
        other = self.copy()
        rows: list[tuple[Float64Array, Float64Array]] = []
        while not (other.at_rest and rows):
            other.brake()
            rows.append((other.joints, other.velocity))
        joints, velocities = np.array(rows).swapaxes(0, 1)
        return joints, velocities

    def _command(self, ahead: Float64Array) -> None:
        """Take the next command of the first stage and give the mean of it and those before."""
        velocity = (ahead - self.ahead) / self._period
        acceleration = (velocity - self._ahead_velocity) / self._period
        jump = np.abs(acceleration - self._ahead_acceleration)
        if True in (jump > self._most_jump).tolist():
            self.active_limits += ('jerk',)
        self.ahead, self._ahead_velocity, self._ahead_acceleration = ahead, velocity, acceleration
        joints = self._average.add(ahead)
        self.velocity = (joints - self.joints) / self._period
        self.joints = joints

    def _inside(self, joints: Float64Array) -> Float64Array:
        """Return the joints clipped to their positions, or to where one is outside of them."""
        lower = np.minimum(self._lower, self.ahead)
        return clipped(joints, lower, np.maximum(self._upper, self.ahead))
