"""Keeps the largest velocity, acceleration and jerk that a robot was commanded, beside its limits.

The robot measures here, not the controller that has to keep the limits: it only sees commands.
Derivatives are differences over one control period.
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
# Rows that are judged at once.
_BLOCK = 512


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
        self._peaks: dict[str, Peak] = {}

    @property
    def peaks(self) -> dict[str, Peak]:
        """The peaks, by quantity."""
        return self._peaks

    def clear(self) -> None:
        """Forget the peaks; the motion goes on."""
        self._peaks.clear()

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
        """Take shares and values (.., n) that `names` has at one instant or at several."""
        worst = np.unravel_index(int(np.argmax(shares)), shares.shape)
        if quantity not in self._peaks or shares[worst] > self._peaks[quantity].share:
            peak = Peak(float(shares[worst]), float(values[worst]), names[int(worst[-1])])
            self._peaks[quantity] = peak


class JointRecord(LimitRecord):
    """What joints were commanded, from a start (n,) at rest, one `add` each period [s]."""

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
        self._rows = [start] * len(DERIVATIVES)

    @property
    def peaks(self) -> dict[str, Peak]:
        """The peaks, by quantity."""
        self._evaluate()
        return self._peaks

    def add(self, positions: Float64Array) -> None:
        """Take the positions (n,) commanded for the next period."""
        self._rows.append(positions)
        if len(self._rows) > _BLOCK:
            self._evaluate()

    def restart(self, start: Float64Array) -> None:
        """Go on from rest at `start` (n,), where the joints were put. The peaks stay."""
        self._evaluate()
        self._rows = [start] * len(DERIVATIVES)

    def clear(self) -> None:
        """Forget the peaks; the motion goes on."""
        self._evaluate()
        super().clear()

    def _evaluate(self) -> None:
        """Judge what came since the last time, many rows at once: there may be 1,000 a second."""
        values, before = np.array(self._rows), len(DERIVATIVES)
        count = len(values) - before
        if count == 0:
            return
        self._rows = self._rows[-before:]
        self._note_positions(values[before:], self._lower, self._upper, self._names)
        for order, (quantity, limits) in enumerate(zip(DERIVATIVES, self._limits, strict=True), 1):
            values = np.diff(values, axis=0)
            if np.isfinite(limits).any():
                derivatives = values[-count:] / self._period**order
                self._note(quantity, np.abs(derivatives) / limits, derivatives, self._names)


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
        self.restart(start)

    def restart(self, start: Pose) -> None:
        """Go on from rest at `start`, where the end effector was put. The peaks stay."""
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
