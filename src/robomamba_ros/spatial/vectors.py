"""Vectors of three plain numbers.

Control adds thousands of them a second, and a call of NumPy costs several times the sum.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from robomamba_ros.types import Float64Array

Vector: TypeAlias = tuple[float, float, float]

ZERO: Vector = (0.0, 0.0, 0.0)


def vector(array: Float64Array) -> Vector:
    """Return an array (3,) as plain numbers."""
    x, y, z = array.tolist()
    return x, y, z


def plus(a: Vector, b: Vector) -> Vector:
    """Return a + b."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def minus(a: Vector, b: Vector) -> Vector:
    """Return a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def times(factor: float, a: Vector) -> Vector:
    """Return factor * a."""
    return factor * a[0], factor * a[1], factor * a[2]


def over(a: Vector, divisor: float) -> Vector:
    """Return a / divisor."""
    return a[0] / divisor, a[1] / divisor, a[2] / divisor


def dot(a: Vector, b: Vector) -> float:
    """Return the scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def norm(a: Vector) -> float:
    """Return the length."""
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])


def shortened(a: Vector, length: float) -> Vector:
    """Return the vector, or the one of its direction that is `length` long where it is longer."""
    given = norm(a)
    return times(length / given, a) if given > length else a


def bounded(a: Vector, lower: Vector, upper: Vector) -> Vector:
    """Return each number, or the bound that it exceeds."""
    return (
        min(max(a[0], lower[0]), upper[0]),
        min(max(a[1], lower[1]), upper[1]),
        min(max(a[2], lower[2]), upper[2]),
    )


def lowest(a: Vector, b: Vector) -> Vector:
    """Return the lower number of each pair."""
    return min(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2])


def highest(a: Vector, b: Vector) -> Vector:
    """Return the higher number of each pair."""
    return max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2])
