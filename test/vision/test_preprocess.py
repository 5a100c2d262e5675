"""The crop that data collection, training and the robot share."""

import numpy as np
import pytest

from robomamba_ros.errors import ConfigError
from robomamba_ros.vision.preprocess import CropResize


def test_cuts_the_square_and_averages_areas():
    image = np.zeros((8, 8, 3), np.uint8)
    image[2:4, 4:6] = 200
    small = CropResize(source=8, left=2, top=2, side=4, target=2)(image)
    assert small.shape == (2, 2, 3)
    assert small[0, 1].tolist() == [200, 200, 200]
    assert small[1].max() == 0


def test_cuts_from_an_image_that_is_no_square():
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 6:] = 100
    crop = CropResize(source=(4, 8), left=4, top=0, side=4, target=2)
    assert (crop.height, crop.width) == (4, 8)
    assert crop(image)[:, :, 0].tolist() == [[0, 100], [0, 100]]
    with pytest.raises(ConfigError, match='does not fit an image of 8 x 4 px'):
        CropResize(source=(4, 8), left=5, top=0, side=4, target=2)


def test_pixels_are_counted_over_the_cut_square():
    crop = CropResize(source=8, left=2, top=1, side=4, target=2)
    corners = np.array([[2.0, 1.0], [6.0, 5.0], [4.0, 3.0]])
    assert crop.normalized(corners).tolist() == [[-1, -1], [1, 1], [0, 0]]


@pytest.mark.parametrize(('left', 'side', 'target'), [(-1, 4, 2), (5, 4, 2), (0, 4, 5), (0, 4, 0)])
def test_refuses_a_square_outside_the_image(left, side, target):
    with pytest.raises(ConfigError, match='does not fit an image of 8 x 8 px'):
        CropResize(source=8, left=left, top=0, side=side, target=target)
