"""Experts through the controls of a real robot, and the data sets that they make."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='a physical robot needs MuJoCo: pip install mujoco')
pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')
pytest.importorskip('pyarrow', reason='LeRobot data sets need pyarrow')

from robomamba_ros.cli.main import main
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.errors import ConfigError
from robomamba_ros.evaluation.expert_episodes import RecordedExpert, episode_seeds
from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.simulation.robots.expert import Expert
from robomamba_ros.simulation.robots.roster import FR3, HSR
from robomamba_ros.simulation.robots.table_sim import TableSim


class EnoughError(Exception):
    """The begin of an episode has been seen."""


@pytest.fixture(scope='module')
def sim():
    made = TableSim('fr3/push', 0)
    yield made
    made.close()


def test_an_expert_does_its_task_and_exceeds_no_limit_on_the_way(sim):
    episode = run_episode(sim, Expert(sim), sim.arm, 0, execute_steps=1)
    assert episode.success
    assert episode.steps < 800
    assert sim.fake.peaks['arm']
    for quantity, peak in sim.fake.peaks['arm'].items():
        assert not peak.exceeded, (quantity, peak)

    again = []

    def follow():
        if sim.steps == 60:
            raise EnoughError
        again.append(sim.state(0).pose.position)

    with pytest.raises(EnoughError):
        run_episode(sim, Expert(sim), sim.arm, 0, execute_steps=1, watch=follow)
    np.testing.assert_array_equal(episode.measured[:60], again)


def test_a_whole_body_does_its_task_and_exceeds_no_limit_on_the_way():
    sim = TableSim('hsr/push', 0, camera_size=(32, 32))
    expert = RecordedExpert(sim)
    start = np.array(sim.world.data.body('base_footprint').xpos)
    episode = run_episode(sim, expert, sim.arm, 0, execute_steps=1)
    assert episode.success
    assert episode.steps * sim.dt_ns < 15e9
    way = sim.world.data.body('base_footprint').xpos - start
    assert np.linalg.norm(way) > 0.4
    # What is recorded of it: an action of eleven channels and three images, ten times a second.
    steps, actions = len(expert.actions), np.array(expert.actions)
    assert abs(steps - episode.steps / 5) < 3
    assert actions.shape == (steps, 11)
    assert np.array(expert.states).shape == (steps, len(HSR.state_names))
    shapes = {name: np.array(each).shape for name, each in expert.images.items()}
    assert shapes == dict.fromkeys(('head', 'hand', 'external'), (steps, 32, 32, 3))
    # The ways that were commanded are about the way that the wheels went.
    told = expert.states[-1][HSR.state_names.index('odom_x')]
    assert actions[:, 0].sum() == pytest.approx(told, abs=0.1)
    assert {'base', 'arm', 'head'} <= set(sim.fake.peaks)
    for part, peaks in sim.fake.peaks.items():
        for quantity, peak in peaks.items():
            assert not peak.exceeded, (part, quantity, peak)

    def press():
        if sim.steps == 75:
            sim.fake.stop('emergency_stop')

    # While it drives.
    stopped = run_episode(sim, expert, sim.arm, 0, execute_steps=1, watch=press)
    assert not stopped.success
    assert 75 < stopped.steps < 325
    assert np.abs(sim.world.velocities).max() < 1e-3


def test_what_is_of_arms_without_masses_is_refused():
    with pytest.raises(ConfigError, match='lag_s is of arms without masses'):
        TableSim('fr3/push', 0, disagreement=Disagreement(lag_s=0.05))


def emergency_stop(sim):
    sim.fake.stop('emergency_stop')


def slider(sim):
    # Franka's arm has none that it tells of; at 0 % it stands.
    sim.fake.speed_scaling = 0.0


def hand(sim):
    sim.world.push('fr3_hand', np.array([0.0, 120.0, 0.0]))


@pytest.mark.parametrize('fault', [emergency_stop, slider, hand])
def test_a_fault_ends_the_episode_at_rest(sim, fault):
    def press():
        if sim.steps == 80:
            fault(sim)

    episode = run_episode(sim, Expert(sim), sim.arm, 0, execute_steps=1, watch=press)
    assert not episode.success
    assert 80 < episode.steps < 400
    sim.world.push('fr3_hand', np.zeros(3))
    for _ in range(100):
        sim.rest()
    assert np.abs(sim.world.velocities[:7]).max() < 1e-3


def test_collected_episodes_hold_what_the_expert_saw_and_did(tmp_path):
    folder = tmp_path / 'set'
    command = ['collect', str(folder), '--robot', 'fr3', '--tasks', 'push', '--workers', '1']
    assert main([*command, '--episodes', '1']) == 0
    data = LeRobotDataset(folder)
    assert data.tasks == ('Push the pump down',)
    assert data.info.fps == 10
    assert data.names('observation.state') == FR3.state_names
    assert data.names('action') == FR3.action_names
    assert sorted(data.cameras.values()) == ['front', 'wrist']
    assert int(data.values('seed')[0]) == episode_seeds('fr3/push', 1)[0]
    states, actions = data.values('observation.state'), data.values('action')
    # The ways that were commanded add up to the way that the hand went, but for its delay.
    way = states[-1, :3] - states[0, :3]
    np.testing.assert_allclose(actions[:, :3].sum(axis=0), way, atol=0.05)
    assert np.linalg.norm(actions[:, :3], axis=1).max() < 0.021
    # And the same command adds nothing.
    assert main([*command, '--episodes', '1']) == 0
    assert len(LeRobotDataset(folder)) == len(data)
