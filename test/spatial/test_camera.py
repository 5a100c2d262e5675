"""Hand-computed geometry: pixel and depth to a point, a normal and an end-effector target."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.errors import ActionError, ConfigError, ObservationError
from robomamba_ros.spatial.camera import (
    Approach,
    SurfacePoint,
    back_project,
    express_in,
    pose_target,
    surface_at,
)
from robomamba_ros.spatial.transforms import compose, rotation_matrix
from robomamba_ros.types import Pose

K = np.array([[100.0, 0.0, 32.0], [0.0, 50.0, 24.0], [0.0, 0.0, 1.0]])
HEIGHT, WIDTH = 48, 64
FACING = SurfacePoint(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, -1.0]))


def plane(normal, distance):
    """Return the depth image of the plane normal . point = distance."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack(((columns - 32.0) / 100.0, (rows - 24.0) / 50.0, np.ones((48, 64))), axis=-1)
    return (distance / (rays @ np.asarray(normal))).astype(np.float32)


def wall(z=2.0):
    return np.full((HEIGHT, WIDTH), z, np.float32)


def test_a_pixel_at_a_depth_is_a_point():
    # Ten columns right of the centre and five rows below it, each a tenth of the depth.
    point = back_project(np.array([42.0, 29.0]), np.float64(2.0), K)
    np.testing.assert_allclose(point, [0.2, 0.2, 2.0])
    np.testing.assert_allclose(surface_at(np.array([42.0, 29.0]), wall(), K).point, point)


@given(st.floats(0.0, 63.0), st.floats(0.0, 47.0), st.floats(0.2, 5.0), st.floats(20.0, 900.0))
@settings(max_examples=50, deadline=None)
def test_projecting_the_point_gives_back_the_pixel(column, row, z, focal):
    k = np.array([[focal, 0.0, 30.0], [0.0, 1.1 * focal, 20.0], [0.0, 0.0, 1.0]])
    image = k @ surface_at(np.array([column, row]), wall(z), k).point
    np.testing.assert_allclose(image[:2] / image[2], [column, row], atol=1e-9)


@pytest.mark.parametrize('normal', [[0.0, 0.0, -1.0], [0.6, 0.0, -0.8], [-0.3, 0.5, -0.7]])
def test_the_normal_is_that_of_the_surface_and_faces_the_camera(normal):
    normal = np.array(normal) / np.linalg.norm(normal)
    found = surface_at(np.array([20.0, 30.0]), plane(-normal, 1.5), K)
    np.testing.assert_allclose(found.normal, normal, atol=1e-5)
    np.testing.assert_allclose(found.point @ -normal, 1.5, atol=1e-5)


@pytest.mark.parametrize('hole', [0.0, np.nan, np.inf, -1.0])
def test_a_hole_takes_the_median_of_its_surroundings(hole):
    depth = wall()
    depth[22:27, 30:35] = hole
    depth[19, 32] = 30.0  # an outlier
    surface = surface_at(np.array([32.0, 24.0]), depth, K)
    np.testing.assert_allclose(surface.point, [0.0, 0.0, 2.0])
    np.testing.assert_allclose(surface.normal, [0.0, 0.0, -1.0], atol=1e-9)


def test_at_an_edge_a_hole_gets_the_depth_of_one_side_and_its_normal():
    depth = wall(2.0)
    depth[:, 32:] = 1.0
    depth[24, 32] = 0.0
    surface = surface_at(np.array([32.0, 24.0]), depth, K)
    assert surface.point[2] in (1.0, 2.0)
    np.testing.assert_allclose(surface.normal, [0.0, 0.0, -1.0], atol=1e-9)


def test_a_pixel_of_its_own_keeps_its_depth_and_faces_the_camera():
    depth = wall(2.0)
    depth[24, 42] = 1.0
    surface = surface_at(np.array([42.0, 24.0]), depth, K)
    np.testing.assert_allclose(surface.point, [0.1, 0.0, 1.0])
    np.testing.assert_allclose(surface.normal, -surface.point / np.linalg.norm(surface.point))


@pytest.mark.parametrize(
    ('pixel', 'depth', 'intrinsics', 'message'),
    [
        ((64.0, 10.0), wall(), K, r'\(64, 10\) lies outside the depth image of 64 x 48'),
        ((-1.0, 10.0), wall(), K, r'\(-1, 10\) lies outside'),
        ((10.0, 20.0), wall(0.0), K, r'only 0 of 121 depths .* pixel \(10, 20\)'),
        ((10.0, 20.0), wall(), np.zeros((3, 3)), 'give K of the camera_info'),
        ((10.0, 20.0), wall(), np.eye(4), 'are not a pixel matrix'),
    ],
)
def test_what_gives_no_point_is_refused(pixel, depth, intrinsics, message):
    with pytest.raises(ObservationError, match=message):
        surface_at(np.array(pixel), depth, intrinsics)


def test_the_three_poses_lie_back_along_up():
    # Up into the scene, forward to the right, so left is up x forward: downwards in the image.
    rotation = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    target = pose_target(FACING, rotation, Approach(), stamp_ns=5, frame='front')
    assert (target.stamp_ns, target.frame) == (5, 'front')
    np.testing.assert_allclose(target.pre_contact.position, [0.0, 0.0, 0.85])
    np.testing.assert_allclose(target.pose.position, [0.0, 0.0, 0.90])
    np.testing.assert_allclose(target.retreat.position, [0.0, 0.0, 0.50])
    for pose in (target.pre_contact, target.pose, target.retreat):
        np.testing.assert_allclose(rotation_matrix(pose.quaternion), rotation, atol=1e-12)


def test_up_along_the_normal_is_turned_over_about_forward():
    # Forward is the image's down, up comes out of the wall, so left is up x forward: the right.
    rotation = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    target = pose_target(FACING, rotation, Approach(0.2, 0.0, 0.3), stamp_ns=0, frame='front')
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(rotation_matrix(target.pose.quaternion), turned, atol=1e-12)
    np.testing.assert_allclose(target.pose.position, FACING.point)
    np.testing.assert_allclose(target.pre_contact.position, [0.0, 0.0, 0.8])
    np.testing.assert_allclose(target.retreat.position, [0.0, 0.0, 0.7])


@pytest.mark.parametrize(('degrees', 'turned'), [(70.0, False), (50.0, True)])
def test_a_rough_normal_turns_nothing_over(degrees, turned):
    """Along a surface, more or less: only what is clearly out of it is the wrong way round."""
    angle = np.deg2rad(degrees)
    up = np.array([np.sin(angle), 0.0, -np.cos(angle)])
    forward = np.array([0.0, 1.0, 0.0])
    rotation = np.stack((forward, np.cross(up, forward), up), axis=-1)
    target = pose_target(FACING, rotation, Approach(), stamp_ns=0, frame='front')
    found = rotation_matrix(target.pose.quaternion)[:, 2]
    np.testing.assert_allclose(found, -up if turned else up, atol=1e-12)


def test_a_target_moves_to_another_frame_as_a_whole():
    target = pose_target(FACING, np.eye(3), Approach(), stamp_ns=3, frame='front')
    # A camera one metre above the base that looks straight down: its x is the base's x.
    half = np.sqrt(0.5)
    base_T_camera = Pose(np.array([0.4, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 0.0]))
    moved = express_in(target, 'base', base_T_camera)
    assert (moved.stamp_ns, moved.frame) == (3, 'base')
    np.testing.assert_allclose(moved.pose.position, [0.4, 0.0, 0.1], atol=1e-12)
    np.testing.assert_allclose(moved.pre_contact.position, [0.4, 0.0, 0.15], atol=1e-12)
    np.testing.assert_allclose(moved.retreat.position, [0.4, 0.0, 0.5], atol=1e-12)
    quarter = Pose(np.zeros(3), np.array([0.0, 0.0, half, half]))
    np.testing.assert_allclose(
        rotation_matrix(compose(quarter, moved.pose).quaternion),
        rotation_matrix(quarter.quaternion) @ np.diag([1.0, -1.0, -1.0]),
        atol=1e-12,
    )


@pytest.mark.parametrize('distances', [(0.1, 0.15, 0.5), (0.15, -0.1, 0.5), (0.2, 0.1, 0.05)])
def test_distances_out_of_order_are_refused(distances):
    with pytest.raises(ConfigError, match='the other two at least contact_m'):
        Approach(*distances)


def test_a_target_names_its_frame():
    target = pose_target(FACING, np.eye(3), Approach(), stamp_ns=0, frame='front')
    with pytest.raises(ActionError, match='must name the frame'):
        replace(target, frame='')
