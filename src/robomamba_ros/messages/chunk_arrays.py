"""Action chunks as the arrays that their messages carry, live and in bags."""

from __future__ import annotations

import numpy as np

from robomamba_ros.spatial.transforms import quaternion_from_rotation_vector, quaternion_multiply
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    GRIPPER_NAME,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Pose,
)

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


def end_effector_transforms(chunk: ActionChunk) -> Float64Array | None:
    """Return (H, 7) metres and quaternions (x, y, z, w), None for chunks of joint channels.

    ee_delta: displacements since the stamp. ee_pose: absolute.
    """
    if chunk.space is ActionSpace.EE_DELTA:
        return displacements(chunk)
    if chunk.space is ActionSpace.EE_POSE:
        return chunk.columns(EE_POSE_NAMES)
    return None


def displacements(chunk: ActionChunk) -> Float64Array:
    """Return (H, 7) displacements since the stamp of an ee_delta chunk: metres, quaternion."""
    steps = chunk.columns(EE_DELTA_NAMES)
    result = np.empty((chunk.horizon, 7))
    result[:, :3] = np.cumsum(steps[:, :3], axis=0)
    result[:, 3:] = turn = IDENTITY
    for i in np.flatnonzero(steps[:, 3:].any(axis=1)):
        turn = quaternion_multiply(quaternion_from_rotation_vector(steps[i, 3:]), turn)
        result[i:, 3:] = turn
    return result


def joint_positions(chunk: ActionChunk) -> tuple[list[str], Float64Array]:
    """Return the names of the joint and gripper channels, and their (H, n) values.

    joint_delta: displacements since the stamp, the gripper excepted.
    """
    names = [n for n in chunk.names if n not in (*EE_DELTA_NAMES, *EE_POSE_NAMES)]
    positions = chunk.columns(names)
    if chunk.space is ActionSpace.JOINT_DELTA:
        differs = [i for i, name in enumerate(names) if name != GRIPPER_NAME]
        positions[:, differs] = np.cumsum(positions[:, differs], axis=0)
    return names, positions


def predicted_poses(chunk: ActionChunk, anchor: Pose) -> Float64Array:
    """Return base_T_ee (H, 7) after each step, from the pose `anchor` at the stamp.

    Metres, unit quaternions (x, y, z, w). Chunks of joint channels give none, (0, 7): the end
    effector's poses follow from kinematics.
    """
    transforms = end_effector_transforms(chunk)
    if transforms is None:
        return np.empty((0, 7))
    poses = transforms.copy()
    if chunk.space is ActionSpace.EE_DELTA:
        poses[:, :3] += anchor.position
        poses[:, 3:] = quaternion_multiply(transforms[:, 3:], anchor.quaternion)
    poses[:, 3:] /= np.linalg.norm(poses[:, 3:], axis=1, keepdims=True)
    return poses
