"""Whether a measured state can be trusted as the start of a motion.

One sample cannot: it may be of another publisher, in degrees, or of an arm that moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import wraps
from robomamba_ros.types import NANOSECONDS, Float64Array

# How many samples over which time [s] a start needs.
SAMPLES, SPAN_S = 3, 0.1
# How long a simulation shows an arm at rest before a chunk may move it [ns].
SEEN_NS = NANOSECONDS // 5
# At rest is what moves less than this share of what its limit of velocity allows in that time.
_STILL = 0.03
# How far outside its positions a joint may be found, as a time at its limit of velocity [s].
_OUTSIDE_S = 0.1


def enough(stamps_ns: Sequence[int]) -> int:
    """Return how many of the last samples are enough to tell of a start, 0 where all are not."""
    for count in range(SAMPLES, len(stamps_ns) + 1):
        span_s = (stamps_ns[-1] - stamps_ns[-count]) / NANOSECONDS
        if span_s >= SPAN_S:
            return count if span_s < 5 * SPAN_S else 0
    return 0


def start_problem(arm: ArmContract, states: Sequence[Anchor]) -> str:
    """Return why the arm cannot start from what was measured, oldest first; '' where it can."""
    newest = states[-1]
    joints = np.array([state.joints for state in states])
    if newest.pose is not None and arm.takes_poses:
        positions = np.array([s.pose.position for s in states if s.pose is not None])
        size = arm.workspace.upper - arm.workspace.lower
        outside = np.maximum(arm.workspace.lower - positions, positions - arm.workspace.upper)
        if not (outside <= size).all():
            return (
                f'the end effector is measured at {positions[-1].round(3).tolist()} m, far outside '
                'its workspace'
            )
        still = _STILL * SPAN_S * arm.cartesian.velocity * np.ones(3)
        return _motion_problem(('x', 'y', 'z'), positions, still)
    names = [joint.name for joint in arm.joints]
    joints = np.where(wraps(arm.joints) > 0.0, np.unwrap(joints, axis=0), joints)
    speed = np.array([joint.velocity for joint in arm.joints])
    lower, upper = np.array([joint.position for joint in arm.joints]).T
    outside = np.maximum(lower - joints, joints - upper).max(axis=0)
    # A comparison with NaN is false, so that NaN is refused here too.
    bad = np.flatnonzero(~(outside <= _OUTSIDE_S * speed))
    if len(bad):
        hint = ' (degrees?)' if np.abs(joints[:, bad]).max() > 2.0 * np.pi else ''
        return (
            f'{names[bad[0]]} is measured at {joints[-1, bad[0]]:.3f}{hint}, outside its positions '
            f'{list(arm.joints[bad[0]].position)}'
        )
    return _motion_problem(names, joints, _STILL * SPAN_S * speed)


def _motion_problem(names: Sequence[str], values: Float64Array, still: Float64Array) -> str:
    """Return which of the columns of `values` (k, n) does not stand still, '' if all do."""
    spread = np.ptp(values, axis=0)
    moving = np.flatnonzero(~(spread <= still))
    if not len(moving):
        return ''
    worst = moving[int(np.argmax((spread / still)[moving]))]
    changes = np.diff(values[:, worst])
    changes = changes[np.abs(changes) > still[worst] / 2.0]
    if len(changes) > 1 and (np.sign(changes[1:]) != np.sign(changes[:-1])).all():
        return (
            f'measurements of {names[worst]} disagree by {spread[worst]:.3f}: is there more than '
            'one publisher?'
        )
    return f'{names[worst]} moves: by {spread[worst]:.3f} while it was to be at rest'
