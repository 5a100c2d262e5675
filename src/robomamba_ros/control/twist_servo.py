"""Turns commanded motion into twists for controllers of velocity, and corrects what they miss.

The velocity of the command, plus a share of the distance between where the arm was told to be and
where it was measured at the same time; all of it within the contract's velocities and
accelerations, whatever is measured. Knows nothing about messages or when to stop.
"""

from __future__ import annotations

import numpy as np

from robomamba_ros.actions.pursuit import shortened
from robomamba_ros.control.history import History
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.spatial.transforms import interpolate, turn_between
from robomamba_ros.types import NANOSECONDS, Float64Array, RobotState, Setpoint

# Share of the distance made up in a second. With the 0.2 s that a measurement may be old the
# product stays below 1/2, where a loop with a delay does not overshoot.
_GAIN = 2.0
# Distances that are left as they are [m, rad]: noise would keep the arm awake.
_STILL_M, _STILL_RAD = 5e-4, 2e-3
# How much faster than its limit a base may have turned, by a late tick, before that is doubted.
_DOUBT = 2.0


class PoseServo:
    """Twists of the end effector: (6,), linear [m/s] above angular [rad/s], base axes."""

    def __init__(self, arm: ArmContract) -> None:
        limits, self._period_s = arm.cartesian, arm.period_ns / NANOSECONDS
        self._speeds = limits.velocity, limits.rotation_velocity
        self._steps = tuple(
            self._period_s * a for a in (limits.acceleration, limits.rotation_acceleration)
        )
        self._period_ns = arm.period_ns
        self._commanded = History(interpolate)
        self._last: Setpoint | None = None
        self._sent = np.zeros(3), np.zeros(3)

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
        pairs = zip(self._sent, (linear, angular), self._speeds, self._steps, strict=True)
        sent_linear, sent_angular = (_within_norms(*pair) for pair in pairs)
        self._sent = sent_linear, sent_angular
        return np.concatenate(self._sent)

    def reset(self) -> None:
        """Forget the motion: the next command begins at rest."""
        self._last = None
        self._commanded.clear()
        self._sent = np.zeros(3), np.zeros(3)


class BaseServo:
    """Twists of a mobile base in its own footprint: (3,), ahead, to the left [m/s], turn [rad/s].

    Limits are those of the three joints, which lie in the frame of the odometry. The heading is
    the measured one, but turns no faster than a base can.
    """

    def __init__(self, arm: ArmContract) -> None:
        joints = arm.joints_of('base')
        self._names = [joint.name for joint in joints]
        period_s = arm.period_ns / NANOSECONDS
        self._speed = np.array([joint.velocity for joint in joints])
        self._step = np.array([joint.acceleration for joint in joints]) * period_s
        self._turn = _DOUBT * joints[2].velocity * period_s
        self._period_ns = arm.period_ns
        self._commanded = History(_mixed)
        self._stamp_ns = 0
        self._heading: float | None = None
        self._sent: Float64Array = np.zeros(3)

    def twist(
        self, setpoint: Setpoint, measured: RobotState | None, *, correct: bool
    ) -> Float64Array:
        """Return the twist of a control period, as PoseServo does."""
        joints = np.array([setpoint.joints[name] for name in self._names])
        target = np.array([setpoint.joint_velocities[name] for name in self._names])
        if setpoint.stamp_ns <= self._stamp_ns:
            self._commanded.clear()
        self._stamp_ns = setpoint.stamp_ns
        self._commanded.put(setpoint.stamp_ns + self._period_ns, joints)
        if measured is None:
            heading = float(joints[2]) if self._heading is None else self._heading
        else:
            here = np.array([measured.joints[name] for name in self._names])
            heading = self._turned_to(float(here[2]))
            there = self._commanded.at(measured.stamps.get('odometry', measured.stamp_ns))
            if correct and there is not None:
                target[:2] += _correction((there - here)[:2], _STILL_M)
                target[2:] += _correction((there - here)[2:], _STILL_RAD)
        self._heading = heading
        wanted = np.clip(target, -self._speed, self._speed)
        self._sent = np.clip(wanted, self._sent - self._step, self._sent + self._step)
        (x, y, turn), cos, sin = self._sent, np.cos(heading), np.sin(heading)
        return np.array([cos * x + sin * y, cos * y - sin * x, turn])

    def _turned_to(self, measured: float) -> float:
        if self._heading is None:
            return measured
        return self._heading + min(max(measured - self._heading, -self._turn), self._turn)

    def reset(self) -> None:
        """Forget the motion: the next command begins at rest."""
        self._commanded.clear()
        self._heading = None
        self._sent = np.zeros(3)


def _correction(way: Float64Array, still: float) -> Float64Array:
    distance = float(np.linalg.norm(way))
    # What exceeds `still` counts, so that a correction begins without a jerk.
    return way * (_GAIN * max(1.0 - still / distance, 0.0)) if distance else np.zeros_like(way)


def _within_norms(
    sent: Float64Array, wanted: Float64Array, speed: float, step: float
) -> Float64Array:
    """Return the velocity nearest to `wanted`, on the way from the one sent, within both norms."""
    target = shortened(wanted, speed)
    # Both ends lie in the ball of allowed speeds, and so does what is between them.
    change = target - sent
    return target if np.linalg.norm(change) <= step else sent + shortened(change, step)


def _mixed(before: Float64Array, after: Float64Array, fraction: float) -> Float64Array:
    return before + fraction * (after - before)
