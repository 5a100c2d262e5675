"""Least squares within bounds, for a handful of unknowns.

Control solves thousands of these a second; most of the time of a call goes into calling.
"""

from __future__ import annotations

import numpy as np

from robomamba_ros.types import Float64Array


def clipped(
    vector: Float64Array, lower: Float64Array | float, upper: Float64Array | float
) -> Float64Array:
    """Return what np.clip does, in half of its time."""
    return np.minimum(np.maximum(vector, lower), upper)


def within(vector: Float64Array, lower: Float64Array, upper: Float64Array) -> bool:
    """Tell whether each number is between its bounds."""
    return not (True in (vector < lower).tolist() or True in (vector > upper).tolist())


def bounded_minimum(
    H: Float64Array,
    g: Float64Array,
    lower: Float64Array,
    upper: Float64Array,
    unbounded: Float64Array | None = None,
) -> Float64Array:
    """Return the x (n,) in [lower, upper] that minimises x'Hx / 2 - g'x, H positive definite.

    unbounded: the x that does so without bounds, where it is known.
    Active sets (Nocedal and Wright 2006, algorithm 16.3, for bounds): move to the minimum over
    the unknowns that are free, hold the first that meets a bound; once nothing is met, free the
    one whose bound holds it back most. The value falls each time, so no set comes twice.
    """
    x = np.asarray(np.linalg.solve(H, g) if unbounded is None else unbounded, dtype=np.float64)
    if within(x, lower, upper):
        return x
    x = clipped(x, lower, upper)
    free = (x > lower) & (x < upper)
    # Rounding can make two sets look equally good; each unknown is held and freed a few times.
    for _ in range(10 * len(x)):
        held = ~free
        goal = x.copy()
        if free.any():
            rest = g[free] - H[np.ix_(free, held)] @ x[held]
            goal[free] = np.linalg.solve(H[np.ix_(free, free)], rest)
        outside = free & ((goal < lower) | (goal > upper))
        if outside.any():
            ends = np.where(goal > upper, upper, lower)
            shares = (ends[outside] - x[outside]) / (goal[outside] - x[outside])
            first = np.flatnonzero(outside)[np.argmin(shares)]
            x = clipped(x + shares.min() * (goal - x), lower, upper)
            x[first] = ends[first]
            free[first] = False
            continue
        x = goal
        pull = g - H @ x
        pull[free | ((x >= upper) & (pull > 0.0)) | ((x <= lower) & (pull < 0.0))] = 0.0
        if np.abs(pull).max() <= 1e-12 * np.abs(g).max():
            break
        free[np.argmax(np.abs(pull))] = True
    return x
