"""Tasks that need a memory: what is shown and hidden, who fails, and that an expert does them."""

import numpy as np
import pytest

from robomamba_ros.errors import ConfigError

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.cli.tasks import choose_tasks
from robomamba_ros.simulation.collect.demonstrations import (
    HORIZON,
    CollectConfig,
    demonstrate,
    metadata,
    record_episode,
)
from robomamba_ros.simulation.memory_trial import BUTTONS, CUE_STEPS, FIRST_GO, REST_M
from robomamba_ros.simulation.metaworld import MetaWorldSim
from robomamba_ros.simulation.tasks import MEMORY_TASKS, load_paraphrases, load_tasks


@pytest.fixture(scope='module')
def sim():
    sim = MetaWorldSim('reach-hidden', 0, camera_size=96)
    yield sim
    sim.close()


def rest(sim, until):
    while sim.steps < until:
        sim.step_action(np.array([0.0, 0.0, 0.0, -1.0]))


def go_to(sim, position, opening=0.0):
    for _ in range(60):
        sim.step(np.clip(position, sim.workspace.lower, sim.workspace.upper), opening)


def test_they_are_no_tasks_of_the_benchmark_and_have_words_of_their_own():
    assert not set(MEMORY_TASKS) & set(load_tasks())
    assert choose_tasks(['memory']) == tuple(MEMORY_TASKS)
    assert len(choose_tasks(['all'])) == 50
    assert all(len(load_paraphrases()[name]) == 10 for name in MEMORY_TASKS)


def test_the_first_images_alone_show_the_goal(sim):
    """Two trials with other goals look alike from the eleventh control period on."""
    sim.reset('reach-hidden', 3)
    moved = sim._env._target_pos + np.array([0.1, 0.0, 0.0])
    images = []
    for place in (sim._env._target_pos.copy(), moved):
        sim.reset(None, 3)
        sim._env.model.site('goal').pos = place
        rest(sim, CUE_STEPS - 1)
        assert sim.goal_is_shown
        shown = sim.render()
        rest(sim, CUE_STEPS)
        assert not sim.goal_is_shown
        images.append((shown, sim.render()))
    (first, after), (other, other_after) = images
    assert np.array_equal(after, other_after)
    assert (np.abs(first.astype(int) - other) > 60).any()


def test_no_chunk_from_the_cue_reaches_the_go():
    assert CUE_STEPS - 1 + HORIZON < FIRST_GO


@pytest.mark.parametrize('task', MEMORY_TASKS)
def test_the_expert_waits_for_the_lamp_and_then_does_it(sim, task):
    sim.reset(task, 6000)
    start = sim.state(0).pose.position
    for step in demonstrate(sim, 6000, {}):
        if step.number < sim.rest_steps:
            assert not step.action[:3].any()
        if step.number == sim.rest_steps:
            assert np.linalg.norm(step.state.pose.position - start) < REST_M / 3
    assert sim.success


def test_who_moves_before_the_lamp_fails_though_the_hand_gets_there(sim):
    sim.reset('reach-hidden', 6001)
    above = sim._env._target_pos + np.array([0.0, 0.0, 0.045])
    rest(sim, sim.rest_steps)
    go_to(sim, above)
    assert sim.success
    sim.reset(None, 6001)
    go_to(sim, above)
    rest(sim, sim.rest_steps + 10)
    assert not sim.success


def test_only_the_lit_button_counts_and_each_is_lit_as_often(sim):
    lit = []
    for seed in range(6000, 6000 + 2 * len(BUTTONS)):
        sim.reset('button-lit', seed)
        lit.append(sim._trial._lit)
    assert sorted(lit[:3]) == sorted(lit[3:]) == [0, 1, 2]
    sim.reset('button-lit', 6000)
    rest(sim, sim.rest_steps)
    wrong = sim._env.model.body(f'button{(lit[0] + 1) % 3}').pos
    go_to(sim, [*wrong[:2], 0.2])
    go_to(sim, [*wrong[:2], 0.1])
    assert sim._trial._failed
    right = sim._env._target_pos
    go_to(sim, [*wrong[:2], 0.2])
    go_to(sim, [*right[:2], 0.2])
    go_to(sim, [*right[:2], 0.1])
    assert sim._env.data.joint(f'button{lit[0]}').qpos[0] < -0.01
    assert not sim.success


def test_every_nth_frame_is_kept_and_a_hidden_goal_is_not_said(sim):
    config = CollectConfig(('reach-hidden',), 1, 1, clean_share=0.0, image_every=20)
    sim.reset('reach-hidden', 1_000_000)
    samples = record_episode(sim, 1_000_000, config, metadata(('a',)), 0)
    assert np.array_equal(samples['step'], 20 * np.arange(len(samples)))
    assert np.isfinite(samples['points'][0]).all()
    assert np.isnan(samples['points'][1:, 1]).all()
    assert np.isnan(samples['pixels'][1:, 1]).all()
    assert np.isfinite(samples['points'][:, [0, 2]]).all()
    lamps = samples['points'][:, 0, 2]
    assert (
        lamps.tolist()
        == np.where(samples['step'] < sim.rest_steps, 0.16, 0.08).astype('f4').tolist()
    )
    # Bursts of noise come after the rest: all that the first chunk holds is valid.
    assert samples['valid'][0].all()
    with pytest.raises(ConfigError, match='image_every is -1'):
        CollectConfig(('reach-hidden',), image_every=-1)
