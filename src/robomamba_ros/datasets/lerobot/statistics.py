"""Statistics of a data set's values, exact, and the same however the data came: at once or merged.

Numbers are kept and sorted, so that the order in which they came cannot be seen. Images are
counted by pixel value, 256 counts a colour, which is all that these statistics need of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robomamba_ros.types import Float64Array, UInt8Array

QUANTILES: Mapping[str, float] = {'q01': 0.01, 'q10': 0.1, 'q50': 0.5, 'q90': 0.9, 'q99': 0.99}
NAMES = ('min', 'max', 'mean', 'std', 'count', *QUANTILES)
LEVELS = 256

Statistics = Mapping[str, NDArray[Any]]


def number_statistics(values: ArrayLike) -> Statistics:
    """Return min, max, mean, std, quantiles (each as one value) and count (1,) of (n, ...) numbers.

    Quantiles are interpolated linearly, as NumPy's; std is that of the population.
    """
    given = np.sort(values, axis=0)
    given = given.astype(np.float64) if given.dtype == np.bool_ else given
    ordered = given.astype(np.float64)
    quantiles = np.quantile(ordered, list(QUANTILES.values()), axis=0)
    return {
        'min': given[0],
        'max': given[-1],
        'mean': ordered.mean(axis=0),
        'std': ordered.std(axis=0),
        'count': np.array([len(ordered)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


class PixelCounts:
    """How often each value 0..255 of each colour occurs; counts (3, 256), frames seen.

    Counts of two parts add up to those of both.
    """

    def __init__(self, counts: NDArray[np.int64] | None = None, frames: int = 0) -> None:
        self.counts = np.zeros((3, LEVELS), dtype=np.int64) if counts is None else counts
        self.frames = frames

    def add(self, rgb: UInt8Array) -> None:
        """Count an image (h, w, 3)."""
        for color in range(3):
            self.counts[color] += np.bincount(rgb[:, :, color].ravel(), minlength=LEVELS)
        self.frames += 1

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(self.counts + other.counts, self.frames + other.frames)

    def statistics(self) -> Statistics:
        """Return the statistics of values scaled to 0..1, each (3, 1, 1); count: frames (1,)."""
        level = np.arange(LEVELS)
        total = self.counts.sum(axis=1)
        mean = self.counts @ level / total
        variance = (self.counts * (level - mean[:, None]) ** 2).sum(axis=1) / total
        values: dict[str, Float64Array] = {
            'min': (self.counts > 0).argmax(axis=1),
            'max': LEVELS - 1 - (self.counts[:, ::-1] > 0).argmax(axis=1),
            'mean': mean,
            'std': np.sqrt(variance),
            **{name: self._quantile(share) for name, share in QUANTILES.items()},
        }
        scaled = {name: (each / (LEVELS - 1)).reshape(3, 1, 1) for name, each in values.items()}
        return {**scaled, 'count': np.array([self.frames])}

    def _quantile(self, share: float) -> Float64Array:
        """Return the quantile of each colour [0..255], as NumPy's of all pixels."""
        position = share * (self.counts.sum(axis=1) - 1)
        below = np.floor(position)
        ends = np.cumsum(self.counts, axis=1)
        low, high = (
            np.array([np.searchsorted(ends[c], rank[c], side='right') for c in range(3)])
            for rank in (below, np.ceil(position))
        )
        return np.asarray(low + (position - below) * (high - low), dtype=np.float64)
