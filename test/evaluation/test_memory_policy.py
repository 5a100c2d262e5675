"""The shipped policy that carries its state: it presses the button that it saw light up."""

from dataclasses import replace

import pytest

from robomamba_ros.common.resources import share_directory

pytest.importorskip('torch', reason='the policy extra is not installed')
pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.policies.base import fake_observation
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.collect.demonstrations import FIRST_SEED
from robomamba_ros.simulation.memory_trial import BUTTONS, LAST_GO
from robomamba_ros.simulation.metaworld import MetaWorldSim

CHECKPOINT = share_directory() / 'models' / 'anolevla-memory'
TASK = 'button-lit'
# Each of the three has another button lit. Never trained on: training data begins at FIRST_SEED.
SEEDS = range(102, 102 + len(BUTTONS))
# Who presses the right button does so within as many control periods of the go.
PRESSING = 120


@pytest.fixture(scope='module')
def sim():
    sim = MetaWorldSim(TASK, 0)
    yield sim
    sim.close()


def pressed(sim, cache):
    """Return whether the button that lit up is pressed, by seed."""
    assert max(SEEDS) < FIRST_SEED
    policy, arm = load_policy(CHECKPOINT, cache=cache), load_arm('sawyer_sim')

    def too_late():
        return sim.steps > LAST_GO + PRESSING

    steps = policy.spec.execute_steps
    return [
        run_episode(sim, policy, arm, seed, execute_steps=steps, ends=too_late).success
        for seed in SEEDS
    ]


def test_only_with_its_state_does_it_know_which_button_lit_up(sim):
    assert sum(pressed(sim, 'stream')) >= 2
    assert sum(pressed(sim, 'none')) <= 1


def test_what_it_remembers_has_a_fixed_size():
    policy = load_policy(CHECKPOINT, cache='stream')
    seen = replace(fake_observation(policy.spec), instruction='Press the button that lit up')
    policy.reset()
    sizes = []
    for _ in range(3):
        for _ in range(10):
            policy.infer(seen)
        sizes.append([layer.ssm.shape + layer.conv.shape for layer in policy._stream._state.layers])
    assert sizes[0] == sizes[1] == sizes[2]
