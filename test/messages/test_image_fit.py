"""The rules by which images of another size become the policy's."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.errors import ConfigError
from robomamba_ros.messages.image_fit import fit_image, fit_intrinsics
from robomamba_ros.robots.parts import FITS

# Columns 0 .. 7 of 10, 30, .. 150, in 4 rows.
WIDE = np.repeat(np.tile(np.arange(10, 170, 20, dtype=np.uint8), (4, 1))[:, :, None], 3, axis=2)


def test_crop_takes_the_centre_in_proportion() -> None:
    assert fit_image(WIDE, (2, 2), 'crop')[0, :, 0].tolist() == [60, 100]
    assert fit_image(np.swapaxes(WIDE, 0, 1), (2, 2), 'crop')[:, 0, 0].tolist() == [60, 100]


def test_squash_takes_all_out_of_proportion() -> None:
    assert fit_image(WIDE, (2, 2), 'squash')[0, :, 0].tolist() == [40, 120]


def test_pad_takes_all_in_proportion_on_black() -> None:
    fitted = fit_image(WIDE, (4, 4), 'pad')
    assert fitted[:, :, 0].tolist() == [[0] * 4, [20, 60, 100, 140], [20, 60, 100, 140], [0] * 4]


@pytest.mark.parametrize('rule', FITS)
@pytest.mark.parametrize('size', [(1, 1), (3, 5), (4, 8), (7, 2), (40, 3), (480, 640)])
def test_every_size_becomes_every_size(rule: str, size: tuple[int, int]) -> None:
    for rows, columns in ((1, 1), (2, 9), (480, 640), (720, 3)):
        image = np.full((rows, columns, 3), 200, np.uint8)
        fitted = fit_image(image, size, rule)
        assert (fitted.shape, fitted.dtype) == ((*size, 3), np.uint8)
        assert set(np.unique(fitted)) <= ({0, 200} if rule == 'pad' else {200})
        assert 200 in fitted


def test_an_image_of_the_size_is_given_as_it_is() -> None:
    assert all(fit_image(WIDE, (4, 8), rule) is WIDE for rule in FITS)


def test_another_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'stretch'.* Valid: crop, pad, squash"):
        fit_image(WIDE, (2, 2), 'stretch')


@pytest.mark.parametrize('rule', FITS)
def test_intrinsics_follow_the_pixels(rule: str) -> None:
    """A bright spot is where the matrix says that it is."""
    spot = np.zeros((120, 200, 3), np.uint8)
    spot[70:74, 120:124] = 255
    # Of a point that is seen in the middle of the spot.
    matrix = np.array([[100.0, 0, 121.5], [0, 100.0, 71.5], [0, 0, 1]])
    fitted = fit_image(spot, (60, 60), rule)[:, :, 0].astype(float)
    rows, columns = np.mgrid[0:60, 0:60]
    found = [(at * fitted).sum() / fitted.sum() for at in (columns, rows)]
    expected = fit_intrinsics(matrix, (120, 200), (60, 60), rule) @ np.array([0.0, 0.0, 1.0])
    assert np.allclose(found, expected[:2], atol=0.1)
