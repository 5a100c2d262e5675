"""Contact points and directions are where the image and its depth show them."""

import numpy as np
import pytest

from robomamba_ros.errors import SimulationError

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.simulation.handles import HANDLES, HandleSim
from robomamba_ros.spatial.camera import back_project, surface_at


@pytest.fixture(scope='module')
def sim():
    sim = HandleSim('drawer-open', 0, camera_size=160)
    yield sim
    sim.close()


# The tests of a task come one after the other, because another task is another simulation.
@pytest.fixture(scope='module', params=['drawer-open', 'button-press-topdown', 'push'])
def task(request):
    return request.param


def test_the_contact_is_where_its_pixel_and_depth_say(sim, task):
    seen = 0
    for seed in range(3):
        sim.arrange(task, seed)
        scene = sim.look()
        if scene is None:
            continue
        seen += 1
        # The exact pixel with the exact depth is the point; the rendered depth agrees to a pixel.
        again = back_project(scene.pixel, scene.point[2], scene.intrinsics)
        np.testing.assert_allclose(again, scene.point, atol=1e-9)
        rendered = surface_at(scene.pixel, scene.depth, scene.intrinsics).point
        assert np.linalg.norm(rendered - scene.point) < 0.012
    assert seen >= 2


def test_directions_are_unit_and_square_and_go_into_the_surface(sim, task):
    sim.arrange(task, 1)
    scene = sim.look()
    up, forward = scene.directions[:3], scene.directions[3:]
    np.testing.assert_allclose([up @ up, forward @ forward, up @ forward], [1, 1, 0], atol=1e-9)
    # Who comes along up is not behind the surface: the camera and he are on the same side.
    assert up @ scene.point > 0.0


def test_the_point_in_base_axes_is_on_the_object(sim):
    """The puck's top is 2 cm above its middle: its contact is no further than its own size."""
    sim.arrange('push', 4)
    scene = sim.look()
    point = scene.camera_pose[:3, :3] @ scene.point + scene.camera_pose[:3, 3]
    assert np.linalg.norm(point - sim.object_positions[:3]) < 0.04
    np.testing.assert_allclose(sim.project(point[None])[0] - 0.5, scene.pixel, atol=1e-6)


def test_a_seed_gives_one_scene_whatever_was_there_before(sim):
    sim.arrange('handle-press', 7)
    first = sim.look()
    sim.arrange('push', 3)
    sim.arrange('handle-press', 8)
    other = sim.look()
    sim.arrange('handle-press', 7)
    again = sim.look()
    np.testing.assert_array_equal(again.image, first.image)
    np.testing.assert_array_equal(again.pixel, first.pixel)
    assert np.linalg.norm(other.pixel - first.pixel) > 1.0
    assert np.abs(other.camera_pose - first.camera_pose).max() > 1e-3


def test_from_above_is_down_in_base_axes(sim):
    sim.arrange('handle-press', 2)
    scene = sim.look()
    np.testing.assert_allclose(
        scene.camera_pose[:3, :3] @ scene.directions[:3], [0, 0, -1], atol=1e-3
    )


def test_the_fingers_touch_what_is_there_and_not_what_is_beside(sim):
    for aside, expected in ((0.0, True), (0.12, False)):
        sim.arrange('handle-press', 1)
        scene = sim.look()
        rotation, origin = scene.camera_pose[:3, :3], scene.camera_pose[:3, 3]
        point = rotation @ scene.point + origin + np.array([aside, 0.0, 0.0])
        up = rotation @ scene.directions[:3]
        assert sim.touch(point, up, from_m=0.1, within_m=0.04) is expected


def test_refuses_a_task_without_a_handle(sim):
    with pytest.raises(SimulationError, match="Did you mean 'push'"):
        sim.arrange('push-x', 0)
    assert 'reach' not in HANDLES
