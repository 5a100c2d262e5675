"""Depth goes with the image of its time, and with no other."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.control.policy.camera_images import KEPT, CameraImages

MS = 1_000_000
IMAGE = np.zeros((2, 2, 3), np.uint8)


def depth(value):
    return np.full((2, 2), value, np.float32)


def camera_with_depth(budget_s=0.5):
    return CameraImages(needs_depth=True, budget_s=budget_s)


def add(camera, images=(), depths=()):
    """Add stamps [ms] of images, then of depth whose value is its stamp."""
    for stamp in images:
        camera.add_image(stamp * MS, IMAGE)
    for stamp in depths:
        camera.add_depth(stamp * MS, depth(stamp))


def complete(camera):
    if not camera.complete:
        return None
    newest = camera.complete[0]
    return newest.stamp_ns // MS, newest.metres()[0, 0]


def test_an_image_without_a_need_for_depth_is_complete():
    camera = CameraImages(needs_depth=False, budget_s=0.5)
    camera.add_image(5, IMAGE)
    camera.add_image(3, IMAGE)
    (image,) = camera.complete
    assert image == camera.newest
    assert image.stamp_ns == 5
    assert image.metres() is None


def test_equal_stamps_belong_together_whichever_comes_first():
    camera = camera_with_depth()
    add(camera, images=[100])
    assert complete(camera) is None
    add(camera, depths=[100])
    assert complete(camera) == (100, 100)
    add(camera, depths=[130])
    assert complete(camera) == (100, 100)
    add(camera, images=[130])
    assert complete(camera) == (130, 130)


def test_before_an_interval_is_known_stamps_must_be_equal():
    camera = camera_with_depth()
    add(camera, images=[100], depths=[101])
    assert complete(camera) is None


@pytest.mark.parametrize(('offset', 'matched'), [(15, True), (-15, True), (16, False)])
def test_depth_may_lie_half_an_interval_away(offset, matched):
    camera = camera_with_depth()
    add(camera, images=[100, 130], depths=[130 + offset])
    assert (complete(camera) == (130, 130 + offset)) == matched


def test_an_image_whose_depth_is_on_its_way_does_not_take_that_of_its_neighbour():
    camera = camera_with_depth()
    add(camera, images=[100, 130, 160], depths=[100, 130])
    assert complete(camera) == (130, 130)
    add(camera, depths=[160])
    assert complete(camera) == (160, 160)


def test_the_nearest_of_several_is_taken():
    camera = camera_with_depth()
    add(camera, images=[100, 160], depths=[145, 163, 181])
    assert camera.tolerance_ns == 9 * MS
    assert complete(camera) == (160, 163)


def test_slow_cameras_are_held_to_the_budget():
    camera = camera_with_depth(budget_s=0.2)
    add(camera, images=[0, 2000], depths=[2300])
    assert camera.tolerance_ns == 200 * MS
    assert complete(camera) is None
    add(camera, images=[4000], depths=[4150])
    assert complete(camera) == (4000, 4150)


def test_memory_is_bounded_and_cleared():
    camera = camera_with_depth()
    add(camera, images=range(0, 3000, 30), depths=[0, 30 * (100 - KEPT - 1)])
    assert complete(camera) is None
    add(camera, depths=[30 * (100 - KEPT)])
    assert complete(camera)[0] == 30 * (100 - KEPT)
    camera.clear()
    assert camera.complete == ()
    assert camera.newest is None
    add(camera, images=[7], depths=[7])
    assert complete(camera) == (7, 7)
