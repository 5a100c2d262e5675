"""Turns commanded motion into twists for controllers of velocity, and corrects what they miss.

The velocity of the command, plus a share of the distance between where the arm was told to be and
where it was measured at the same time; all of it within the contract's velocities, accelerations
and jerks, whatever is measured.
"""

from __future__ import annotations

import numpy as np

from robomamba_ros.control.history import History
from robomamba_ros.control.motion.joint_limits import JointLimiter
from robomamba_ros.control.motion.pursuit import NO_WALLS, Pursuit
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Joint
from robomamba_ros.spatial.transforms import interpolate, turn_between
from robomamba_ros.spatial.vectors import ZERO, Vector, minus, over, plus, shortened, times, vector
from robomamba_ros.types import NANOSECONDS, Float64Array, RobotState, Setpoint

# Share of the distance made up in a second. With the 0.2 s that a measurement may be old the
# product stays below 1/2, where a loop with a delay does not overshoot.
_GAIN = 2.0
# Distances that are left as they are [m, rad]: noise would keep the arm awake.
_STILL_M, _STILL_RAD = 5e-4, 2e-3
_STILL: Float64Array = np.zeros(3)
# How much faster than its limit a base may have turned, by a late tick, before that is doubted.
_DOUBT = 2.0


class PoseServo:
    """Twists of the end effector: (6,), linear [m/s] above angular [rad/s], base axes."""

    def __init__(self, arm: ArmContract) -> None:
        limits, self._period_s = arm.cartesian, arm.period_ns / NANOSECONDS
        self._linear = _Follower(limits.velocity, limits.acceleration, limits.jerk, self._period_s)
        self._angular = _Follower(
            limits.rotation_velocity,
            limits.rotation_acceleration,
            limits.rotation_jerk,
            self._period_s,
        )
        self._period_ns = arm.period_ns
        self._commanded = History(interpolate)
        self._last: Setpoint | None = None

    def twist(
        self, setpoint: Setpoint, measured: RobotState | None, *, correct: bool
    ) -> Float64Array:
        """Return the twist of a control period; once per period.

        correct: whether `measured` may be trusted. Where it may not, or nothing is to be reached,
        the twist only follows the command and is exactly zero once that stands still.
        """
        pose, last = setpoint.pose, self._last
        if pose is None:
            return np.zeros(6)
        if last is None or last.pose is None or setpoint.stamp_ns <= last.stamp_ns:
            self._commanded.clear()
            linear, angular = np.zeros(3), np.zeros(3)
        else:
            linear = (pose.position - last.pose.position) / self._period_s
            angular = turn_between(last.pose, pose) / self._period_s
        self._last = setpoint
        self._commanded.put(setpoint.stamp_ns + self._period_ns, pose)
        if correct and measured is not None:
            there = self._commanded.at(measured.stamp_ns) or pose
            way = there.position - measured.pose.position
            linear = linear + _correction(way, _STILL_M)
            angular = angular + _correction(turn_between(measured.pose, there), _STILL_RAD)
        return np.concatenate([self._linear.follow(linear), self._angular.follow(angular)])

    def brake(self) -> Float64Array:
        """Return the twist of a control period without a command; zero once it stands still."""
        return np.concatenate([self._linear.follow(_STILL), self._angular.follow(_STILL)])

    def reset(self) -> None:
        """Forget the motion: the next command begins at rest."""
        self._last = None
        self._commanded.clear()
        self._linear.reset()
        self._angular.reset()


class BaseServo:
    """Twists of a mobile base in its own footprint: (3,), ahead, to the left [m/s], turn [rad/s].

    Limits are those of the three joints, which lie in the frame of the odometry. The heading is
    the measured one and what the twists since have turned, but turns no faster than a base can.
    """

    def __init__(self, arm: ArmContract) -> None:
        joints = arm.joints_of('base')
        self._names = [joint.name for joint in joints]
        period_s = arm.period_ns / NANOSECONDS
        self._speed = np.array([joint.velocity for joint in joints])
        # Velocities are limited as positions are: one derivative lower.
        self._rates = [
            Joint(j.name, j.part, (-j.velocity, j.velocity), j.acceleration, jerk, None, None)
            for j, jerk in ((j, _jerk(j.acceleration, j.jerk, period_s)) for j in joints)
        ]
        self._period_s = period_s
        self._limiter = JointLimiter(self._rates, period_s, _STILL)
        self._turn = _DOUBT * joints[2].velocity * period_s
        self._period_ns = arm.period_ns
        # Where the base was told to be, and how far the twists sent have led, at which time.
        self._commanded, self._led = History(_mixed), History(_mixed)
        self._gone = _STILL
        self._stamp_ns = 0
        self._heading: float | None = None

    def twist(
        self, setpoint: Setpoint, measured: RobotState | None, *, correct: bool
    ) -> Float64Array:
        """Return the twist of a control period, as PoseServo does."""
        joints = np.array([setpoint.joints[name] for name in self._names])
        target = np.array([setpoint.joint_velocities[name] for name in self._names])
        stamp_ns = setpoint.stamp_ns
        elapsed_ns = stamp_ns - self._stamp_ns
        if elapsed_ns <= 0:
            self._commanded.clear()
            self._led.clear()
        self._stamp_ns = stamp_ns
        self._commanded.put(stamp_ns + self._period_ns, joints)
        self._gone = self._gone + self._limiter.joints * (max(elapsed_ns, 0) / NANOSECONDS)
        self._led.put(stamp_ns, self._gone)
        if measured is None:
            heading = float(joints[2]) if self._heading is None else self._heading
        else:
            here = np.array([measured.joints[name] for name in self._names])
            measured_ns = measured.stamps.get('odometry', measured.stamp_ns)
            # Since then it has turned as the twists say, which it takes up a period later.
            begin, end = (_at(self._led, t - self._period_ns) for t in (measured_ns, stamp_ns))
            turned = here[2] + end[2] - begin[2]
            heading = self._turned_to(float(turned), max(elapsed_ns / self._period_ns, 1.0))
            if correct:
                way = _at(self._commanded, measured_ns) - here
                target[:2] += _correction(way[:2], _STILL_M)
                target[2:] += _correction(way[2:], _STILL_RAD)
        self._heading = heading
        return self._sent(np.clip(target, -self._speed, self._speed))

    def brake(self) -> Float64Array:
        """Return the twist of a control period without a command; zero once it stands still."""
        return self._sent(_STILL)

    def reset(self) -> None:
        """Forget the motion: the next command begins at rest."""
        self._commanded.clear()
        self._led.clear()
        self._heading = None
        self._limiter = JointLimiter(self._rates, self._period_s, _STILL)

    def _sent(self, wanted: Float64Array) -> Float64Array:
        return _turned(self._limiter.follow(wanted), -(self._heading or 0.0))

    def _turned_to(self, measured: float, periods: float) -> float:
        if self._heading is None:
            return measured
        most = periods * self._turn
        return self._heading + min(max(measured - self._heading, -most), most)


def _correction(way: Float64Array, still: float) -> Float64Array:
    distance = float(np.linalg.norm(way))
    # What exceeds `still` counts, so that a correction begins without a jerk.
    return way * (_GAIN * max(1.0 - still / distance, 0.0)) if distance else np.zeros_like(way)


class _Follower:
    """Follows velocities (3,) and keeps the norms of velocity, acceleration and jerk.

    Where a correction meets the limit of velocity it stops there, and the jerk is not kept.
    """

    def __init__(
        self, speed: float, acceleration: float, jerk: float | None, period_s: float
    ) -> None:
        self._speed, self._acceleration, self._period_s = speed, acceleration, period_s
        self._jerk = _jerk(acceleration, jerk, period_s)
        self._sent = self._target = self._change = ZERO

    def follow(self, wanted: Float64Array) -> Float64Array:
        """Return the velocity nearest to `wanted`; itself where that keeps the limits."""
        return np.array(self._follow(shortened(vector(wanted), self._speed)))

    def _follow(self, target: Vector) -> Vector:
        period_s = self._period_s
        pursuit = Pursuit(
            current=self._change,
            reaching=over(minus(target, self._sent), period_s),
            tracking=over(minus(target, self._target), period_s),
            speed=self._acceleration,
            acceleration=self._jerk,
            period=period_s,
            walls=NO_WALLS,
        )
        self._target = sent = target
        if pursuit.active_limits():
            sent = shortened(plus(self._sent, times(period_s, pursuit.velocity())), self._speed)
        self._change, self._sent = over(minus(sent, self._sent), period_s), sent
        return sent

    def reset(self) -> None:
        """Stand still."""
        self._sent = self._target = self._change = ZERO


def _turned(velocity: Float64Array, angle: float) -> Float64Array:
    """Return a planar velocity (3,), x, y and turn, turned by an angle."""
    x, y, turn = velocity
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * x - sin * y, sin * x + cos * y, turn])


def _jerk(acceleration: float, jerk: float | None, period_s: float) -> float:
    """Return the jerk, or without one what reverses the whole acceleration within a period."""
    return 2.0 * acceleration / period_s if jerk is None else jerk


def _mixed(before: Float64Array, after: Float64Array, fraction: float) -> Float64Array:
    return before + fraction * (after - before)


def _at(history: History[Float64Array], time_ns: int) -> Float64Array:
    """Return the value of a history that is not empty."""
    value = history.at(time_ns)
    assert value is not None
    return value
