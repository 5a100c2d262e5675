"""Keeps commanded joints within their positions, velocities, accelerations and jerks.

The two stages of pose_limits.py, each joint with limits of its own. One call is one control
period.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.control.motion.pursuit import ROUNDING, braking_speed, braking_way
from robomamba_ros.control.motion.smoothing import MovingAverage, smoothing_periods
from robomamba_ros.control.motion.twin import twin
from robomamba_ros.robots.parts import Joint
from robomamba_ros.types import Float64Array

# What may keep a joint from its target, but for the jerk.
_NAMES = ('position', 'velocity', 'acceleration')


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
        self._limits = [_Limits.of(joint, period_s) for joint in joints]
        self._period = period_s
        periods = smoothing_periods([(j.acceleration, j.jerk) for j in joints], period_s)
        self.lag_periods = (periods - 1) / 2
        self._average = MovingAverage(periods, start)
        self.ahead: Float64Array = np.asarray(start, dtype=np.float64)
        self._ahead: list[float] = self.ahead.tolist()
        self._target = self._ahead
        self._ahead_velocity = self._ahead_acceleration = [0.0] * len(joints)
        self.joints = self.ahead
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
        moving = any(self._ahead_velocity) or self.velocity.any()
        return not moving and self._average.settled

    @property
    def rest(self) -> Float64Array:
        """About where the joints (n,) would come to rest if they braked from now on."""
        # All brake in proportion, as fast as the one that takes longest can.
        return np.array(self._after(self._period * (0.5 * self._periods_to_rest() + 0.5)))

    def follow(self, target: Float64Array) -> Float64Array:
        """Return the joints to command in this period so as to be on `target`, or to catch up.

        Each joint does so by itself: one that is late does not hold up the others.
        """
        return self._follow(target.tolist())

    def _follow(self, asked: list[float]) -> Float64Array:
        joints = zip(
            self._limits, self._ahead, self._ahead_velocity, self._target, asked, strict=True
        )
        steps = [
            limits.step(here, current, before, target, self._period)
            for limits, here, current, before, target in joints
        ]
        self._target = asked
        found = {name for _, active in steps for name in active}
        self.active_limits = tuple(name for name in _NAMES if name in found)
        self._command([position for position, _ in steps])
        return self.joints

    def brake(self) -> Float64Array:
        """Return the joints to command in this period so as to come to rest on a straight line.

        All joints slow down in proportion, as fast as the slowest of them can; one that is near
        its end brakes harder than that.
        """
        left = 1.0 - 1.0 / max(self._periods_to_rest(), 1.0)
        # The stop begins here: what was still to catch up is given up.
        self._target = self._ahead
        return self._follow(self._after(left * self._period))

    def _after(self, time_s: float) -> list[float]:
        """Return where the joints would be after a time at their last velocity [s]."""
        pairs = zip(self._ahead, self._ahead_velocity, strict=True)
        return self._inside([position + time_s * velocity for position, velocity in pairs])

    def _periods_to_rest(self) -> float:
        """Return how many periods the joint that takes longest needs to brake."""
        pairs = zip(self._ahead_velocity, self._limits, strict=True)
        return max(abs(velocity) / limits.change for velocity, limits in pairs)

    def stop(self) -> tuple[Float64Array, Float64Array]:
        """Return joints and their velocities (k, n) in the periods of a stop by `brake`, to rest.

        The limiter itself stays where it is.
        """
        period = self._period
        periods = self._periods_to_rest()
        count = math.ceil(periods)
        # What is left of the velocity: all joints brake in proportion.
        left = 1.0 - np.arange(1, count + 1) / periods if count else np.zeros(0)
        velocity = np.array(self._ahead_velocity)
        way = np.add.accumulate(np.maximum(left, 0.0))[:, None] * (velocity * period)
        if count and not self._within((self.ahead + way[-1]).tolist()):
            return self._stop_at_an_end()
        # The average comes to rest one period after its last row.
        rows = np.empty((count + self._average.count + 1, len(self.ahead)))
        rows[:count] = way
        rows[count:] = way[-1] if count else 0.0
        joints = self._average.ahead(self.ahead + rows)
        velocities = joints.copy()
        velocities[1:] -= joints[:-1]
        velocities[0] -= self.joints
        return joints, velocities / period

    def _stop_at_an_end(self) -> tuple[Float64Array, Float64Array]:
        """Return the same where a joint is near its end, and brakes harder than the others."""
        other = self.copy()
        rows: list[tuple[Float64Array, Float64Array]] = []
        while not (other.at_rest and rows):
            other.brake()
            rows.append((other.joints, other.velocity))
        # A point is at rest where the command before it was, too.
        rows.append((other.joints, np.zeros(len(other.joints))))
        joints, velocities = np.array(rows).swapaxes(0, 1)
        return joints, velocities

    def _command(self, ahead: list[float]) -> None:
        """Take the next command of the first stage and give the mean of it and those before."""
        period = self._period
        velocity = [(a - b) / period for a, b in zip(ahead, self._ahead, strict=True)]
        pairs = zip(velocity, self._ahead_velocity, strict=True)
        acceleration = [(a - b) / period for a, b in pairs]
        jumps = zip(acceleration, self._ahead_acceleration, self._limits, strict=True)
        if any(abs(a - b) > limits.jump for a, b, limits in jumps):
            self.active_limits += ('jerk',)
        self._ahead, self._ahead_velocity, self._ahead_acceleration = ahead, velocity, acceleration
        self.ahead = np.array(ahead)
        joints = self._average.add(self.ahead)
        self.velocity = (joints - self.joints) / period
        self.joints = joints

    def _inside(self, joints: list[float]) -> list[float]:
        """Return the joints clipped to their positions, or to where one is outside of them."""
        each = zip(self._limits, joints, self._ahead, strict=True)
        return [limits.inside(position, here) for limits, position, here in each]

    def _within(self, joints: list[float]) -> bool:
        """Tell whether all joints are within their positions."""
        pairs = zip(self._limits, joints, strict=True)
        return all(limits.lower <= position <= limits.upper for limits, position in pairs)


@dataclass(frozen=True)
class _Limits:
    """The limits of one joint.

    change: of the velocity within one period; jump: of the acceleration. far: an end further away
    forbids no velocity within `speed`.
    """

    lower: float
    upper: float
    speed: float
    acceleration: float
    change: float
    jump: float
    far: float

    @staticmethod
    def of(joint: Joint, period_s: float) -> _Limits:
        """Return those of a joint of the contract."""
        jump = math.inf if joint.jerk is None else joint.jerk * period_s + ROUNDING
        change = joint.acceleration * period_s
        far = braking_way(joint.velocity, joint.acceleration, period_s)
        return _Limits(*joint.position, joint.velocity, joint.acceleration, change, jump, far)

    def step(
        self, here: float, current: float, before: float, target: float, period: float
    ) -> tuple[float, tuple[str, ...]]:
        """Return the position after a period, and the limits that keep it from its target.

        here, current: the last position and velocity; before: the last target. As in Pursuit,
        which has limits on the norm: a target is met only where its own velocity can be taken up
        in the next period.
        """
        reaching, tracking = (target - here) / period, (target - before) / period
        way = here - self.lower if reaching < 0.0 else self.upper - here
        fast, most = abs(reaching), self.change + ROUNDING
        far = way > self.far and fast <= self.speed
        limited = (
            not far and fast > braking_speed(way, self.acceleration, period) + ROUNDING,
            fast > self.speed + ROUNDING,
            abs(reaching - current) > most or abs(reaching - tracking) > most,
        )
        if True not in limited:
            return target, ()
        gap = (reaching - tracking) * period
        closing = braking_speed(abs(gap), self.acceleration, period)
        desired = tracking + math.copysign(closing, gap)
        desired = min(max(desired, -self.speed), self.speed)
        desired = max(desired, -braking_speed(here - self.lower, self.acceleration, period))
        desired = min(desired, braking_speed(self.upper - here, self.acceleration, period))
        velocity = min(max(desired, current - self.change), current + self.change)
        moved = self.inside(here + velocity * period, here)
        return moved, tuple(itertools.compress(_NAMES, limited))

    def inside(self, position: float, here: float) -> float:
        """Return the position clipped to the joint's, or to `here` where that is outside."""
        return min(max(position, min(self.lower, here)), max(self.upper, here))
