"""Random changes to images, so that a policy does not depend on light and on where exactly a
camera stands. A function of the seed and the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Set these numbers apart from those that draw the samples of the same seed and step.
_STREAM, _DROPOUT_STREAM = 1, 2


@dataclass(frozen=True)
class Augmentation:
    """How far images are changed; every change is drawn evenly from -limit .. limit."""

    # Along each axis [px]; the border is repeated.
    shift: int = 0
    # Added to all channels; 1 is the whole range of an image.
    brightness: float = 0.0
    # Relative change of the distance from the image's mean.
    contrast: float = 0.0
    # Relative change of each colour channel.
    color: float = 0.0

    @property
    def changes_images(self) -> bool:
        """Whether any change is not zero."""
        return any((self.shift, self.brightness, self.contrast, self.color))

    def draw(self, seed: int, step: int, count: int, cameras: int) -> Changes:
        """Return the changes of `count` sequences of images in one training step."""
        rng = np.random.default_rng([seed, step, _STREAM])
        each = (count, cameras)

        def within(limit: float, *shape: int) -> NDArray[np.float32]:
            return rng.uniform(-limit, limit, (*each, *shape)).astype(np.float32)

        return Changes(
            shift=rng.integers(-self.shift, self.shift + 1, (*each, 2)),
            brightness=within(self.brightness, 1, 1, 1),
            contrast=within(self.contrast, 1, 1, 1),
            color=within(self.color, 3, 1, 1),
        )


@dataclass(frozen=True)
class Changes:
    """Changes to images (n, cameras, 3, s, s) in -1..1, one for each row; see Augmentation.

    shift (n, cameras, 2): to the right and down [px].
    """

    shift: NDArray[np.int64]
    brightness: NDArray[np.float32]
    contrast: NDArray[np.float32]
    color: NDArray[np.float32]

    def rows(self, own: slice, times: int) -> Changes:
        """Return those of some rows, each `times` times in a row."""
        return Changes(
            shift=np.repeat(self.shift[own], times, axis=0),
            brightness=np.repeat(self.brightness[own], times, axis=0),
            contrast=np.repeat(self.contrast[own], times, axis=0),
            color=np.repeat(self.color[own], times, axis=0),
        )

    def images(self, images: Tensor) -> Tensor:
        """Return the images, changed."""
        side = images.shape[-1]
        cells = torch.arange(side, device=images.device)
        shift = torch.from_numpy(self.shift).to(images.device)[..., None]
        columns = (cells - shift[:, :, 0]).clamp(0, side - 1)[:, :, None, None, :]
        lines = (cells - shift[:, :, 1]).clamp(0, side - 1)[:, :, None, :, None]
        moved = images.gather(4, columns.expand_as(images))
        moved = moved.gather(3, lines.expand_as(images))
        brightness, contrast, color = (
            torch.from_numpy(part).to(images.device)
            for part in (self.brightness, self.contrast, self.color)
        )
        colored = (moved + 1.0) * (1.0 + color) - 1.0
        mean = colored.mean(dim=(2, 3, 4), keepdim=True)
        return (mean + (colored - mean) * (1.0 + contrast) + 2.0 * brightness).clamp(-1.0, 1.0)

    def pixels(self, pixels: Tensor, side: int) -> Tensor:
        """Return where points (n, cameras, k, 2) of the images, -1..1 over them, are then."""
        shift = torch.from_numpy(self.shift).to(pixels.device)
        return pixels + shift[:, :, None] * (2.0 / side)


def dropped(
    seed: int, step: int, count: int, shares: Sequence[float], own: slice, times: int
) -> Tensor:
    """Return which cameras (n, cameras) show black in one training step, as booleans.

    shares: of the `count` sequences, by camera. The rows are those of `own`, each `times` times in
    a row: a camera that is gone is gone for the whole sequence.
    """
    rng = np.random.default_rng([seed, step, _DROPOUT_STREAM])
    black = rng.random((count, len(shares))) < np.array(shares)
    return torch.from_numpy(np.repeat(black[own], times, axis=0))


def blacken(images: Tensor, black: Tensor) -> Tensor:
    """Return images (n, cameras, 3, s, s) in -1..1 with those black that `black` marks."""
    return images.masked_fill(black.to(images.device)[:, :, None, None, None], -1.0)
