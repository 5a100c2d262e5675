"""Turns commanded motion into twists for controllers of velocity, and corrects what they miss.

The velocity of the command, plus a share of the distance between where the arm was told to be and
where it was measured at the same time; all of it within the contract's velocities, accelerations
and jerks, whatever is measured.
"""

from __future__ import annotations

import cmath
from dataclasses import replace
from math import remainder, tau

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
# What twists leave of the limits of a base, whose heading is not known exactly, as a share; what of
# the rest commands leave for corrections; and what drawing the heading to the measured one adds.
_ROOM, _CORRECTS, _DRAWN = 0.09, 0.04, 0.02
# Share of what a heading is off that is drawn nearer in a second. A base that is slower than a
# share of its speed counts as that fast.
_DRAW, _CRAWLS = 2.0, 0.1


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

    Limits are those of the three joints, which lie in the frame of the odometry, of the mean
    velocity in each control period. A base that holds a twist drives an arc, so each twist is the
    one whose arc leads where the velocity does. For that the servo reckons the heading from what
    it has sent, which a base takes up a period later. Measurements draw it nearer, no faster than
    limits leave room for (see `commanded_joints`), and put it right while the base stands.
    """

    def __init__(self, arm: ArmContract) -> None:
        joints = [_with_room(joint, _ROOM) for joint in arm.joints_of('base')]
        self._names = [joint.name for joint in joints]
        self._period_s = period_s = arm.period_ns / NANOSECONDS
        self._speed = np.array([joint.velocity for joint in joints])
        # Velocities are limited as positions are: one derivative lower.
        self._rates = [
            Joint(j.name, j.part, (-j.velocity, j.velocity), j.acceleration, jerk, None, None)
            for j, jerk in ((j, _jerk(j.acceleration, j.jerk, period_s)) for j in joints)
        ]
        self._limiter = JointLimiter(self._rates, period_s, _STILL)
        # What a heading that is drawn at 1 rad/s, or faster by 1 rad/s^2, may add.
        along = self._rates[:2]
        self._room = _DRAWN * min(rate.velocity for rate in along)
        self._room_of_change = _DRAWN * min(rate.acceleration for rate in along)
        self._period_ns = arm.period_ns
        # Where the base was told to be, and which way it was to head, at which time.
        self._commanded, self._headed = History(_mixed), History(_mixed)
        self._stamp_ns = 0
        # At the begin of the next twist, and how fast measurements draw it [rad/s].
        self._heading: float | None = None
        self._drawn = 0.0

    def twist(
        self, setpoint: Setpoint, measured: RobotState | None, *, correct: bool
    ) -> Float64Array:
        """Return the twist of a control period, as PoseServo does."""
        joints = np.array([setpoint.joints[name] for name in self._names])
        target = np.array([setpoint.joint_velocities[name] for name in self._names])
        elapsed_ns = setpoint.stamp_ns - self._stamp_ns
        if elapsed_ns <= 0:
            self._commanded.clear()
            self._headed.clear()
        if self._heading is None:
            self._heading = float(joints[2])
        elapsed_s = max(elapsed_ns, 0) / NANOSECONDS
        self._turn_on(setpoint.stamp_ns, elapsed_s)
        self._commanded.put(setpoint.stamp_ns + self._period_ns, joints)
        away = 0.0
        if measured is not None:
            here = np.array([measured.joints[name] for name in self._names])
            measured_ns = measured.stamps.get('odometry', measured.stamp_ns)
            away = remainder(float((here - _at(self._headed, measured_ns))[2]), tau)
            if correct:
                way = _at(self._commanded, measured_ns) - here
                target[:2] += _correction(way[:2], _STILL_M)
                target[2:] += _correction(way[2:], _STILL_RAD)
        self._draw(away, elapsed_s)
        return self._sent(np.clip(target, -self._speed, self._speed))

    def brake(self) -> Float64Array:
        """Return the twist of a control period without a command; zero once it stands still."""
        self._turn_on(self._stamp_ns + self._period_ns, self._period_s)
        self._draw(0.0, self._period_s)
        return self._sent(_STILL)

    def reset(self) -> None:
        """Forget the motion: the next command begins at rest."""
        self._commanded.clear()
        self._headed.clear()
        self._heading, self._drawn = None, 0.0
        self._limiter = JointLimiter(self._rates, self._period_s, _STILL)

    def _turn_on(self, stamp_ns: int, elapsed_s: float) -> None:
        """Reckon on to stamp_ns by the turn that was sent last."""
        self._stamp_ns = stamp_ns
        self._heading = (self._heading or 0.0) + float(self._limiter.joints[2]) * elapsed_s
        self._headed.put(stamp_ns + self._period_ns, np.array([0.0, 0.0, self._heading]))

    def _draw(self, away: float, elapsed_s: float) -> None:
        """Draw the heading towards a measured one that is `away` from it."""
        heading, velocity = self._heading or 0.0, self._limiter.joints
        if not velocity.any():
            self._heading, self._drawn = heading + away, 0.0
            self._headed.clear()
            self._headed.put(self._stamp_ns + self._period_ns, np.array([0.0, 0.0, self._heading]))
            return
        speed = max(float(np.abs(velocity[:2]).max()), _CRAWLS * float(self._speed[:2].min()))
        most, change = self._room / speed, self._room_of_change / speed * self._period_s
        wanted = min(max(_DRAW * away, -most), most)
        self._drawn += min(max(wanted - self._drawn, -change), change)
        self._heading = heading + self._drawn * elapsed_s

    def _sent(self, wanted: Float64Array) -> Float64Array:
        x, y, turn = self._limiter.follow(wanted)
        half = 0.5 * float(turn) * self._period_s
        ahead = complex(x, y) * cmath.exp(-1j * ((self._heading or 0.0) + half))
        ahead /= np.sinc(half / np.pi)
        return np.array([ahead.real, ahead.imag, turn])


def commanded_joints(arm: ArmContract) -> tuple[Joint, ...]:
    """Return the joints of an arm with the limits that commands keep.

    Those of a base that is commanded by twists leave room for what nobody knows of its heading.
    """
    if all(output.kind != 'twist' for output in arm.outputs if output.part == 'base'):
        return arm.joints
    return tuple(
        _with_room(joint, _ROOM + _CORRECTS) if joint.part == 'base' else joint
        for joint in arm.joints
    )


def _with_room(joint: Joint, room: float) -> Joint:
    left = 1.0 - room
    return replace(
        joint,
        velocity=left * joint.velocity,
        acceleration=left * joint.acceleration,
        jerk=joint.jerk and left * joint.jerk,
    )


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
