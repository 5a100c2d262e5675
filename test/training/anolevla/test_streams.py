"""Training with a carried state: which samples make a sequence, and what the network does then."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.made_demonstrations import META, small_run, write_store

from robomamba_ros.language.instructions import Instructions
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.anolevla.policy import AnoleVLAPolicy
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.training.anolevla.batches import BatchReader
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.anolevla.objective import predict
from robomamba_ros.training.anolevla.samples import Samples
from robomamba_ros.training.anolevla.start import network_config, read_template
from robomamba_ros.training.anolevla.streams import Ticks
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
        streamed = predict(trainer.network, batch, 1)
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
        at_once = predict(network, reader.read(positions, present), 3).actions.numpy()
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
    trainer = Trainer(small_run(data, tmp_path, streaming=8, batch_size=16))
    valid = trainer._batch().valid.unflatten(0, (2, 8)).any(dim=2)
    assert valid[:, 0].all()
    assert not valid[:, 4:].any()
    assert [p.step for p in trainer.run(until=2)] == [1, 2]
