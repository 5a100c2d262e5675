"""A seam between two paths becomes a crossfade, and crossfades that are over are forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.control.motion.blending import (
    Blending,
    Crossfade,
    Ensemble,
    Hold,
    fade_weight,
    settle,
)
from robomamba_ros.control.motion.timeline import Timeline
from robomamba_ros.errors import ConfigError
from robomamba_ros.types import ActionChunk, ActionSpace, Pose

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


def hold(x):
    return Hold(Pose(np.array([x, 0.0, 0.0]), IDENTITY))


def test_the_crossfade_leaves_one_path_and_arrives_on_the_other():
    fade = Crossfade(hold(0.0), hold(1.0), 1000, 1400)
    xs = [fade.at(time).position[0] for time in (900, 1000, 1100, 1200, 1300, 1400, 1500)]
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


def timeline(stamp_ns, values, gripper=None):
    """A chunk of one joint, one action per 100 ns."""
    columns = [values] if gripper is None else [values, gripper]
    names = ('j',) if gripper is None else ('j', 'gripper')
    chunk = ActionChunk(stamp_ns, 100, np.array(columns).T, ActionSpace.JOINT_POSITION, names)
    knots = [np.array([float(value)]) for value in (values[0], *values)]
    return Timeline(chunk, knots)


def act_ensemble(chunks, time_ns, decay):
    """The average of ACT's evaluation code: all that predicted this step, oldest weighs most."""
    predicted = []
    for stamp_ns, values in chunks:
        step = (time_ns - stamp_ns) // 100 - 1
        if 0 <= step < len(values):
            predicted.append(values[step])
    weights = np.exp(-decay * np.arange(len(predicted)))
    return float(np.dot(predicted, weights) / weights.sum())


@pytest.mark.parametrize('decay', [0.0, 0.01, 0.7])
def test_an_ensemble_averages_as_act_does(decay):
    random = np.random.default_rng(0)
    chunks = [(stamp, random.uniform(-1, 1, 8).tolist()) for stamp in range(0, 1500, 100)]
    path = Hold(np.array([0.0]))
    for index, (stamp_ns, values) in enumerate(chunks):
        path = Blending(ensemble_decay=decay).join(path, timeline(stamp_ns, values), stamp_ns)
        for time_ns in (stamp_ns + 100, stamp_ns + 300):
            expected = act_ensemble(chunks[: index + 1], time_ns, decay)
            assert path.at(time_ns) == pytest.approx(expected, abs=1e-6)
    # Chunks that are over are forgotten.
    assert len(path.timelines) == 8


def test_chunks_that_agree_give_exactly_what_each_says():
    values = np.linspace(0.1, 0.9, 20, dtype=np.float32)
    first, second = timeline(0, values), timeline(500, values[5:])
    path = Ensemble((first, second), 0.01)
    fade = Crossfade(first, second, 600, 1000)
    for time_ns in range(650, 2000, 50):
        assert np.array_equal(path.at(time_ns), first.at(time_ns))
        assert np.array_equal(fade.at(time_ns), first.at(time_ns))


def test_an_ensemble_averages_openings_over_the_actions_that_are_due():
    path = Ensemble((timeline(0, [0.0] * 4, [1.0] * 4), timeline(200, [0.0] * 4, [0.0] * 4)), 0.0)
    assert [path.gripper_at(time) for time in (100, 200, 399, 400, 900)] == [1, 0.5, 0.5, 0, 0]
    assert Ensemble((timeline(0, [0.0]),), 0.0).gripper_at(0) is None


def test_left_as_it_is_a_new_chunk_replaces_the_old_one_at_once():
    new = timeline(0, [1.0])
    assert Blending().join(timeline(0, [0.0]), new, 0) is new


def test_a_crossfade_takes_the_opening_of_the_new_chunk():
    old, new = timeline(0, [0.0] * 9, [1.0] * 9), timeline(100, [0.0] * 9, [0.2] * 9)
    path = Blending(crossfade_steps=4).join(old, new, 100)
    assert (path.start_ns, path.end_ns) == (100, 500)
    assert path.gripper_at(150) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        ({'crossfade_steps': -1}, 'crossfade_steps is -1, allowed: 0 or more'),
        ({'ensemble_decay': -0.1}, 'ensemble_decay is -0.1, allowed: a number of 0 or more'),
        ({'ensemble_decay': float('nan')}, 'ensemble_decay is nan'),
        ({'crossfade_steps': 2, 'ensemble_decay': 0.0}, 'not both: leave one out'),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(settings, expected):
    with pytest.raises(ConfigError, match=expected):
        Blending(**settings)
