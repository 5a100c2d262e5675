"""Rotations and rigid poses, quaternions as (x, y, z, w) in ROS order.

transforms3d does the arithmetic (it orders quaternions w, x, y, z; the change of order stays in
this file). Knows nothing about ROS messages.
"""

from __future__ import annotations

import numpy as np
from transforms3d import quaternions

from robomamba_ros.types import Float64Array, Pose, RobotState


def _wxyz(quaternion: Float64Array) -> Float64Array:
    return np.asarray(quaternion)[[3, 0, 1, 2]]


def _xyzw(quaternion: Float64Array) -> Float64Array:
    return np.asarray(quaternion, dtype=np.float64)[[1, 2, 3, 0]]


def quaternion_multiply(left: Float64Array, right: Float64Array) -> Float64Array:
    """Return left * right: first turn by `right`, then by `left` (both x, y, z, w)."""
    return _xyzw(quaternions.qmult(_wxyz(left), _wxyz(right)))


def quaternion_inverse(quaternion: Float64Array) -> Float64Array:
    """Return the inverse of a unit quaternion (x, y, z, w)."""
    return np.asarray(quaternion * np.array([-1.0, -1.0, -1.0, 1.0]), dtype=np.float64)


def quaternion_from_rotation_vector(vector: Float64Array) -> Float64Array:
    """Return the unit quaternion (x, y, z, w) of a rotation vector (axis * angle) [rad]."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        half = 0.5 * np.asarray(vector, dtype=np.float64)
        return np.array([half[0], half[1], half[2], 1.0])
    return _xyzw(quaternions.axangle2quat(np.asarray(vector) / angle, angle, is_normalized=True))


def rotation_vector_from_quaternion(quaternion: Float64Array) -> Float64Array:
    """Return the rotation vector [rad], length at most pi, of a unit quaternion (x, y, z, w).

    Exact to rounding at every angle; the arc cosine of transforms3d loses half the digits of a
    small one.
    """
    xyzw = np.asarray(quaternion, dtype=np.float64)
    vector, w = (xyzw[:3], xyzw[3]) if xyzw[3] >= 0 else (-xyzw[:3], -xyzw[3])
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        return np.zeros(3)
    return np.asarray(vector * (2.0 * np.arctan2(length, w) / length), dtype=np.float64)


def rotation_matrix(quaternion: Float64Array) -> Float64Array:
    """Return the (3, 3) rotation matrix of a unit quaternion (x, y, z, w)."""
    return np.asarray(quaternions.quat2mat(_wxyz(quaternion)), dtype=np.float64)


def quaternion_from_rotation_matrix(matrix: Float64Array) -> Float64Array:
    """Return the unit quaternion (x, y, z, w) of a (3, 3) rotation matrix."""
    return _xyzw(quaternions.mat2quat(matrix))


def compose(a_T_b: Pose, b_T_c: Pose) -> Pose:
    """Return a_T_c: the pose of c, known in b, given in a."""
    rotated = rotation_matrix(a_T_b.quaternion) @ b_T_c.position
    turned = quaternion_multiply(a_T_b.quaternion, b_T_c.quaternion)
    return Pose(a_T_b.position + rotated, turned)


def move_in_base(pose: Pose, translation: Float64Array, rotation_vector: Float64Array) -> Pose:
    """Return `pose` moved by a translation [m] and turned by a rotation vector [rad], base axes."""
    turned = quaternion_multiply(quaternion_from_rotation_vector(rotation_vector), pose.quaternion)
    return Pose(pose.position + translation, turned)


def turn_between(start: Pose, end: Pose) -> Float64Array:
    """Return the shortest turn from `start` to `end`, a rotation vector [rad], base axes."""
    return rotation_vector_from_quaternion(
        quaternion_multiply(end.quaternion, quaternion_inverse(start.quaternion))
    )


def interpolate(start: Pose, end: Pose, fraction: float) -> Pose:
    """Return the pose `fraction` (0..1) of the way: straight line and shortest turn (slerp)."""
    turn = turn_between(start, end)
    return move_in_base(start, fraction * (end.position - start.position), fraction * turn)


def interpolate_states(before: RobotState, after: RobotState, fraction: float) -> RobotState:
    """Return the state `fraction` (0..1) of the way, with the joints that both have."""

    def mix(start: float, end: float) -> float:
        return start + fraction * (end - start)

    return RobotState(
        stamp_ns=before.stamp_ns + round(fraction * (after.stamp_ns - before.stamp_ns)),
        pose=interpolate(before.pose, after.pose, fraction),
        gripper=mix(before.gripper, after.gripper),
        joints={
            name: mix(position, after.joints[name])
            for name, position in before.joints.items()
            if name in after.joints
        },
    )
