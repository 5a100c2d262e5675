"""Random changes to images, so that a policy does not depend on light, on a lens and on where
exactly a camera stands. A function of the seed and the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from robomamba_ros.types import Float32Array, Float64Array, UInt8Array

# Set these numbers apart from those that draw the samples of the same seed and step.
_STREAM, _DROPOUT_STREAM = 1, 2
BEST_JPEG = 100
# Noise to cut from: drawing it anew for each pixel would cost more than all else.
_GRAIN = np.random.default_rng(0).standard_normal(1 << 20, dtype=np.float32)


@dataclass(frozen=True)
class Augmentation:
    """How far images are changed; every change is drawn evenly, each way up to its limit.

    Places in the image are moved with it; what comes in at its border is the border, repeated.
    """

    # Along each axis [px].
    shift: int = 0
    # About the middle [degrees].
    rotation: float = 0.0
    # Relative change of size: a crop, or the whole image smaller.
    zoom: float = 0.0
    # How much larger one edge becomes than the one opposite, relative.
    perspective: float = 0.0
    # Added to all channels; 1 is the whole range of an image.
    brightness: float = 0.0
    # Relative change of the distance from the image's mean.
    contrast: float = 0.0
    # Relative change of each colour channel.
    color: float = 0.0
    # Deviation of a Gaussian blur, 0 to this [px].
    blur: float = 0.0
    # Deviation of the noise of each pixel, 0 to this; 1 is the whole range.
    noise: float = 0.0
    # Lowest quality of JPEG, this to 100; 0: no compression.
    jpeg: int = 0
    # Side of a patch of one colour, 0 to this, relative to the image's.
    erase: float = 0.0

    @property
    def changes_images(self) -> bool:
        """Whether any change is not zero."""
        return any(getattr(self, field.name) for field in fields(self))

    def draw(self, seed: int, step: int, count: int, cameras: int) -> Changes:
        """Return the changes of `count` sequences of images in one training step."""
        return self.changes((seed, step, _STREAM), count, cameras)

    def changes(self, key: Sequence[int], count: int, cameras: int) -> Changes:
        """Return the changes of `count` sequences of images, a function of a key."""
        rng = np.random.default_rng(key)
        each = (count, cameras)

        def within(limit: float, *shape: int) -> Float32Array:
            return rng.uniform(-limit, limit, (*each, *shape)).astype(np.float32)

        shift = rng.integers(-self.shift, self.shift + 1, (*each, 2))
        brightness = within(self.brightness)
        contrast = within(self.contrast)
        color = within(self.color, 3)
        angle = np.deg2rad(within(self.rotation))
        size, tilt = 1.0 + within(self.zoom), within(0.5 * self.perspective, 2)
        warp = np.zeros((*each, 3, 3))
        warp[..., 0, 0] = warp[..., 1, 1] = size * np.cos(angle)
        warp[..., 1, 0] = size * np.sin(angle)
        warp[..., 0, 1] = -warp[..., 1, 0]
        warp[..., 2, :2], warp[..., 2, 2] = tilt, 1.0
        quality = rng.integers(self.jpeg or BEST_JPEG, BEST_JPEG + 1, each)
        return Changes(
            shift=shift,
            warp=warp,
            brightness=brightness,
            contrast=contrast,
            color=color,
            blur=np.abs(within(self.blur)),
            noise=np.abs(within(self.noise)),
            quality=quality if self.jpeg else np.zeros_like(quality),
            patch=np.abs(within(self.erase)),
            grain=rng.integers(0, 2**31, each),
        )


@dataclass(frozen=True)
class Changes:
    """Changes to images (n, cameras, s, s, 3), one for each row and camera; see Augmentation.

    shift (n, cameras, 2): to the right and down [px], after warp (n, cameras, 3, 3), a homography
    of places -1..1. quality: of JPEG, 0 for none. grain: seeds what is drawn for each pixel.
    """

    shift: NDArray[np.int64]
    warp: Float64Array
    brightness: Float32Array
    contrast: Float32Array
    color: Float32Array
    blur: Float32Array
    noise: Float32Array
    quality: NDArray[np.int64]
    patch: Float32Array
    grain: NDArray[np.int64]

    def rows(self, own: slice, times: int) -> Changes:
        """Return those of some rows, each `times` times in a row."""
        columns = {
            f.name: np.repeat(getattr(self, f.name)[own], times, axis=0) for f in fields(self)
        }
        return replace(self, **columns)

    def images(self, images: UInt8Array) -> UInt8Array:
        """Return the images, changed."""
        changed = np.empty_like(images)
        side = images.shape[2]
        # From pixels, centres at integers, to -1..1 and back.
        unit = np.array([[2 / side, 0, 1 / side - 1], [0, 2 / side, 1 / side - 1], [0, 0, 1]])
        warps = np.linalg.inv(unit) @ self._homographies(side) @ unit
        for at in np.ndindex(images.shape[:2]):
            moved = _warped(images[at], warps[at])
            changed[at] = self._seen(moved, at)
        return changed

    def pixels(self, pixels: Float32Array, side: int) -> Float32Array:
        """Return where points (n, cameras, k, 2) of the images, -1..1 over them, are then.

        NaN where a point has left the image.
        """
        ones = np.ones((*pixels.shape[:-1], 1))
        moved = np.concatenate((pixels, ones), axis=-1) @ self._homographies(side).swapaxes(2, 3)
        moved = moved[..., :2] / moved[..., 2:]
        inside = (np.abs(moved) <= 1.0).all(axis=-1, keepdims=True)
        return np.where(inside, moved, np.nan).astype(np.float32)

    def _homographies(self, side: int) -> Float64Array:
        """Return (n, cameras, 3, 3), of places -1..1, with the shift."""
        move = np.zeros((*self.shift.shape[:2], 3, 3))
        move[..., :, :] = np.eye(3)
        move[..., :2, 2] = self.shift * (2.0 / side)
        return move @ self.warp

    def _seen(self, image: UInt8Array, at: tuple[int, ...]) -> UInt8Array:
        """Return an image as another camera, in other light, would give it."""
        side = image.shape[0]
        if self.blur[at] > 0.0:
            image = _uint8(cv2.GaussianBlur(image, (0, 0), float(self.blur[at]) + 1e-3))
        rng = np.random.default_rng(int(self.grain[at]))
        edge = round(float(self.patch[at]) * side)
        if edge:
            image = image.copy()
            left, top = rng.integers(0, side - edge + 1, 2)
            image[top : top + edge, left : left + edge] = rng.integers(0, 256, 3)
        image = self._colored(image, at, rng)
        if self.quality[at]:
            options = [cv2.IMWRITE_JPEG_QUALITY, int(self.quality[at])]
            _, data = cv2.imencode('.jpg', image, options)
            image = _uint8(cv2.imdecode(data, cv2.IMREAD_COLOR))
        return image

    def _colored(
        self, image: UInt8Array, at: tuple[int, ...], rng: np.random.Generator
    ) -> UInt8Array:
        light = (self.brightness[at], self.contrast[at], *self.color[at])
        if any(light):
            # The same for every pixel of a value: a table of 256 is cheaper than the image.
            colored = np.arange(256, dtype=np.float32)[:, None] * (1.0 + self.color[at])
            mean = np.mean(np.array(cv2.mean(image)[:3]) * (1.0 + self.color[at]))
            table = mean + (colored - mean) * (1.0 + self.contrast[at])
            table = table + 255.0 * self.brightness[at]
            image = _uint8(cv2.LUT(image, np.rint(table).clip(0, 255).astype(np.uint8)[:, None]))
        if self.noise[at]:
            grain = np.resize(_GRAIN[rng.integers(0, _GRAIN.size // 2) :], image.shape)
            image = np.rint(image + 255.0 * self.noise[at] * grain).clip(0, 255).astype(np.uint8)
        return image


def joined(parts: Sequence[Changes]) -> Changes:
    """Return the changes of all rows of several."""
    columns = {
        f.name: np.concatenate([getattr(each, f.name) for each in parts]) for f in fields(Changes)
    }
    return replace(parts[0], **columns)


def dropped(
    seed: int, step: int, count: int, shares: Sequence[float], own: slice, times: int
) -> NDArray[np.bool_]:
    """Return which cameras (n, cameras) show black in one training step.

    shares: of the `count` sequences, by camera. The rows are those of `own`, each `times` times in
    a row: a camera that is gone is gone for the whole sequence.
    """
    rng = np.random.default_rng([seed, step, _DROPOUT_STREAM])
    black = rng.random((count, len(shares))) < np.array(shares)
    return np.repeat(black[own], times, axis=0)


def blacken(images: UInt8Array, black: NDArray[np.bool_]) -> UInt8Array:
    """Return images (n, cameras, s, s, 3) with those black that `black` marks."""
    return images * ~black[:, :, None, None, None]


def _warped(image: UInt8Array, matrix: Float64Array) -> UInt8Array:
    if np.allclose(matrix, np.eye(3), atol=1e-9):
        return image
    size = image.shape[1::-1]
    return _uint8(cv2.warpPerspective(image, matrix, size, borderMode=cv2.BORDER_REPLICATE))


def _uint8(image: object) -> UInt8Array:
    return np.asarray(image, dtype=np.uint8)
