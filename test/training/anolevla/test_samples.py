"""Which samples a run learns from, which are held out, and how often each is drawn."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_demonstrations import META, small_run, write_store

from robomamba_ros.datasets.demonstrations import DatasetMeta, sample_dtype, write_shard
from robomamba_ros.errors import ConfigError
from robomamba_ros.training.anolevla.batches import BatchReader, BatchSampler, fit_normalization
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.anolevla.samples import Samples, hold_out, limit_episodes
from robomamba_ros.training.anolevla.sources import open_samples
from robomamba_ros.training.anolevla.wordings import Wordings


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Ten episodes of each instruction, three steps each."""
    return write_store(tmp_path_factory.mktemp('data'), episodes=20, steps=3)


def test_every_fifth_episode_of_each_instruction_is_held_out(data):
    samples, held_out = hold_out(Samples.load(data), 0.2)
    assert sorted(set(held_out.episode)) == [8, 9, 18, 19]
    assert len(samples) == 48
    assert not set(samples.episode) & set(held_out.episode)
    for part in (samples, held_out):
        rows = part.records(part.places)
        np.testing.assert_array_equal(rows['episode'], part.episode)
        np.testing.assert_array_equal(rows['step'], part.step)
        np.testing.assert_array_equal(part.column('state'), rows['state'])


@settings(deadline=None, max_examples=30)
@given(share=st.floats(0.05, 0.95), count=st.integers(20, 60), more=st.integers(0, 40))
def test_episodes_that_are_added_do_not_change_sides(share, count, more):
    def sides(episodes):
        numbers = np.arange(episodes)
        zeros = np.zeros(episodes, dtype=np.int64)
        samples = Samples(META, [], zeros, numbers * 3, zeros, zeros, numbers)
        return set(hold_out(samples, share)[1].row)

    before, after = sides(count), sides(count + more)
    assert before == {row for row in after if row < count}
    assert abs(len(before) - share * count) < 1


def test_a_run_can_be_kept_to_the_first_episodes_of_each_instruction(data):
    samples = limit_episodes(Samples.load(data), 4)
    assert samples.count_episodes() == {'go left': 4, 'go right': 4}
    assert sorted(set(samples.episode)) == list(range(8))


def test_a_share_that_holds_out_nothing_is_refused(data):
    with pytest.raises(ConfigError, match=r'holds out none of the data: .* has 10;'):
        hold_out(Samples.load(data), 0.05)


def test_scales_come_from_the_episodes_to_train_on_alone(data, tmp_path):
    config = small_run(data, tmp_path, validation_share=0.2)
    samples, _ = open_samples(config)
    expected = np.mean([0.1 * n for n in range(60) if n // 3 not in (8, 9, 18, 19)])
    assert Trainer(config).normalization.state.offset[0] == pytest.approx(expected, rel=1e-5)
    assert fit_normalization(samples) == Trainer(config).normalization


def test_another_store_can_be_what_is_held_out(data, tmp_path):
    other = write_store(tmp_path / 'other', episodes=2, steps=3)
    samples, held_out = open_samples(small_run(data, tmp_path, validation_data=str(other)))
    assert (len(samples), len(held_out)) == (60, 6)
    wrong = write_store(
        tmp_path / 'wrong', episodes=2, steps=3, meta=replace(META, dt_ns=50_000_000)
    )
    with pytest.raises(ConfigError, match=r'validation_data .*wrong differs from .* in dt_ns'):
        open_samples(small_run(data, tmp_path, validation_data=str(wrong)))


def test_emphasis_draws_an_instruction_more_often(data, tmp_path):
    config = small_run(data, tmp_path, batch_size=400)
    trainer = Trainer(config)
    samples, known = Samples.load(data), trainer.network.config.spec.instructions
    words = Wordings.of(config, known, samples.meta.instructions)
    reader = BatchReader(samples, trainer.tokenizer, trainer.normalization, words, trainer._device)
    sampler = BatchSampler(reader, replace(config, emphasis={'go right': 3.0}), None)
    right = trainer.tokenizer.encode('go right')
    drawn = sampler.batch(0).instruction.numpy()
    share = (drawn == right).all(axis=1).mean()
    assert 0.68 < share < 0.82
    with pytest.raises(ConfigError, match="Did you mean 'go right'"):
        Trainer(small_run(data, tmp_path, emphasis={'go rihgt': 2.0}))


def test_several_cameras_are_stored_and_trained_on(tmp_path):
    meta = replace(META, cameras=('front', 'wrist'), crops=META.crops * 2)
    data = write_store(tmp_path / 'data', episodes=4, steps=2, meta=meta)
    assert DatasetMeta.load(data) == meta
    trainer = Trainer(small_run(data, tmp_path / 'run'))
    assert [camera.name for camera in trainer.network.config.spec.cameras] == ['front', 'wrist']
    assert len(list(trainer.run(until=1))) == 1


def test_stores_of_before_several_cameras_are_read(data, tmp_path):
    """They described one camera by itself, and had its images without an axis for cameras."""
    samples = np.load(data / 'a.npy')
    former = np.dtype(
        [
            ('image', np.uint8, (32, 32, 3)),
            *((n, samples.dtype[n]) for n in samples.dtype.names[1:]),
        ]
    )
    write_shard(tmp_path, 'a', samples.view(former))
    text = (data / 'meta.json').read_text()
    now = '"cameras": [\n  "front"\n ],\n "crops": [\n'
    assert now in text
    head, tail = text.replace(now, '"camera": "front",\n "crop":').split('}\n ],')
    (tmp_path / 'meta.json').write_text(f'{head}}},{tail}')
    assert DatasetMeta.load(tmp_path) == META
    read = Samples.load(tmp_path)
    np.testing.assert_array_equal(read.records(read.places)['images'], samples['images'])
    # It can be added to, in the layout of now.
    META.save(tmp_path)
    write_shard(tmp_path, 'b', np.zeros(2, sample_dtype(META)))
    assert len(Samples.load(tmp_path)) == 62
