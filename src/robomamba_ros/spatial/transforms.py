"""Rotations and rigid poses, quaternions as (x, y, z, w) in ROS order.

Products and exponentials are spelled out on plain numbers: control multiplies thousands a second,
and each call of NumPy costs more than the product.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias, TypeVar

import numpy as np

from robomamba_ros.errors import BackendError

try:
    from transforms3d import quaternions
except AttributeError as error:
    raise BackendError(
        f"transforms3d does not work with NumPy {np.__version__}: pip install 'transforms3d>=0.4.2'"
    ) from error

from robomamba_ros.spatial.vectors import Vector, vector
from robomamba_ros.types import Float64Array, Pose, RobotState

Quaternion: TypeAlias = tuple[float, float, float, float]
N = TypeVar('N', float, Float64Array)


def place(pose: Pose) -> tuple[Vector, Quaternion]:
    """Return position and quaternion of a pose as plain numbers."""
    x, y, z, w = pose.quaternion.tolist()
    return vector(pose.position), (x, y, z, w)


def _wxyz(quaternion: Float64Array) -> Float64Array:
    """Return a quaternion in the order of transforms3d."""
    return np.asarray(quaternion)[[3, 0, 1, 2]]


def _multiply(left: Iterable[N], right: Iterable[float]) -> tuple[N, N, N, N]:
    x1, y1, z1, w1 = left
    x2, y2, z2, w2 = right
    return (
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 + y1 * w2 + z1 * x2 - x1 * z2,
        w1 * z2 + z1 * w2 + x1 * y2 - y1 * x2,
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
    )


def _exp(vector: Iterable[float]) -> Quaternion:
    x, y, z = vector
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-12:
        return 0.5 * x, 0.5 * y, 0.5 * z, 1.0
    scale = math.sin(0.5 * angle) / angle
    return scale * x, scale * y, scale * z, math.cos(0.5 * angle)


def _log(quaternion: Iterable[float]) -> Vector:
    x, y, z, w = quaternion
    if w < 0.0:
        x, y, z, w = -x, -y, -z, -w
    length = math.sqrt(x * x + y * y + z * z)
    # Exact to rounding at every angle; the arc cosine loses half the digits of a small one.
    scale = 2.0 * math.atan2(length, w) / length if length else 0.0
    return scale * x, scale * y, scale * z


def quaternion_multiply(left: Float64Array, right: Float64Array) -> Float64Array:
    """Return left * right: first turn by `right`, then by `left` (both x, y, z, w).

    left: (4,) or many of them, (n, 4).
    """
    if left.ndim == 1:
        return np.array(_multiply(left.tolist(), right.tolist()))
    return np.stack(_multiply(left.T, right.tolist()), axis=1)


def quaternion_inverse(quaternion: Float64Array) -> Float64Array:
    """Return the inverse of a unit quaternion (x, y, z, w)."""
    return np.asarray(quaternion * np.array([-1.0, -1.0, -1.0, 1.0]), dtype=np.float64)


def quaternion_from_rotation_vector(vector: Float64Array) -> Float64Array:
    """Return the unit quaternion (x, y, z, w) of a rotation vector (axis * angle) [rad]."""
    return np.array(_exp(np.asarray(vector, dtype=np.float64).tolist()))


def rotation_matrix(quaternion: Float64Array) -> Float64Array:
    """Return the (3, 3) rotation matrix of a unit quaternion (x, y, z, w)."""
    return np.asarray(quaternions.quat2mat(_wxyz(quaternion)), dtype=np.float64)


def quaternion_from_rotation_matrix(matrix: Float64Array) -> Float64Array:
    """Return the unit quaternion (x, y, z, w) of a (3, 3) rotation matrix."""
    return np.asarray(quaternions.mat2quat(matrix), dtype=np.float64)[[1, 2, 3, 0]]


def compose(a_T_b: Pose, b_T_c: Pose) -> Pose:
    """Return a_T_c: the pose of c, known in b, given in a."""
    rotated = rotation_matrix(a_T_b.quaternion) @ b_T_c.position
    quaternion = quaternion_multiply(a_T_b.quaternion, b_T_c.quaternion)
    return Pose(a_T_b.position + rotated, quaternion)


def inverse(a_T_b: Pose) -> Pose:
    """Return b_T_a: the pose of a, given in b."""
    quaternion = quaternion_inverse(a_T_b.quaternion)
    return Pose(-rotation_matrix(quaternion) @ a_T_b.position, quaternion)


def move_in_base(pose: Pose, translation: Float64Array, rotation_vector: Float64Array) -> Pose:
    """Return `pose` moved by a translation [m] and turned by a rotation vector [rad], base axes."""
    vector = np.asarray(rotation_vector, dtype=np.float64).tolist()
    return Pose(pose.position + translation, np.array(turned(pose.quaternion.tolist(), vector)))


def turned(quaternion: Iterable[float], rotation_vector: Iterable[float]) -> Quaternion:
    """Return a quaternion (x, y, z, w) turned by a rotation vector [rad], base axes."""
    return _multiply(_exp(rotation_vector), quaternion)


def unit(quaternion: Quaternion) -> Quaternion:
    """Return a quaternion of length 1, without the rounding of products."""
    x, y, z, w = quaternion
    length = math.hypot(x, y, z, w)
    return x / length, y / length, z / length, w / length


def turn_between(start: Pose, end: Pose) -> Float64Array:
    """Return the shortest turn from `start` to `end`, a rotation vector [rad], base axes.

    Its length is pi at most.
    """
    return np.array(shortest_turn(start.quaternion.tolist(), end.quaternion.tolist()))


def shortest_turn(start: Iterable[float], end: Iterable[float]) -> Vector:
    """Return the shortest turn from one quaternion (x, y, z, w) to another, as turn_between."""
    x, y, z, w = start
    return _log(_multiply(end, (-x, -y, -z, w)))


def interpolate(start: Pose, end: Pose, fraction: float) -> Pose:
    """Return the pose `fraction` (0..1) of the way: straight line and shortest turn (slerp)."""
    before = start.quaternion.tolist()
    x, y, z = shortest_turn(before, end.quaternion.tolist())
    turn = (fraction * x, fraction * y, fraction * z)
    position = start.position + fraction * (end.position - start.position)
    return Pose(position, np.array(turned(before, turn)))


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
