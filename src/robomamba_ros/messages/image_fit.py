"""Images of another size than a policy's, made into its size by the rule that the contract states.

The rule has to be the one by which the images were made that the policy was trained on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.robots.parts import FITS
from robomamba_ros.types import Float64Array, UInt8Array


class _Box(NamedTuple):
    """A part of an image [px]."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows_and_columns(self) -> tuple[slice, slice]:
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def fit_image(image: UInt8Array, size: tuple[int, int], rule: str) -> UInt8Array:
    """Return an image (h, w, 3) as one of `size` (height, width); one of that size as it is.

    rule: crop takes the largest centred part of that aspect ratio, squash all of the image, and pad
    all of it in its own proportions, centred on black. Shrinks by area averaging, enlarges
    bilinearly. Raises ConfigError for another rule.
    """
    source, target = _boxes(image.shape[:2], size, rule)
    if image.shape[:2] == size:
        return image
    import cv2  # not at the top: most cameras send what the policy needs

    shrinks = target.height <= source.height and target.width <= source.width
    fitted = np.zeros((*size, 3), dtype=np.uint8)
    fitted[target.rows_and_columns] = cv2.resize(
        image[source.rows_and_columns],
        (target.width, target.height),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    return fitted


def fit_intrinsics(
    matrix: Float64Array, image_size: tuple[int, int], size: tuple[int, int], rule: str
) -> Float64Array:
    """Return the pixel matrix (3, 3) of images of `image_size` (h, w) once they are fitted."""
    source, target = _boxes(image_size, size, rule)
    x, y = target.width / source.width, target.height / source.height
    # The centre of the first pixel is 0, so that edges lie half a pixel before it.
    left = target.left - 0.5 - x * (source.left - 0.5)
    top = target.top - 0.5 - y * (source.top - 0.5)
    return np.array([[x, 0.0, left], [0.0, y, top], [0.0, 0.0, 1.0]]) @ matrix


def _boxes(image_size: tuple[int, ...], size: tuple[int, int], rule: str) -> tuple[_Box, _Box]:
    """Return which part of an image becomes which part of the fitted one."""
    if rule not in FITS:
        raise ConfigError(unknown_name('rule for images of another size', rule, FITS))
    (rows, columns), (height, width) = image_size, size
    whole, all_of_it = _Box(0, 0, rows, columns), _Box(0, 0, height, width)
    if rule == 'crop':
        scale = max(height / rows, width / columns)
        return _centred(image_size, height / scale, width / scale), all_of_it
    if rule == 'pad':
        scale = min(height / rows, width / columns)
        return whole, _centred(size, rows * scale, columns * scale)
    return whole, all_of_it


def _centred(size: tuple[int, ...], height: float, width: float) -> _Box:
    """Return the box of a height and width, rounded, in the middle of a size (h, w)."""
    high, wide = (
        min(most, max(1, round(wanted))) for most, wanted in zip(size, (height, width), strict=True)
    )
    return _Box((size[0] - high) // 2, (size[1] - wide) // 2, high, wide)
