"""The points that controllers of trajectories are sent, of the commands of an arm."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from robomamba_ros.control.motion.joint_motion import JointMotion
from robomamba_ros.types import NANOSECONDS, Float64Array


@dataclass(frozen=True)
class Trajectory:
    """Points of all joints in the contract's order, one a control period, the last at rest.

    times_ns (k,) increase by the period; positions, velocities, accelerations (k, n) [rad or m,
    per s, per s^2].

    They are those of the cubic B-spline whose control points are the commands. A quintic through
    them, which is what a joint_trajectory_controller computes, is that spline: its positions,
    velocities, accelerations and jerks are means of the commands' own, and so exceed no limit, at
    no time between them. The commands themselves taken for points would overshoot.
    """

    times_ns: tuple[int, ...]
    positions: Float64Array
    velocities: Float64Array
    accelerations: Float64Array


class Points:
    """The points of commands, each as soon as the command after it is known."""

    def __init__(self, period_ns: int, motion: JointMotion) -> None:
        self._period_ns = period_ns
        # When the point of each command is reached; the last command waits for one after it.
        self._times_ns: list[int] = []
        self._joints, self._velocities = [motion.joints], [motion.velocity]

    def forget(self, until_ns: int) -> None:
        """Forget the points before until_ns, but for the last one."""
        first = max(min(bisect_left(self._times_ns, until_ns), len(self._times_ns) - 1), 0)
        del self._times_ns[:first], self._joints[:first], self._velocities[:first]

    def add(self, tick_ns: int, motion: JointMotion) -> None:
        """Take the command of the tick; the point of the one before it is reached at tick_ns."""
        self._times_ns.append(tick_ns)
        self._joints.append(motion.joints)
        self._velocities.append(motion.velocity)

    def trajectory(self, now_ns: int, joints: Float64Array, velocities: Float64Array) -> Trajectory:
        """Return the points after now_ns, at least the last one, and those of a stop from there.

        joints, velocities (k, n): of the stop, the last at rest.
        """
        first = min(bisect_right(self._times_ns, now_ns), len(self._times_ns) - 1)
        times_ns = self._times_ns[first:]
        points = _points(
            np.concatenate((self._joints[first:], joints[:-1])),
            np.concatenate((self._velocities[first:], velocities)),
            self._period_ns,
        )
        known = len(times_ns)
        moving = np.flatnonzero(points[1:, known:].any(axis=(0, 2)))
        rests = not points[1:, known - 1].any()
        # One point that is at rest, and no more.
        count = moving[-1] + 2 if len(moving) else int(not rests)
        times_ns += [times_ns[-1] + (k + 1) * self._period_ns for k in range(count)]
        return Trajectory(tuple(times_ns), *points[:, : known + count])


def _points(joints: Float64Array, velocities: Float64Array, period_ns: int) -> Float64Array:
    """Return positions, velocities and accelerations (3, k, n) of the spline.

    joints (k, n): commands; velocities (k + 1, n): of the periods that end with each of them, and
    of the one after the last.
    """
    period_s = period_ns / NANOSECONDS
    before, after = velocities[:-1], velocities[1:]
    change = after - before
    return np.array((joints + change * (period_s / 6.0), (before + after) / 2.0, change / period_s))
