"""Changed states: the actions that answer to them lead back to the demonstrated path."""

import numpy as np
import pytest
import torch
from support.made_demonstrations import small_run, write_store

from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.anolevla.state_noise import StateNoise, corrected, correcting_columns


@pytest.mark.parametrize(
    ('space', 'actions', 'states', 'expected'),
    [
        ('ee_delta', ('ee_dy', 'gripper', 'ee_drz'), ('ee_x', 'ee_y', 'gripper'), ((0, 1),)),
        ('joint_delta', ('j2', 'j1', 'gripper'), ('j1', 'j2', 'gripper'), ((0, 1), (1, 0))),
        ('joint_position', ('j1', 'j2'), ('j1', 'j2'), ()),
        ('ee_pose', ('ee_x',), ('ee_x',), ()),
    ],
)
def test_only_changes_of_what_was_moved_lead_back(space, actions, states, expected):
    assert correcting_columns(space, actions, states) == expected


def test_the_chunk_of_a_moved_state_ends_where_the_demonstration_does():
    rng = np.random.default_rng(0)
    actions = rng.normal(size=(5, 8, 3)).astype(np.float32)
    moved = rng.normal(size=(5, 4)).astype(np.float32)
    columns = ((0, 2), (2, 1))
    back = corrected(actions, moved, columns, 4)
    np.testing.assert_allclose(
        (moved[:, [2, 1]] + back[:, :, [0, 2]].sum(axis=1)),
        actions[:, :, [0, 2]].sum(axis=1),
        atol=1e-5,
    )
    np.testing.assert_array_equal(back[:, 4:], actions[:, 4:])
    np.testing.assert_array_equal(back[:, :, 1], actions[:, :, 1])
    np.testing.assert_array_equal(corrected(actions, moved, columns, 0), actions)


def test_what_is_drawn_is_a_function_of_seed_and_step_and_has_its_size():
    noise = StateNoise(noise=0.2, dropout=0.25, delta=0.5)
    draw = noise.draw(1, 2, 2000, 3, slice(0, None, 2), 2)
    same = noise.draw(1, 2, 2000, 3, slice(0, None, 2), 2)
    for name in ('noise', 'hidden', 'still'):
        assert np.array_equal(getattr(draw, name), getattr(same, name))
    assert draw.noise.shape == (2000, 3)
    assert draw.noise.std() == pytest.approx(0.2, rel=0.05)
    assert draw.hidden.mean() == pytest.approx(0.25, abs=0.03)
    assert draw.still.mean() == pytest.approx(0.5, abs=0.04)
    other = noise.draw(1, 3, 2000, 3, slice(0, None, 2), 2)
    assert not np.array_equal(draw.noise, other.noise)


def test_a_batch_has_the_moved_state_with_the_actions_that_answer_to_it(tmp_path):
    data = write_store(tmp_path / 'data', episodes=4, steps=7)
    plain = Trainer(small_run(data, tmp_path / 'a'))
    noisy = Trainer(small_run(data, tmp_path / 'b', state_noise=0.5, recovery_steps=4))
    before, after = plain._batch(), noisy._batch()
    scales = plain.normalization
    moved = (after.state - before.state)[:, 0] * scales.state.scale[0]
    led = (after.actions - before.actions)[:, :4, 0].sum(dim=1) * scales.action.scale[0]
    torch.testing.assert_close(led, -moved, rtol=1e-3, atol=1e-5)
    assert moved.abs().max() > 0.1
    assert torch.equal(before.images, after.images)
    assert torch.equal(before.actions[:, 4:], after.actions[:, 4:])
    hidden = Trainer(
        small_run(data, tmp_path / 'c', state_noise=0.5, recovery_steps=4, state_dropout=1.0)
    )._batch()
    assert not hidden.state.any()
    assert torch.equal(hidden.actions, before.actions)


def test_a_policy_that_never_saw_the_delta_state_does_not_heed_it(tmp_path):
    data = write_store(tmp_path / 'data', episodes=4, steps=7)
    trainer = Trainer(small_run(data, tmp_path, delta_dropout=1.0))
    list(trainer.run())
    assert not trainer.network.delta_state.weight.any()
    batch = trainer._batch()
    assert not batch.delta_state.any()
