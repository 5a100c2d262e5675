"""Closed loop in process: the control loops hand the simulator exactly what a chunk says."""

import numpy as np
import pytest
from support.scripted_policies import SPEC

from robomamba_ros.policies.registry import load_policy
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import ActionChunk

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.simulation.metaworld import DT_NS, STEP_M, MetaWorldSim

SEED = 11


class RecordedPolicy:
    """Gives, whatever it sees, the recorded actions that follow the observation's stamp."""

    spec = SPEC

    def __init__(self, actions):
        self._actions = np.concatenate([actions, np.repeat(actions[-1:], 600, axis=0)])
        self.stamps = []
        self.images = []

    def reset(self):
        self.stamps = []

    def infer(self, observation):
        self.stamps.append(observation.stamp_ns)
        self.images.append(observation.images['corner2'])
        first = observation.stamp_ns // DT_NS
        return ActionChunk(
            observation.stamp_ns,
            DT_NS,
            self._actions[first : first + 50],
            SPEC.action_space,
            SPEC.action_names,
        )


@pytest.fixture(scope='module')
def sim():
    sim = MetaWorldSim('drawer-open', SEED, camera_size=64)
    yield sim
    sim.close()


@pytest.fixture(scope='module')
def recorded(sim):
    """The expert's actions in physical units, the targets they gave, and the steps it took."""
    sim.reset('drawer-open', SEED)
    actions, targets = [], []
    while not sim.done:
        action = sim.expert_action()
        actions.append([*(STEP_M * action[:3]), 0.5 * (1 - action[3])])
        sim.step_action(action)
        targets.append(sim.target_position)
    return np.array(actions, np.float32), np.array(targets), sim.steps


def test_a_recorded_expert_succeeds_through_the_control_loops(sim, recorded):
    actions, targets, steps = recorded
    policy = RecordedPolicy(actions)
    episode = run_episode(sim, policy, load_arm('sawyer_sim'), SEED, execute_steps=10)
    assert episode.success
    assert abs(episode.steps - steps) <= 2
    # Commands start from the measured pose, the simulator's target from its own start: that
    # offset of some millimetres stays until a wall of the workspace, nothing is added to it.
    offset = np.abs(episode.commanded[: steps - 2] - targets[: steps - 2])
    assert (offset <= offset[0] + 1e-5).all()
    assert offset[0].max() < 0.006
    assert policy.stamps[:3] == [0, 10 * DT_NS, 20 * DT_NS]


def test_the_same_seed_gives_the_same_episode(sim, recorded):
    arm = load_arm('sawyer_sim')
    first, second = (
        run_episode(sim, RecordedPolicy(recorded[0]), arm, SEED, execute_steps=25) for _ in range(2)
    )
    assert np.array_equal(first.measured, second.measured)
    assert first.mean_jerk == second.mean_jerk > 0


def test_latency_holds_the_arm_until_the_chunk_comes_and_trims_it(sim, recorded):
    policy = RecordedPolicy(recorded[0])
    late = run_episode(sim, policy, load_arm('sawyer_sim'), SEED, execute_steps=10, latency_steps=4)
    still = late.commanded[:4]
    assert np.ptp(still, axis=0).max() < 1e-3
    assert policy.stamps[1] >= 10 * DT_NS


def test_the_view_is_what_the_policy_sees(sim, recorded):
    policy = RecordedPolicy(recorded[0])
    run_episode(
        sim, policy, load_arm('sawyer_sim'), SEED, execute_steps=50, view=lambda image: 255 - image
    )
    sim.reset(None, SEED)
    assert np.array_equal(policy.images[0], 255 - sim.render())


def test_a_policy_that_sees_nothing_moves_as_it_is_written(sim):
    policy = load_policy('scripted')
    episode = run_episode(sim, policy, load_arm('sawyer_sim'), SEED, execute_steps=10)
    lifted = episode.commanded - episode.commanded[0]
    assert episode.steps == 500
    assert np.abs(lifted[:, :2]).max() < 1e-6
    # Out by 3 cm within 4 s, a few steps of latency and limits aside, and on its way back.
    assert lifted[:, 2].max() == pytest.approx(0.03, abs=2e-4)
    assert 310 <= lifted[:, 2].argmax() <= 335
    assert lifted[-1, 2] < 0.02
