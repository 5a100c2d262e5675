"""Bursts of noise in an expert's motion, and how long its recorded actions stay valid.

The expert's clean action is what is recorded; what is executed is, now and then, a burst of noise.
What follows a burst shows how to recover, which clean episodes never show (DART, Laskey et al.
2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.types import Float64Array


def valid_actions(disturbed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the recorded actions (..., n) follow from what is seen at the first.

    disturbed: where noise was executed instead. Beyond such a step the actions answer to something
    that cannot be seen yet; the action at that step itself still follows from clean motion.
    """
    before: NDArray[np.int64] = np.cumsum(disturbed, axis=-1) - disturbed
    return np.equal(before, 0)


def plan_noise(rng: np.random.Generator, clean_share: float) -> dict[int, Float64Array]:
    """Return what is executed instead, by step: up to three bursts of a push with jitter.

    Of a share of the episodes nothing. Actions (4,) are the benchmark's, -1..1.
    """
    if rng.random() < clean_share:
        return {}
    noise: dict[int, Float64Array] = {}
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(0, 90))
        push = rng.uniform(-1.0, 1.0, 3) * rng.uniform(0.3, 1.0)
        grip = rng.uniform(-1.0, 1.0)
        for step in range(start, start + int(rng.integers(4, 20))):
            noise[step] = np.array([*(push + rng.normal(0.0, 0.3, 3)), grip]).clip(-1.0, 1.0)
    return noise
