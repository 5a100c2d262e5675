"""The bounded minimum satisfies the conditions that only the minimum satisfies."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.robots.bounded import bounded_minimum


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 10))
def test_no_feasible_direction_descends(seed, size):
    random = np.random.default_rng(seed)
    A = random.normal(size=(6, size)) * 10.0 ** random.uniform(-2, 0, size)
    H, g = A.T @ A + 1e-4 * np.eye(size), A.T @ random.normal(size=6)
    lower, upper = -random.random(size), random.random(size)
    lower[random.random(size) < 0.2] = 0.0
    x = bounded_minimum(H, g, lower, upper)
    assert (lower <= x).all()
    assert (x <= upper).all()
    slope = H @ x - g
    tolerance = 1e-9
    assert (np.abs(slope[(x > lower) & (x < upper)]) < tolerance).all()
    assert (slope[(x == lower) & (x < upper)] > -tolerance).all()
    assert (slope[(x == upper) & (x > lower)] < tolerance).all()


def test_without_active_bounds_it_solves_the_equations():
    H, g = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    free = np.full(2, np.inf)
    np.testing.assert_allclose(bounded_minimum(H, g, -free, free), [0.2, 0.6])
