"""Training with a carried state: which samples make a sequence, and what the network does then."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.made_demonstrations import META, small_run, write_store

from robomamba_ros.errors import ConfigError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.anolevla.policy import AnoleVLAPolicy
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.training.anolevla.batches import BatchReader
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.anolevla.objective import predict
from robomamba_ros.training.anolevla.samples import Samples
from robomamba_ros.training.anolevla.start import network_config, read_template
from robomamba_ros.training.anolevla.streams import Lanes, Ticks
from robomamba_ros.training.anolevla.wordings import Wordings
from robomamba_ros.types import Observation


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp('data'), episodes=4, steps=7)


def made_of(*steps_of_episodes):
    steps = np.concatenate(steps_of_episodes)
    episode = np.repeat(np.arange(len(steps_of_episodes)), [len(s) for s in steps_of_episodes])
    zeros = np.zeros(len(steps), dtype=np.int64)
    # Not in order, as shards may have them.
    mixed = np.random.default_rng(0).permutation(len(steps))
    samples = Samples(META, [], zeros, episode, steps, zeros, zeros)
    return replace(samples, episode=episode[mixed], step=steps[mixed])


def at(samples, episode, step):
    return np.flatnonzero((samples.episode == episode) & (samples.step == step))


def test_ticks_are_one_spacing_apart_or_more_and_end_with_the_episode():
    samples = made_of([0, 1, 2, 3, 4, 5, 6, 7], [0, 3, 4, 9])
    ticks = Ticks(samples, 3)
    starts = np.concatenate([at(samples, 0, 0), at(samples, 0, 1), at(samples, 1, 0)])
    positions, present = ticks.follow(starts, 4)
    assert samples.step[positions].tolist() == [[0, 3, 6, 6], [1, 4, 7, 7], [0, 3, 9, 9]]
    assert present.tolist() == [[True] * 3 + [False]] * 3
    assert (samples.episode[positions] == samples.episode[starts][:, None]).all()


def test_a_sequence_can_begin_some_ticks_earlier_but_not_before_the_episode():
    samples = made_of([0, 1, 2, 3, 4, 5, 6, 7], [2, 3, 9])
    ticks = Ticks(samples, 3)
    late, first = at(samples, 0, 7)[0], at(samples, 1, 3)[0]
    back = ticks.back(np.array([late, late, late, late, first]), np.array([0, 1, 2, 3, 1]))
    assert samples.step[back].tolist() == [7, 4, 1, 0, 2]
    assert samples.episode[back].tolist() == [0, 0, 0, 0, 1]


def test_windows_cover_each_episode_from_its_start():
    samples = made_of(list(range(10)), [4, 5, 6, 8])
    starts = Ticks(samples, 2).windows(2)
    found = sorted(zip(samples.episode[starts], samples.step[starts], strict=True))
    assert found == [(0, 0), (0, 4), (0, 8), (1, 4), (1, 8)]


def test_one_tick_is_ordinary_training(data, tmp_path):
    trainer = Trainer(small_run(data, tmp_path))
    batch = trainer._batch()
    with torch.no_grad():
        ordinary = trainer.network(batch.images, batch.state, batch.delta_state, batch.instruction)
        streamed, _ = predict(trainer.network, batch, 1)
    assert torch.equal(streamed.actions, ordinary.actions)


@pytest.mark.parametrize('first', ['state', 'language'])
def test_a_streamed_forward_pass_is_the_policys_own_stream(data, tmp_path, first):
    """The same frames: all at once in training, tick by tick on a robot."""
    config = small_run(data, tmp_path)
    path = tmp_path / 'small.yaml'
    order = [first, *(p for p in ('state', 'delta_state', 'vision', 'language') if p != first)]
    path.write_text(path.read_text() + f'token_order: {order}\n')
    samples = Samples.load(data)
    tokenizer = InstructionTokenizer.train(META.instructions, 300, 16)
    torch.manual_seed(0)
    known = Instructions.of(META.instructions)
    template = read_template(config)
    network = AnoleVLA(network_config(config, template, META, known, tokenizer.vocabulary))
    with torch.no_grad():
        for layer in network.backbone.layers:  # or what is remembered would not reach the actions
            layer.mixer.dt_proj.bias.add_(2.0)
            layer.mixer.A_log.sub_(4.0)
    scales = Normalization.identity(network.config.spec)
    words = Wordings.of(config, known, META.instructions)
    reader = BatchReader(samples, tokenizer, scales, words, torch.device('cpu'))
    starts = np.concatenate([at(samples, 1, 0), at(samples, 2, 1)])
    positions, present = Ticks(samples, 2).follow(starts, 3)
    with torch.no_grad():
        at_once = predict(network, reader.read(positions, present), 3)[0].actions.numpy()
    policy = AnoleVLAPolicy(network, tokenizer, scales, cache='stream')
    chunks = []
    for sequence in positions:
        policy.reset()
        for row in samples.records(sequence):
            said = META.instructions[row['instruction']]
            images = {'front': row['images'][0]}
            seen = Observation(0, images, row['state'], row['previous_state'], said)
            chunks.append(policy.infer(seen).actions)
    np.testing.assert_allclose(at_once, np.stack(chunks), atol=2e-5)
    alone = AnoleVLAPolicy(network, tokenizer, scales, cache='none')
    assert np.abs(alone.infer(seen).actions - chunks[-1]).max() > 1e-3


def test_ticks_past_the_end_of_an_episode_do_not_count(data, tmp_path):
    """A sequence of eight ticks: episodes have four, so half of what is drawn counts, or less."""
    weights = {'localization_weight': 0.2, 'heat_weight': 0.02}
    trainer = Trainer(small_run(data, tmp_path, streaming=8, batch_size=16, **weights))
    valid = trainer._batch().valid.unflatten(0, (2, 8)).any(dim=2)
    assert valid[:, 0].all()
    assert not valid[:, 4:].any()
    steps = list(trainer.run(until=2))
    assert [p.step for p in steps] == [1, 2]
    assert all(np.isfinite(p.losses['heat']) and p.losses['heat'] > 0.0 for p in steps)


def lanes(samples, **changes):
    settings = {'batch_size': 4, 'streaming': 2, 'stream_segments': 3, **changes}
    config = TrainConfig(data='', output='', **settings)
    sequences = config.batch_size // config.streaming
    return Lanes(Ticks(samples, 2), config, lambda rng: rng.integers(0, len(samples), sequences))


def test_sequences_go_on_from_step_to_step_and_another_follows_one_that_has_ended():
    """Episodes of five and of three ticks, in sequences of six: three steps of two."""
    samples = made_of(list(range(10)), list(range(20, 26)))
    made = lanes(samples, batch_size=40)
    went_on = ended = 0
    for step in range(1, 12):
        before, now = made.segment(step - 1), made.segment(step)
        assert all(map(np.array_equal, now, made.segment(step)))
        if step % 3 == 0:
            assert now.begins.all()
            continue
        for row, begins in enumerate(now.begins):
            last, first = before.positions[row, -1], now.positions[row, 0]
            if begins:
                ended += 1
                assert not before.present[row, -1] or samples.step[last] in (8, 9, 24, 25)
            else:
                went_on += 1
                assert samples.episode[first] == samples.episode[last]
                assert samples.step[first] == samples.step[last] + 2
            assert now.present[row, 0]
    assert min(went_on, ended) > 20


def test_some_sequences_are_left_at_random():
    samples = made_of(list(range(100)), list(range(100)))
    shares = []
    for share in (0.0, 0.5, 1.0):
        made = lanes(samples, batch_size=200, stream_resets=share)
        late = samples.step[made.segment(0).positions[:, -1]] + 2 > 99
        shares.append(made.segment(1).begins[~late].mean())
    assert shares[0] == 0.0
    assert 0.3 < shares[1] < 0.7
    assert shares[2] == 1.0


@pytest.mark.parametrize('first', ['state', 'language'])
def test_a_state_that_is_handed_on_is_that_of_one_long_sequence(data, tmp_path, first):
    """Two sequences of four ticks; in the second half another begins in the second lane."""
    config = small_run(data, tmp_path, streaming=2, stream_segments=2)
    path = tmp_path / 'small.yaml'
    order = [first, *(p for p in ('state', 'delta_state', 'vision', 'language') if p != first)]
    path.write_text(path.read_text() + f'token_order: {order}\n')
    trainer = Trainer(config)
    reader, samples = trainer._sampler._reader, trainer._sampler._reader.samples
    ticks = Ticks(samples, 2)
    starts = np.array([at(samples, 1, 0)[0], at(samples, 2, 0)[0]])
    positions, present = ticks.follow(starts, 4)
    other, _ = ticks.follow(np.array([at(samples, 3, 1)[0]]), 2)
    late = np.stack([positions[0, 2:], other[0]])
    with torch.no_grad():
        whole, _ = predict(trainer.network, reader.read(positions, present), 4)
        alone, _ = predict(trainer.network, reader.read(other, present[:1, :2]), 2)
        batch = reader.read(positions[:, :2], present[:, :2])
        early, state = predict(trainer.network, batch, 2)
        batch = reader.read(late, present[:, :2])._replace(begins=torch.tensor([False, True]))
        rest, _ = predict(trainer.network, batch, 2, state)
    torch.testing.assert_close(
        early.actions.unflatten(0, (2, 2)), whole.actions.unflatten(0, (2, 4))[:, :2]
    )
    torch.testing.assert_close(rest.actions[:2], whole.actions[2:4])
    torch.testing.assert_close(rest.actions[2:], alone.actions)


def test_what_is_not_there_is_not_looked_at(data, tmp_path):
    trainer = Trainer(small_run(data, tmp_path, streaming=8, batch_size=16))
    seen = []
    trainer.network.vision.register_forward_hook(
        lambda part, given, out: seen.append(len(given[0]))
    )
    batch = trainer._batch()
    predict(trainer.network, batch, 8)
    assert seen == [int(batch.present.sum())]
    assert seen[0] <= 8


def test_a_carried_state_belongs_to_one_process(data, tmp_path):
    config = small_run(data, tmp_path, streaming=2, stream_segments=2)
    config.check_processes(1)
    with pytest.raises(ConfigError, match='only one process keeps the state'):
        config.check_processes(2)
    with pytest.raises(ConfigError, match='needs streaming of 2'):
        replace(config, streaming=1)
