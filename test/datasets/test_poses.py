"""Pose data sets on disk: what is written is read, what is wrong is named."""

import json
from dataclasses import replace

import numpy as np
import pytest

from robomamba_ros.datasets.poses import (
    Camera,
    PoseSample,
    read_depth,
    read_poses,
    write_depth,
    write_image,
    write_samples,
)
from robomamba_ros.errors import DataError


@pytest.fixture
def sample(tmp_path):
    rng = np.random.default_rng(0)
    image, depth = tmp_path / 'images' / 'a.png', tmp_path / 'depth' / 'a.png'
    write_image(image, rng.integers(0, 255, (6, 8, 3), np.uint8))
    write_depth(depth, rng.uniform(0.5, 2.0, (6, 8)).astype(np.float32))
    camera = Camera(depth, np.eye(3), np.eye(4), np.array([0.1, 0.2, 1.5]))
    directions = np.array([0.0, 0.0, 1.0, 0.6, 0.8, 0.0])
    return PoseSample(image, 'open it', np.array([3.25, 4.5]), directions, camera, 'drawer', 7)


def line_of(folder):
    return json.loads(next((folder / 'poses').glob('*.jsonl')).read_text())


def test_what_is_written_is_read(sample, tmp_path):
    write_samples(tmp_path / 'poses' / 'a.jsonl', [sample, sample], tmp_path)
    first, _ = read_poses(tmp_path)
    assert (first.image, first.instruction, first.task, first.seed) == (
        sample.image,
        'open it',
        'drawer',
        7,
    )
    np.testing.assert_array_equal(first.contact, sample.contact)
    np.testing.assert_array_equal(first.directions, sample.directions)
    np.testing.assert_array_equal(first.camera.point, sample.camera.point)
    assert first.read_image().shape == (6, 8, 3)


def test_colours_and_depth_survive(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 0] = 200  # red
    write_image(tmp_path / 'red.png', image)
    sample = PoseSample(tmp_path / 'red.png', 'x', np.zeros(2), np.zeros(6))
    np.testing.assert_array_equal(sample.read_image(), image)
    depth = np.array([[0.12345, 1.0], [7.0, np.nan]], np.float32)
    write_depth(tmp_path / 'depth.png', depth)
    # Steps of 0.1 mm; beyond 16 bits there is a hole, not a wrong number.
    np.testing.assert_allclose(
        read_depth(tmp_path / 'depth.png'), [[0.12345, 1.0], [0, 0]], atol=1e-4
    )


def test_an_image_alone_is_enough_to_learn_from(sample, tmp_path):
    write_samples(tmp_path / 'poses' / 'a.jsonl', [replace(sample, camera=None, task='')], tmp_path)
    (read,) = read_poses(tmp_path)
    assert read.camera is None
    with pytest.raises(DataError, match='has no depth'):
        read.read_depth()


@pytest.mark.parametrize(
    ('key', 'value', 'said'),
    [
        ('contact', [1.0], r'contact is \[1.0\], not numbers of shape \(2,\)'),
        ('up', [1.0, 0.0, 0.0], 'right angle'),
        ('forward', [0.0, 2.0, 0.0], 'not unit vectors'),
        ('instruction', ' ', 'instruction is empty'),
        ('image', None, "'image' is missing"),
        ('point', [0.0, 0.0, float('nan')], 'NaN is not a number'),
    ],
)
def test_names_the_line_that_is_wrong(sample, tmp_path, key, value, said):
    path = tmp_path / 'poses' / 'a.jsonl'
    write_samples(path, [sample], tmp_path)
    document = line_of(tmp_path)
    document[key] = value
    if value is None:
        del document[key]
    path.write_text(path.read_text() + json.dumps(document))
    with pytest.raises(DataError, match=rf'a\.jsonl, (line|entry) 2: .*{said}'):
        read_poses(tmp_path)


def test_refuses_a_folder_without_samples_and_a_lost_image(sample, tmp_path):
    with pytest.raises(DataError, match='robomamba poses collect'):
        read_poses(tmp_path)
    sample.image.unlink()
    with pytest.raises(DataError, match=r'a\.png is missing or no image'):
        sample.read_image()
