"""The Meta-World Sawyer: units, seeds, the camera."""

import numpy as np
import pytest

from robomamba_ros.errors import SimulationError

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.metaworld import DT_NS, STEP_M, MetaWorldSim
from robomamba_ros.simulation.tasks import load_tasks


@pytest.fixture
def sim():
    sim = MetaWorldSim('drawer-open', 1)
    yield sim
    sim.close()


def test_knows_the_fifty_tasks_and_their_words():
    tasks = load_tasks()
    assert len(tasks) == 50
    assert tasks['drawer-open'].instruction == 'Open a drawer'
    assert {t.group for t in tasks.values()} == {'easy', 'medium', 'hard', 'very_hard'}


def test_the_same_seed_gives_the_same_scene_and_another_seed_another(sim):
    first = sim.object_positions
    sim.reset(None, 2)
    second = sim.object_positions
    sim.reset(None, 1)
    assert np.array_equal(sim.object_positions, first)
    assert not np.allclose(first, second)


def test_the_first_image_shows_the_scene_of_this_episode(sim):
    fresh = sim.render()
    sim.reset(None, 2)
    other = sim.render()
    sim.reset(None, 1)
    assert np.array_equal(sim.render(), fresh)
    assert np.abs(fresh.astype(int) - other).max() > 50


def test_a_far_target_is_approached_by_one_centimetre_an_axis(sim):
    start = sim.target_position
    sim.step(start + np.array([0.5, -0.5, 0.004]), 1.0)
    np.testing.assert_allclose(sim.target_position - start, [STEP_M, -STEP_M, 0.004], atol=1e-12)


def test_the_gripper_follows_its_opening(sim):
    for _ in range(40):
        sim.step(sim.target_position, 0.0)
    closed = sim.state(0).gripper
    for _ in range(40):
        sim.step(sim.target_position, 1.0)
    assert sim.state(0).gripper > 0.9 > 0.6 > closed


def test_points_are_found_where_they_are_seen(sim):
    """The puck of `push` is the only dark red thing on the table: its pixels are where it is."""
    sim.reset('push', 3)
    pixel = sim.project(sim.object_positions[None, :3])[0]
    red, green, blue = sim.render().astype(int).transpose(2, 0, 1)
    rows, columns = np.nonzero((red > green + 40) & (red < 130) & (blue < 60))
    near = np.hypot(columns - pixel[0], rows - pixel[1]) < 15
    assert near.sum() > 10
    seen = np.array([columns[near].mean(), rows[near].mean()])
    assert np.abs(seen - pixel).max() < 3


def test_keeps_targets_in_the_box_of_the_contract_or_in_the_tasks_own(sim):
    sim.reset('drawer-open', 0)
    contract = load_arm('sawyer_sim').workspace
    np.testing.assert_allclose(sim.workspace.lower, contract.lower, atol=1e-6)
    np.testing.assert_allclose(sim.workspace.upper, contract.upper, atol=1e-6)
    sim.reset('lever-pull', 0)
    assert sim.workspace.lower[2] == pytest.approx(-0.15)


def test_the_expert_opens_the_drawer(sim):
    while not sim.done:
        sim.step_action(sim.expert_action())
    assert sim.success
    assert 50 < sim.steps < 200
    assert sim.state(sim.steps * DT_NS).stamp_ns == sim.steps * 12_500_000


def test_refuses_an_unknown_task_by_its_nearest_name():
    with pytest.raises(SimulationError, match="Did you mean 'drawer-open'"):
        MetaWorldSim('drawer-opne', 0)


def test_refuses_to_run_past_the_end(sim):
    for _ in range(500):
        sim.step(sim.target_position, 1.0)
    assert sim.done
    assert not sim.success
    with pytest.raises(SimulationError, match='over after 500 steps'):
        sim.step(sim.target_position, 1.0)
