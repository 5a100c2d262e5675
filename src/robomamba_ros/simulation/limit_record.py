"""Keeps the largest velocity, acceleration and jerk that a robot was commanded, beside its limits.

The robot measures here, not the controller that has to keep the limits: it only sees commands.
Derivatives are differences over one control period. Knows nothing about where commands come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.robots.parts import CartesianLimits, Joint, Workspace
from robomamba_ros.spatial.transforms import turn_between
from robomamba_ros.types import Float64Array, Pose

DERIVATIVES = ('velocity', 'acceleration', 'jerk')
# Room for rounding, as a share of a limit: that of three differences of a position.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Peak:
    """The value that came nearest to its limit, or furthest beyond it: value / limit, and whose."""

    share: float
    value: float
    name: str

    @property
    def exceeded(self) -> bool:
        """Whether the limit was not kept."""
        return self.share > 1.0 + ROUNDING


class LimitRecord:
    """The peak of each quantity since the start, by name; of what has no limit there is none.

    The share of a position is its distance from the middle of its range by half of that, and
    outside of the range 1 and the distance to it.
    """

    def __init__(self) -> None:
        self.peaks: dict[str, Peak] = {}

    def _note_positions(
        self,
        values: Float64Array,
        lower: Float64Array,
        upper: Float64Array,
        names: Sequence[str],
    ) -> None:
        ended = np.isfinite(lower) & np.isfinite(upper)
        low, high = np.where(ended, lower, values - 1.0), np.where(ended, upper, values + 1.0)
        inside = np.abs(values - (low + high) / 2.0) / ((high - low) / 2.0)
        outside = np.maximum(lower - values, values - upper)
        self._note('position', np.where(outside > 0.0, 1.0 + outside, inside), values, names)

    def _note(
        self, quantity: str, shares: Float64Array, values: Float64Array, names: Sequence[str]
    ) -> None:
        """Take what `names` has at one instant: (n,) shares and values."""
        worst = int(np.argmax(shares))
        if quantity not in self.peaks or shares[worst] > self.peaks[quantity].share:
            self.peaks[quantity] = Peak(float(shares[worst]), float(values[worst]), names[worst])


class JointRecord(LimitRecord):
    """What joints were commanded, from a start (n,) at rest, one `add` each control period."""

    def __init__(self, joints: Sequence[Joint], period_s: float, start: Float64Array) -> None:
        super().__init__()
        self._names = [joint.name for joint in joints]
        self._period = period_s
        self._lower, self._upper = np.array([joint.position for joint in joints]).T
        jerks = [np.inf if joint.jerk is None else joint.jerk for joint in joints]
        self._limits = (
            np.array([joint.velocity for joint in joints]),
            np.array([joint.acceleration for joint in joints]),
            np.array(jerks),
        )
        self._history = np.tile(start, (4, 1))

    def add(self, positions: Float64Array) -> None:
        """Take the positions (n,) commanded for the next period."""
        self._history = np.vstack([self._history[1:], positions])
        self._note_positions(positions, self._lower, self._upper, self._names)
        for index, (quantity, limits) in enumerate(zip(DERIVATIVES, self._limits, strict=True)):
            if np.isfinite(limits).any():
                order = index + 1
                values = np.diff(self._history, n=order, axis=0)[-1] / self._period**order
                self._note(quantity, np.abs(values) / limits, values, self._names)


class PoseRecord(LimitRecord):
    """What the end effector was commanded, from a start at rest, one `add` each control period."""

    def __init__(
        self, limits: CartesianLimits, workspace: Workspace, period_s: float, start: Pose
    ) -> None:
        super().__init__()
        self._period = period_s
        self._workspace = workspace
        turning = (limits.rotation_velocity, limits.rotation_acceleration, limits.rotation_jerk)
        self._limits = {
            '': (limits.velocity, limits.acceleration, limits.jerk),
            'rotation_': turning,
        }
        self._pose = start
        self._velocities = {prefix: np.zeros((3, 3)) for prefix in self._limits}

    def add(self, pose: Pose) -> None:
        """Take the pose commanded for the next period."""
        box = self._workspace
        self._note_positions(pose.position, box.lower, box.upper, ('x', 'y', 'z'))
        ways = (pose.position - self._pose.position, turn_between(self._pose, pose))
        self._pose = pose
        for (prefix, limits), way in zip(self._limits.items(), ways, strict=True):
            velocities = np.vstack([self._velocities[prefix][1:], way / self._period])
            self._velocities[prefix] = velocities
            for order, (quantity, limit) in enumerate(zip(DERIVATIVES, limits, strict=True)):
                if limit is not None:
                    change = np.diff(velocities, n=order, axis=0)[-1]
                    value = np.array([np.linalg.norm(change)]) / self._period**order
                    self._note(prefix + quantity, value / limit, value, ('end effector',))
