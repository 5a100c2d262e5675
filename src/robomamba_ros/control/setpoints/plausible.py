"""Refuses actions that are many times larger than the arm can move.

Limits would keep the arm safe from them, but it would go to a corner of them then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Float64Array,
)

# How many times a limit of velocity an action may ask for: policies overshoot, and limits are for
# that. Degrees for radians are 57 times.
_MOST = 40.0
# More actions than any policy has: a minute and a half at 100 Hz.
LONGEST = 10_000


def check_plausible(chunk: ActionChunk, arm: ArmContract) -> None:
    """Raise ActionError on an action far beyond what the arm can do, naming step and channel.

    A displacement may be _MOST times what the limit of velocity allows in its time. A position may
    lie outside its limits by as much as they are apart. Unknown channels are for others to refuse.
    """
    if chunk.horizon > LONGEST:
        raise ActionError(f'the chunk has {chunk.horizon} actions, {LONGEST} are allowed')
    step_s = max(chunk.dt_ns, arm.period_ns) / NANOSECONDS
    joints = [joint.name for joint in arm.joints]
    if chunk.space is ActionSpace.EE_DELTA:
        limits = arm.cartesian
        speeds = np.array([limits.velocity] * 3 + [limits.rotation_velocity] * 3)
        _check(chunk, EE_DELTA_NAMES, -_MOST * step_s * speeds, _MOST * step_s * speeds)
    elif chunk.space is ActionSpace.JOINT_DELTA:
        speeds = np.array([joint.velocity for joint in arm.joints])
        _check(chunk, joints, -_MOST * step_s * speeds, _MOST * step_s * speeds)
    elif chunk.space is ActionSpace.EE_POSE:
        lower, upper = arm.workspace.lower, arm.workspace.upper
        _check(chunk, EE_POSE_NAMES[:3], *_wider(lower, upper))
    else:
        lower, upper = np.array([joint.position for joint in arm.joints]).T
        _check(chunk, joints, *_wider(lower, upper))


def _wider(lower: Float64Array, upper: Float64Array) -> tuple[Float64Array, Float64Array]:
    return 2.0 * lower - upper, 2.0 * upper - lower


def _check(
    chunk: ActionChunk, names: Sequence[str], lower: Float64Array, upper: Float64Array
) -> None:
    values = chunk.columns(names, absent=np.nan)
    bad = np.argwhere((values < lower) | (values > upper))
    if len(bad):
        step, channel = bad[0]
        allowed = f'{lower[channel]:.3g} to {upper[channel]:.3g}'
        raise ActionError(
            f"action {step}, channel '{names[channel]}' is {values[step, channel]:.6g}, which no "
            f'motion of this arm is: {allowed} would be believed. Are its units radians and metres?'
        )
