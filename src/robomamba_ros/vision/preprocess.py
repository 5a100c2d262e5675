"""Crop and resize of camera images, the same in data collection, training and on the robot.

Needs NumPy and OpenCV only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from robomamba_ros.errors import ConfigError
from robomamba_ros.types import Float64Array, UInt8Array


@dataclass(frozen=True)
class CropResize:
    """Cuts a square out of a camera image and shrinks it by area averaging.

    source: size of the camera image [px], its side where it is square, else (height, width);
    left, top, side: the square cut out [px]; target: side of the result [px].
    """

    source: int | tuple[int, int]
    left: int
    top: int
    side: int
    target: int

    def __post_init__(self) -> None:
        inside = (
            min(self.left, self.top) >= 0
            and self.left + self.side <= self.width
            and self.top + self.side <= self.height
        )
        if not inside or not 0 < self.target <= self.side:
            raise ConfigError(
                f'image crop (left {self.left}, top {self.top}, side {self.side}) to '
                f'{self.target} px does not fit an image of {self.width} x {self.height} px; it '
                f'must lie inside, with a side of at least {self.target} px'
            )

    @property
    def height(self) -> int:
        """Height of the camera image [px]."""
        return self.source if isinstance(self.source, int) else self.source[0]

    @property
    def width(self) -> int:
        """Width of the camera image [px]."""
        return self.source if isinstance(self.source, int) else self.source[1]

    def cut(self, image: UInt8Array) -> UInt8Array:
        """Return a view of the (side, side, 3) square in a (height, width, 3) image."""
        return image[self.top : self.top + self.side, self.left : self.left + self.side]

    def __call__(self, image: UInt8Array) -> UInt8Array:
        """Return the (target, target, 3) image of a (height, width, 3) one."""
        small = cv2.resize(
            self.cut(image), (self.target, self.target), interpolation=cv2.INTER_AREA
        )
        return np.asarray(small, dtype=np.uint8)

    def normalized(self, pixels: Float64Array) -> Float64Array:
        """Return pixels (..., 2) of the camera image as -1..1 over the cut-out square."""
        origin = np.array([self.left, self.top], dtype=np.float64)
        return 2.0 * (pixels - origin) / self.side - 1.0


def center_crop(height: int, width: int, target: int) -> CropResize:
    """Return what cuts the largest square at the centre of an image and shrinks it to `target`."""
    side = min(height, width)
    return CropResize((height, width), (width - side) // 2, (height - side) // 2, side, target)
