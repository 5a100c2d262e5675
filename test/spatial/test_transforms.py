"""Rotations against transforms3d, and the laws that they keep."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from transforms3d import quaternions

from robomamba_ros.spatial.transforms import (
    compose,
    interpolate,
    inverse,
    move_in_base,
    quaternion_from_rotation_matrix,
    quaternion_from_rotation_vector,
    quaternion_inverse,
    quaternion_multiply,
    rotation_matrix,
    turn_between,
)
from robomamba_ros.types import Pose

LAWS = settings(deadline=None, max_examples=60)
number = st.floats(-1.0, 1.0, allow_subnormal=False)
vector = st.tuples(number, number, number).map(np.array)
# Up to 3 rad, below half a turn; the small ones go down to nothing.
turn = st.tuples(vector, st.sampled_from([1e-13, 1e-9, 1e-3, 1.7])).map(lambda x: x[0] * x[1])
quaternion = turn.map(quaternion_from_rotation_vector)
pose = st.builds(Pose, vector, quaternion)


def wxyz(xyzw: np.ndarray) -> np.ndarray:
    return xyzw[[3, 0, 1, 2]]


def close(left: object, right: object) -> None:
    np.testing.assert_allclose(left, right, rtol=0.0, atol=1e-12)


@LAWS
@given(quaternion, quaternion, turn)
def test_products_and_exponentials_are_those_of_transforms3d(left, right, vector) -> None:
    product = quaternion_multiply(left, right)
    close(wxyz(product), quaternions.qmult(wxyz(left), wxyz(right)))
    close(quaternion_multiply(np.stack([left, right]), right)[0], product)
    angle = float(np.linalg.norm(vector))
    if angle > 1e-10:
        expected = quaternions.axangle2quat(vector / angle, angle)
        close(wxyz(quaternion_from_rotation_vector(vector)), expected)


def from_identity(rotation: np.ndarray) -> np.ndarray:
    identity = np.array([0.0, 0.0, 0.0, 1.0])
    return turn_between(Pose(np.zeros(3), identity), Pose(np.zeros(3), rotation))


@LAWS
@given(turn, quaternion)
def test_a_rotation_vector_comes_back_and_an_inverse_undoes(vector, rotation) -> None:
    back = from_identity(quaternion_from_rotation_vector(vector))
    np.testing.assert_allclose(back, vector, rtol=1e-9, atol=1e-25)
    close(from_identity(-rotation), from_identity(rotation))
    close(quaternion_multiply(rotation, quaternion_inverse(rotation)), [0.0, 0.0, 0.0, 1.0])
    same = quaternion_from_rotation_matrix(rotation_matrix(rotation))
    close(abs(np.dot(same, rotation)), 1.0)


@LAWS
@given(pose, pose, st.floats(0.0, 1.0))
def test_a_way_begins_and_ends_where_it_should_and_turns_evenly(start, end, fraction) -> None:
    for where, expected in ((0.0, start), (1.0, end)):
        found = interpolate(start, end, where)
        close(found.position, expected.position)
        close(turn_between(found, expected), np.zeros(3))
    between = interpolate(start, end, fraction)
    close(turn_between(start, between), fraction * turn_between(start, end))
    close(between.position, start.position + fraction * (end.position - start.position))
    moved = move_in_base(start, end.position - start.position, turn_between(start, end))
    close(turn_between(moved, end), np.zeros(3))


@LAWS
@given(pose, pose)
def test_poses_compose_as_matrices_do(a_T_b, b_T_c) -> None:
    found = compose(a_T_b, b_T_c)
    close(
        rotation_matrix(found.quaternion),
        rotation_matrix(a_T_b.quaternion) @ rotation_matrix(b_T_c.quaternion),
    )
    close(found.position, a_T_b.position + rotation_matrix(a_T_b.quaternion) @ b_T_c.position)
    nowhere = compose(a_T_b, inverse(a_T_b))
    close(nowhere.position, np.zeros(3))
    close(turn_between(nowhere, Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))), np.zeros(3))
