import cv2
import numpy as np
import pytest
import torch

from robomamba_ros.vision.area import AreaResize

# Of shipped policies and common cameras; factors 2, 3, 4, 5, 6 and 7, then 4/3, 5/3, 7/3, 15/7 and
# one hardly above 1.
SIZES = [(448, 224), (288, 96), (384, 96), (480, 96), (576, 96), (672, 96)]
SIZES += [(128, 96), (160, 96), (224, 96), (480, 224), (97, 96), (96, 96)]


def images(side):
    rng = np.random.default_rng(side)
    yield rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    # Two values a column or row apart: nearly everything lies half way.
    even = (np.indices((side, side)).sum(0) // 2 % 2).astype(np.uint8)
    yield np.repeat(even[:, :, None], 3, axis=2) + np.array([0, 7, 254], np.uint8)


@pytest.mark.parametrize(('side', 'target'), SIZES)
def test_every_pixel_is_that_of_opencv(side, target):
    resize = AreaResize(side, target)
    for image in images(side):
        expected = cv2.resize(image, (target, target), interpolation=cv2.INTER_AREA)
        found = resize(torch.from_numpy(image)).movedim(0, -1)
        np.testing.assert_array_equal(found.numpy(), expected)


def test_a_factor_whose_shares_are_no_binary_fractions_is_off_by_one_at_most():
    image = next(images(120))
    expected = cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA).astype(float)
    found = AreaResize(120, 100)(torch.from_numpy(image)).movedim(0, -1).numpy()
    assert abs(found - expected).max() <= 1.0
    assert (found != expected).mean() < 0.02


def test_what_is_no_shrinking_is_refused():
    with pytest.raises(ValueError, match='cannot make 97 of 96 px'):
        AreaResize(96, 97)
