"""Corrections: the expert takes over from a policy that strays, and only that is recorded."""

import numpy as np
import pytest

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.cli.main import main
from robomamba_ros.datasets.demonstrations import DatasetMeta, open_shards
from robomamba_ros.evaluation.corrections import STRAY_PERIODS, WINDOW, Straying
from robomamba_ros.simulation.collect.demonstrations import FIRST_SEED, metadata
from robomamba_ros.simulation.metaworld import MetaWorldSim

TASK, WORDS = 'handle-press', 'Press a handle down'
# Takes over from a policy that holds still as soon as it may.
TAKEN_OVER = WINDOW + STRAY_PERIODS


@pytest.fixture
def store(tmp_path):
    """A data set of the task, without samples yet."""
    metadata(('Open a door', WORDS)).save(tmp_path)
    return tmp_path


def correct(folder, *options):
    command = ['collect', str(folder), '--correct', 'hold', '--tasks', TASK, '--workers', '1']
    return main([*command, *options])


def test_adds_what_the_expert_does_where_a_policy_strays(store, capsys):
    options = ('--episodes', '2', '--image-every', '5')
    assert correct(store, *options) == 0
    assert '2 of 2 episodes corrected' in capsys.readouterr().out
    _, (shard,) = open_shards(store)
    assert set(shard['instruction']) == {1}
    seeds = np.unique(shard['episode'])
    assert len(seeds) == 2
    # Neither those of demonstrations nor of evaluation.
    assert seeds.min() >= FIRST_SEED + FIRST_SEED // 2
    for seed in seeds:
        episode = shard[shard['episode'] == seed]
        # Nothing of the policy's part; the hand is then still where the policy held it.
        assert TAKEN_OVER <= episode['step'][0] <= TAKEN_OVER + 5
        assert np.linalg.norm(episode['state'][0] - episode['previous_state'][0]) > 0.0
        travelled = np.linalg.norm(episode['state'][-1, :3] - episode['state'][0, :3])
        assert travelled > 0.1
        # Undisturbed: every chunk is valid to its end or the episode's.
        ends = episode['step'] + episode['valid'].sum(axis=1)
        assert ends[-1] == ends.max()
        assert episode['valid'][0].all()
        assert np.abs(episode['actions'][0]).max() > 0.0

    # The same command has nothing to add.
    before = shard.tobytes()
    assert correct(store, *options) == 0
    assert 'corrected with this checkpoint before: 1 of 1 tasks' in capsys.readouterr().out
    _, (shard,) = open_shards(store)
    assert shard.tobytes() == before


@pytest.fixture(scope='module')
def sim():
    sim = MetaWorldSim(TASK, 0, camera_size=32)
    yield sim
    sim.close()


@pytest.mark.parametrize('share', [1.0, 0.7, 0.0])
def test_a_policy_strays_that_goes_elsewhere_than_the_expert(sim, share):
    sim.reset(None, 3)
    strayed = Straying(sim)
    strays = False
    while not (sim.done or strays or sim.steps > 2 * TAKEN_OVER):
        action = sim.expert_action()
        strays = strayed()
        sim.step_action(np.array([*(share * action[:3]), action[3]]))
    assert strays == (share < 0.5)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--tasks', 'reach'), 'has no demonstrations of reach'),
        (('--lerobot',), '--correct adds to a store'),
        (('--robot', 'fr3', '--tasks', 'pick'), '--correct adds to a store'),
        (('--clean',), '--correct adds to a store'),
        (('--episodes', '0'), '0 episodes a task'),
        (('--correct', 'no_such_policy'), 'no_such_policy'),
    ],
)
def test_refuses_what_it_cannot_correct(store, capsys, options, message):
    assert correct(store, *options) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in store.iterdir()] == ['meta.json']


def test_refuses_a_folder_that_is_no_store_of_these_tasks(tmp_path, capsys):
    assert correct(tmp_path) == 2
    assert 'is no data set' in capsys.readouterr().err
    DatasetMeta(**{**vars(metadata((WORDS,))), 'dt_ns': 20_000_000}).save(tmp_path)
    assert correct(tmp_path) == 2
    assert 'robomamba collect makes one' in capsys.readouterr().err
