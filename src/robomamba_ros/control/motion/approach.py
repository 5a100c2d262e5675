"""A pose target as a chunk of poses: go there open, straight on to contact, close, and retreat.

The arm follows it like any other chunk.
"""

from __future__ import annotations

import math

import numpy as np

from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.spatial.transforms import interpolate, turn_between
from robomamba_ros.types import (
    EE_POSE_NAMES,
    GRIPPER_NAME,
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Pose,
    PoseTarget,
)

# Of each Cartesian limit: what is left catches up where the arm did not start as it was measured.
SHARE = 0.5
# How long the gripper closes at the contact, before it retreats.
CLOSE_S = 1.0
OPEN, CLOSED = 1.0, 0.0


def approach_chunk(target: PoseTarget, start: Pose, arm: ArmContract, now_ns: int) -> ActionChunk:
    """Return the chunk that acts on `target`, given in the arm's base frame.

    start: where the end effector is now. The chunk has the target's stamp, so its first steps wait
    at `start` for as long as the inference took. Each of the three ways is straight, begins and
    ends at rest, and keeps SHARE of the arm's Cartesian limits. Raises ActionError where the
    target is in another frame or one of its poses outside the workspace.
    """
    _check(target, arm)
    steps = [(start, OPEN)] * math.ceil(max(now_ns - target.stamp_ns, 0) / arm.period_ns)
    steps += _way(start, target.pre_contact, OPEN, arm)
    steps += _way(target.pre_contact, target.pose, OPEN, arm)
    steps += [(target.pose, CLOSED)] * math.ceil(CLOSE_S * NANOSECONDS / arm.period_ns)
    steps += _way(target.pose, target.retreat, CLOSED, arm)
    rows = [(*pose.position, *pose.quaternion, opening) for pose, opening in steps]
    return ActionChunk(
        target.stamp_ns,
        arm.period_ns,
        np.array(rows, dtype=np.float32),
        ActionSpace.EE_POSE,
        (*EE_POSE_NAMES, GRIPPER_NAME),
    )


def _check(target: PoseTarget, arm: ArmContract) -> None:
    if target.frame != arm.base_frame:
        raise ActionError(
            f"the pose target is in the frame '{target.frame}', not in the base frame of arm "
            f"'{arm.name}', '{arm.base_frame}'"
        )
    lower, upper = arm.workspace.lower, arm.workspace.upper
    for name in ('pre_contact', 'pose', 'retreat'):
        position = getattr(target, name).position
        # The controller would clip it, and close the gripper somewhere else.
        if not np.array_equal(arm.workspace.clip(position), position):
            raise ActionError(
                f"'{name}' of the pose target, {position.round(3).tolist()} m, lies outside the "
                f"workspace {lower.tolist()} .. {upper.tolist()} of arm '{arm.name}': give "
                'another instruction, a shorter `approach` in the config.yaml of the policy, or a '
                'larger workspace in the arm contract'
            )


def _way(start: Pose, end: Pose, opening: float, arm: ArmContract) -> list[tuple[Pose, float]]:
    limits = arm.cartesian
    length = float(np.linalg.norm(end.position - start.position))
    turn = float(np.linalg.norm(turn_between(start, end)))
    duration_s = max(
        _duration_s(length, limits.velocity, limits.acceleration, limits.jerk),
        _duration_s(
            turn, limits.rotation_velocity, limits.rotation_acceleration, limits.rotation_jerk
        ),
    )
    count = max(math.ceil(duration_s * NANOSECONDS / arm.period_ns), 1)
    fractions = (_minimum_jerk(step / count) for step in range(1, count))
    return [*((interpolate(start, end, f), opening) for f in fractions), (end, opening)]


def _minimum_jerk(time: float) -> float:
    """Return how far along one is at `time`, both 0..1 (Flash and Hogan 1985)."""
    return time**3 * (10.0 - 15.0 * time + 6.0 * time**2)


def _duration_s(length: float, velocity: float, acceleration: float, jerk: float | None) -> float:
    """Return the time in which `_minimum_jerk` covers a length within SHARE of the limits.

    Over a length L in a time T its peaks are 15/8 L/T, 10/sqrt(3) L/T^2 and 60 L/T^3.
    """
    by_velocity = 15.0 / 8.0 * length / (SHARE * velocity)
    by_acceleration = math.sqrt(10.0 / math.sqrt(3.0) * length / (SHARE * acceleration))
    by_jerk = 0.0 if jerk is None else (60.0 * length / (SHARE * jerk)) ** (1.0 / 3.0)
    return max(by_velocity, by_acceleration, by_jerk)
