from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.simulation.color_bars import BARS, CROSSING_S, ColorBars
from robomamba_ros.types import NANOSECONDS


@pytest.mark.parametrize(('width', 'height'), [(640, 480), (96, 96), (16, 16)])
def test_bars_tell_red_from_blue(width, height):
    picture = ColorBars('wrist', width, height).at(0)
    assert picture.shape == (height, width, 3)
    centers = ((np.arange(len(BARS)) + 0.5) * width / len(BARS)).astype(int)
    assert [tuple(pixel) for pixel in picture[0, centers].tolist()] == [c for _, c in BARS]
    names = [name for name, _ in BARS]
    red, blue = (picture[0, centers[names.index(name)]] for name in ('red', 'blue'))
    assert red[0] > 200 > 100 > red[2]
    assert blue[2] > 200 > 100 > blue[0]


def test_the_marker_crosses_the_picture():
    bars = ColorBars('wrist', 640, 480)
    places = [bars.marker(round(t * NANOSECONDS)).start for t in (0.0, 1.0, 2.0, 3.0)]
    assert places == [0, 150, 300, 450]
    assert bars.marker(round(CROSSING_S * NANOSECONDS)).start == 0
    first, second = bars.at(0), bars.at(NANOSECONDS)
    assert np.unique(np.nonzero((first != second).any(axis=2))[1]).tolist() == [
        *range(40),
        *range(150, 190),
    ]
    assert np.nonzero((first != second).any(axis=2))[0].min() == bars.lane.start


def test_the_name_is_written_and_tells_cameras_apart():
    left, right = (ColorBars(name, 640, 480).at(0) for name in ('left', 'right'))
    rows = np.nonzero((left != right).any(axis=2))[0]
    assert 288 <= rows.min() <= rows.max() < 384
    # T in 3 x 5 dots of the size that fits: a row of three, and a stem.
    text = ColorBars('t', 640, 480).at(0)[288:384, :, 0] > 200
    size = 96 // 7
    dots = text[size : 6 * size : size, size : 4 * size : size]
    assert dots.astype(int).tolist() == [[1, 1, 1], *[[0, 1, 0]] * 4]


def test_a_letter_without_dots_is_a_block_and_a_long_name_is_cut():
    bars = ColorBars('é' * 200, 64, 48).at(0)
    assert bars.shape == (48, 64, 3)
    assert (bars[29:38] == 235).any()
