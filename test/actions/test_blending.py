"""A seam between two paths becomes a crossfade, and crossfades that are over are forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.actions.blending import Crossfade, fade_weight, settle
from robomamba_ros.actions.timeline import Hold
from robomamba_ros.types import Pose

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


def hold(x):
    return Hold(Pose(np.array([x, 0.0, 0.0]), IDENTITY))


def test_the_crossfade_leaves_one_path_and_arrives_on_the_other():
    fade = Crossfade(hold(0.0), hold(1.0), 1000, 1400)
    xs = [fade.pose_at(time).position[0] for time in (900, 1000, 1100, 1200, 1300, 1400, 1500)]
    assert xs == pytest.approx([0, 0, 0.15625, 0.5, 0.84375, 1, 1])


def test_the_weight_has_no_slope_at_either_end():
    assert fade_weight(1e-4) < 1e-7
    assert 1 - fade_weight(1 - 1e-4) < 1e-7


def test_crossfades_that_are_over_are_forgotten_at_any_depth():
    path = hold(0.0)
    for step in range(1, 50):
        now_ns = step * 100
        path = Crossfade(settle(path, now_ns), hold(float(step)), now_ns, now_ns + 250)
    depth, inner = 0, path
    while isinstance(inner, Crossfade):
        depth, inner = depth + 1, inner.before
    assert depth == 3
    assert settle(path, 49 * 100 + 250) is path.after
