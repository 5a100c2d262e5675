"""Changed images: what each change does, and that it follows from seed and step."""

from dataclasses import fields

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_demonstrations import small_run, write_store

from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.training.anolevla.augmentation import Augmentation, blacken, dropped
from robomamba_ros.training.anolevla.loop import Trainer

SIDE = 32
EVERYTHING = Augmentation(3, 4.0, 0.1, 0.1, 0.1, 0.2, 0.1, 1.0, 0.03, 40, 0.3)


def spots(places):
    """Return images (n, 1, s, s, 3) with a soft bright spot at each of places (n, 2), -1..1."""
    x, y = ((places[:, axis, None] + 1.0) * SIDE / 2 - 0.5 for axis in (0, 1))
    cells = np.arange(SIDE)
    heat = np.exp(-((cells - y) ** 2)[:, :, None] / 8.0 - ((cells - x) ** 2)[:, None, :] / 8.0)
    return np.repeat((255 * heat).round().astype(np.uint8)[:, None, :, :, None], 3, axis=4)


def centres(images):
    """Return where the brightness of images (n, 1, s, s, 3) is, -1..1, (n, 2)."""
    heat = images[:, 0, :, :, 0].astype(float)
    cells = (np.arange(SIDE) + 0.5) * 2 / SIDE - 1
    total = heat.sum(axis=(1, 2))
    return np.stack(
        ((heat.sum(axis=1) @ cells) / total, (heat.sum(axis=2) @ cells) / total), axis=1
    )


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 1000),
    limits=st.sampled_from(
        [{'shift': 6}, {'rotation': 30.0}, {'zoom': 0.3}, {'perspective': 0.3}, {}]
    ),
)
def test_places_move_with_the_image(seed, limits):
    """The centre of a spot in the changed image is where the places say it is."""
    places = np.random.default_rng(seed).uniform(-0.35, 0.35, (8, 2)).astype(np.float32)
    limits = limits or {'shift': 3, 'rotation': 10.0, 'zoom': 0.1, 'perspective': 0.1}
    changes = Augmentation(**limits).draw(seed, 0, 8, 1)
    moved = centres(changes.images(spots(places)))
    expected = changes.pixels(places[:, None, None], SIDE)[:, 0, 0]
    np.testing.assert_allclose(moved, expected, atol=0.25 * 2 / SIDE)
    assert np.abs(expected - places).max() > 1e-5


def test_a_place_that_leaves_the_image_is_not_known():
    changes = Augmentation(shift=8).draw(0, 0, 4, 1)
    edge = np.full((4, 1, 1, 2), 0.99, np.float32)
    expected = (changes.shift[:, 0] > 0).any(axis=1)
    assert np.isnan(changes.pixels(edge, SIDE)[:, 0, 0]).all(axis=1).tolist() == expected.tolist()
    assert 0 < expected.sum() < 4


def test_what_comes_in_at_the_border_is_the_border():
    images = np.arange(8, dtype=np.uint8)[None, None, None, :, None].repeat(8, 2).repeat(3, 4)
    changes = Augmentation(shift=1).draw(0, 0, 1, 1)
    changes.shift[0, 0] = [2, 0]
    assert changes.images(images)[0, 0, 0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ('name', 'limit'), [('brightness', 0.2), ('contrast', 0.5), ('color', 0.3), ('noise', 0.1)]
)
def test_light_changes_within_its_limit(name, limit):
    images = np.random.default_rng(0).integers(100, 156, (64, 2, 6, 6, 3)).astype(np.uint8)
    changed = Augmentation(**{name: limit}).draw(3, 5, 64, 2).images(images).astype(float)
    if name == 'brightness':
        size = (changed - images).mean(axis=(2, 3, 4)) / 255.0
    elif name == 'contrast':
        size = changed.std(axis=(2, 3, 4)) / images.std(axis=(2, 3, 4)) - 1.0
    elif name == 'noise':
        size = (changed - images).std(axis=(2, 3, 4)) / 255.0
        limit *= 1.25  # of 108 numbers
    else:
        size = (changed / images).mean(axis=(2, 3)) - 1.0
    assert np.abs(size).max() <= limit + 0.01
    assert size.max() > 0.8 * limit
    assert name == 'noise' or size.min() < -0.8 * limit


def test_blur_jpeg_and_patches_change_what_they_should():
    images = np.random.default_rng(0).integers(0, 256, (16, 1, SIDE, SIDE, 3)).astype(np.uint8)
    blurred = Augmentation(blur=2.0).draw(0, 0, 16, 1).images(images)
    assert (blurred.std(axis=(2, 3, 4)) <= images.std(axis=(2, 3, 4))).all()
    assert blurred.std() < 0.7 * images.std()
    pressed = Augmentation(jpeg=10).draw(0, 0, 16, 1)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(pressed.quality[5, 0])]
    expected = cv2.imdecode(cv2.imencode('.jpg', images[5, 0], quality)[1], cv2.IMREAD_COLOR)
    assert np.array_equal(pressed.images(images)[5, 0], expected)
    erased = Augmentation(erase=0.5).draw(0, 0, 16, 1)
    same = (erased.images(images) == images).all(axis=4)[:, 0]
    edges = np.rint(erased.patch[:, 0] * SIDE)
    assert np.abs((~same).sum(axis=(1, 2)) - edges**2).max() <= 1
    assert edges.max() > 0.3 * SIDE


def test_changes_are_a_function_of_seed_and_step():
    images = np.random.default_rng(0).integers(0, 256, (4, 2, SIDE, SIDE, 3)).astype(np.uint8)
    before = images.copy()
    one, same = (EVERYTHING.draw(1, 2, 4, 2).images(images) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(images, before)
    for other in (EVERYTHING.draw(1, 3, 4, 2), EVERYTHING.draw(2, 2, 4, 2)):
        assert not np.array_equal(one, other.images(images))
    # What one process makes of its rows is what one process makes of all.
    own = EVERYTHING.draw(1, 2, 4, 2).rows(slice(1, None, 2), 1)
    np.testing.assert_array_equal(own.images(images[1::2]), one[1::2])
    assert all(value for value in vars(EVERYTHING).values())
    assert len(fields(EVERYTHING)) == len(vars(EVERYTHING))


def test_nothing_asked_for_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (2, 1, SIDE, SIDE, 3)).astype(np.uint8)
    assert not Augmentation().changes_images
    np.testing.assert_array_equal(Augmentation().draw(0, 0, 2, 1).images(images), images)


def test_a_sequence_is_changed_as_a_whole(tmp_path):
    data = write_store(tmp_path / 'data', episodes=4, steps=7)
    changes = {'streaming': 2, 'localization_weight': 0.2}
    plain = Trainer(small_run(data, tmp_path / 'a', **changes))._batch()
    changed = Trainer(small_run(data, tmp_path / 'b', augment_shift=5, **changes))._batch()
    moves = (changed.pixels - plain.pixels)[:, 0, 0].unflatten(0, (2, 2))
    assert torch.equal(moves[:, 0], moves[:, 1])
    assert not torch.equal(moves[0], moves[1])
    for name in ('state', 'actions', 'valid', 'instruction', 'points'):
        assert torch.equal(getattr(plain, name), getattr(changed, name))


def test_cameras_drop_out_in_their_share_of_sequences_and_whole():
    black = dropped(0, 3, 4000, (0.0, 0.25), slice(1000, 3000), times=2)
    assert black.shape == (4000, 2)
    assert not black[:, 0].any()
    assert black[:, 1].mean() == pytest.approx(0.25, abs=0.03)
    assert np.array_equal(black[::2], black[1::2])
    assert np.array_equal(black, dropped(0, 3, 4000, (0.0, 0.25), slice(1000, 3000), times=2))
    images = blacken(np.full((4000, 2, 2, 2, 3), 7, np.uint8), black)
    assert np.array_equal(images[:, 1, 0, 0, 0] == 0, black[:, 1])
    assert (images[:, 0] == 7).all()


def test_a_camera_that_drops_out_in_training_is_one_the_policy_can_do_without(tmp_path):
    data = write_store(tmp_path / 'data', episodes=4, steps=7)
    trainer = Trainer(small_run(data, tmp_path / 'a', camera_dropout={'front': 0.5}))
    assert [camera.optional for camera in trainer.network.config.spec.cameras] == [True]
    black = (trainer._batch().images == -1.0).flatten(1).all(1)
    assert 0 < black.sum() < len(black)
    trainer.save()
    path = tmp_path / 'a' / 'checkpoint' / 'config.yaml'
    assert read_config(path, 'a').spec.cameras[0].optional
    with pytest.raises(ConfigError, match="camera in camera_dropout 'wrist'"):
        Trainer(small_run(data, tmp_path / 'b', camera_dropout={'wrist': 0.5}))
