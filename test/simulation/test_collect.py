"""What is recorded: clean actions, valid as far as they follow from what the image shows."""

import functools
from itertools import pairwise

import numpy as np
import pytest

from robomamba_ros.errors import ConfigError, DataError

pytest.importorskip('metaworld', reason='the simulation extra is not installed')

from robomamba_ros.cli.main import main
from robomamba_ros.datasets.demonstrations import open_shards, shard_path
from robomamba_ros.simulation.collect.demonstrations import (
    FIRST_SEED,
    HORIZON,
    CollectConfig,
    collect,
    metadata,
    record_episode,
)
from robomamba_ros.simulation.metaworld import STEP_M, MetaWorldSim

META = metadata(('Open a drawer',))


TASK = 'handle-press'  # its episodes are short


def config(**changes):
    sizes = {'episodes_per_task': 2, 'episodes_per_shard': 1}
    return CollectConfig((TASK,), **{**sizes, **changes})


@pytest.fixture(scope='module')
def sim():
    sim = MetaWorldSim('drawer-open', 0)
    yield sim
    sim.close()


@pytest.fixture(scope='module')
def recorded(sim):
    """Return the samples of an episode; what two tests look at is recorded once."""

    @functools.cache
    def record(seed, clean_share):
        settings = config(clean_share=clean_share, image_share=0.2)
        samples = record_episode(sim, seed, settings, META, 0)
        samples.flags.writeable = False
        return samples

    return record


def test_a_clean_episode_replays_to_success_from_chunk_to_chunk(sim, recorded):
    samples = recorded(FIRST_SEED, 1.0)
    assert samples['step'][0] == 0
    assert samples['valid'][0].all()
    sim.reset(None, FIRST_SEED)
    ends = [*samples['step'][1:], samples['step'][-1] + samples['valid'][-1].sum()]
    for sample, end in zip(samples, ends, strict=True):
        assert sim.steps == sample['step']
        state = sim.state(0).vector(META.state_names)
        # Recorded actions are float32: the paths part by rounding only.
        np.testing.assert_allclose(sample['state'], state, atol=1e-5)
        assert sample['valid'][: end - sim.steps].all()
        for *move, opening in sample['actions'][: end - sim.steps].astype(np.float64):
            sim.step_action(np.array([*(np.array(move) / STEP_M), 1.0 - 2.0 * opening]))
    assert sim.success


def test_chunks_overlap_consistently(recorded):
    samples = recorded(FIRST_SEED, 1.0)
    assert samples['actions'].shape[1] == HORIZON
    # From each sample to the last step: no chunk goes on after it.
    ends = (samples['step'] + samples['valid'].sum(axis=1))[
        samples['step'] > samples['step'][-1] - 25
    ]
    assert len(set(ends)) == 1 < len(ends)
    overlaps = 0
    for one, other in pairwise(samples):
        both = one['valid'][other['step'] - one['step'] :]
        found, expected = one['actions'][-len(both) :][both], other['actions'][: len(both)][both]
        np.testing.assert_array_equal(found, expected)
        overlaps += both.sum()
    assert overlaps > 500


def test_a_chunk_is_valid_up_to_the_disturbance(recorded):
    samples = recorded(FIRST_SEED + 1, 0.0)
    # While it is pushed the arm does not do what the clean actions say: one step counts.
    counts = samples['valid'].sum(axis=1)
    assert counts.min() == 1
    assert counts.max() == HORIZON
    for sample in samples:
        # Valid steps come first, without gaps.
        assert sample['valid'][: sample['valid'].sum()].all()


def test_noise_moves_the_arm_off_the_clean_path(recorded):
    clean = recorded(FIRST_SEED + 1, 1.0)
    noisy = recorded(FIRST_SEED + 1, 0.0)
    steps = min(len(clean), len(noisy))
    apart = np.linalg.norm(clean['state'][:steps, :3] - noisy['state'][:steps, :3], axis=1)
    assert apart.max() > 0.02


def test_an_interrupted_collection_goes_on_and_the_result_is_the_same(tmp_path):
    words = {TASK: 'Press a handle down'}
    assert len(list(collect(tmp_path, config(), words, workers=1))) == 2
    _, shards = open_shards(tmp_path)
    kept = [np.array(shard) for shard in shards]
    removed = shard_path(tmp_path, f'{TASK}-0001')
    removed.unlink()
    assert [name for name, _, _ in collect(tmp_path, config(), words, workers=1)] == [removed.stem]
    _, shards = open_shards(tmp_path)
    for before, after in zip(kept, shards, strict=True):
        assert before.tobytes() == after.tobytes()


def test_refuses_episodes_that_do_not_fill_the_shards():
    with pytest.raises(ConfigError, match='must be a multiple'):
        config(episodes_per_task=3, episodes_per_shard=2)
    with pytest.raises(ConfigError, match='image_share is 2'):
        config(image_share=2.0)


def test_the_command_can_collect_clean_episodes_whole(tmp_path):
    command = ['collect', str(tmp_path), '--tasks', TASK, '--clean', '--image-share', '1']
    assert main([*command, '--episodes', '2', '--shard', '2', '--workers', '1']) == 0
    _, (shard,) = open_shards(tmp_path)
    assert len(shard) > 80
    for number in np.unique(shard['episode']):
        episode = shard[shard['episode'] == number]
        np.testing.assert_array_equal(episode['step'], np.arange(len(episode)))
        # Valid to the last step of the episode: nothing in it was disturbed.
        left = len(episode) - episode['step']
        np.testing.assert_array_equal(episode['valid'].sum(axis=1), left.clip(max=HORIZON))


def test_names_the_damaged_shard(tmp_path):
    META.save(tmp_path)
    shard_path(tmp_path, 'reach-0000').write_bytes(b'\x93NUMPY and then nothing')
    with pytest.raises(DataError, match=r'reach-0000\.npy is damaged'):
        open_shards(tmp_path)


def test_refuses_a_folder_without_a_description_or_samples(tmp_path):
    with pytest.raises(DataError, match='is no data set: robomamba collect makes one'):
        open_shards(tmp_path)
    META.save(tmp_path)
    with pytest.raises(DataError, match='holds no samples'):
        open_shards(tmp_path)


def test_refuses_to_mix_two_data_sets_in_one_folder(tmp_path):
    META.save(tmp_path)
    with pytest.raises(DataError, match='give another folder'):
        metadata(('Close a drawer',)).save(tmp_path)
