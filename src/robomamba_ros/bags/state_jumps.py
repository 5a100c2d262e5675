"""Finds where a recorded arm is suddenly elsewhere, as where a scene was reset between two runs."""

from __future__ import annotations

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, Float64Array, RobotState

# A jump is further than this [rad, or m], ..
_LEAST = 0.05
# .. faster than this many times the contract's limit, which a recording may well exceed, ..
_TIMES_LIMIT = 5.0
# .. and this many times further than between the states before: motion has neighbours like it.
_TIMES_BEFORE = 10.0


class StateJumps:
    """Tells from one state to the next whether the arm can have moved there."""

    def __init__(self, arm: ArmContract) -> None:
        joints = [joint for joint in arm.joints if joint.part != 'base']
        self._joints = [joint.name for joint in joints]
        self._names = [f"joint '{name}'" for name in self._joints] + ['the end effector'] * 3
        speeds = [joint.velocity for joint in joints]
        self._speeds = np.array(speeds + [arm.cartesian.velocity] * 3)
        self._last: tuple[int, Float64Array] | None = None
        self._before: Float64Array | None = None

    def check(self, state: RobotState) -> str:
        """Return what jumped on the way to a state, '' where nothing did; states in order."""
        joints = [state.joints[name] for name in self._joints]
        place = np.array([*joints, *state.pose.position])
        last, self._last = self._last, (state.stamp_ns, place)
        if last is None or state.stamp_ns <= last[0]:
            self._before = None
            return ''
        with np.errstate(over='ignore'):
            way = np.abs(place - last[1])
        before, self._before = self._before, way
        if before is None:
            return ''
        period_s = (state.stamp_ns - last[0]) / NANOSECONDS
        # Of a broken driver: compared as shares, since the products of such numbers are infinite.
        jumped = (
            (way > _LEAST)
            & (way / _TIMES_LIMIT > self._speeds * period_s)
            & (way / _TIMES_BEFORE > before)
        )
        return self._names[int(np.argmax(jumped))] if jumped.any() else ''
