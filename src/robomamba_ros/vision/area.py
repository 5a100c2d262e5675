"""Area averaging of images as two matrix products: what OpenCV does on a CPU, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AreaResize(nn.Module):
    """Shrinks square uint8 images as cv2.resize does with INTER_AREA, with its rounding.

    Where side / target is a / b in lowest terms, the sums are exact and so are all pixels if a is
    odd, a power of two, or b is 1. With another a, what lies half way between two values may be
    rounded to the other one.
    """

    matrix: Tensor

    def __init__(self, side: int, target: int) -> None:
        """Make one from `side` to `target` pixels; raises ValueError where that is no shrinking."""
        if not 0 < target <= side:
            raise ValueError(f'area averaging shrinks images, it cannot make {target} of {side} px')
        super().__init__()
        factor = side / target
        whole = side % target == 0
        edges = torch.arange(target + 1, dtype=torch.float64) * factor
        pixel = torch.arange(side, dtype=torch.float64)
        # How much of each pixel (column) lies in each of the result (row).
        low = torch.maximum(edges[:-1, None], pixel)
        share = (torch.minimum(edges[1:, None], pixel + 1.0) - low).clamp(min=0.0)
        self.register_buffer('matrix', (share if whole else share / factor).float(), False)
        # Whole factors: sums of integers, scaled once, in float32 as OpenCV does.
        self._scale = 1.0 / factor**2 if whole else 1.0
        # Its code for the factor 2 adds a half and cuts; all others round to even.
        self._half_up = factor == 2.0

    def forward(self, images: Tensor) -> Tensor:
        """Images (..., side, side, 3) uint8 -> (..., 3, target, target) float32, whole numbers."""
        pixels = images.movedim(-1, -3).float()
        if self.matrix.shape[0] == self.matrix.shape[1]:
            return pixels
        means = self.matrix @ pixels @ self.matrix.T * self._scale
        return torch.floor(means + 0.5) if self._half_up else torch.round(means)
