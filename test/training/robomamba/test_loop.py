"""RoboMamba's stages: each learns, changes nothing it should not, and goes on exactly."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from robomamba_ros.datasets.conversations import Conversation, Turn, conversations_document
from robomamba_ros.datasets.poses import (
    PoseSample,
    read_image,
    read_poses,
    write_image,
    write_samples,
)
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.policies.robomamba.network import rotation_from_directions
from robomamba_ros.policies.robomamba.prompts import Prompts
from robomamba_ros.training.robomamba.batches import (
    BatchOrder,
    Images,
    PoseBatches,
    conversation_tokens,
)
from robomamba_ros.training.robomamba.config import (
    DEFAULTS,
    STAGES,
    RoboMambaTraining,
    load_robomamba_training,
)
from robomamba_ros.training.robomamba.loop import RoboMambaTrainer
from robomamba_ros.training.robomamba.losses import patch_loss

pytest.importorskip('transformers', reason='CLIP needs transformers: pip install transformers')

SIDE, TASK, QUESTION = 28, 'push it', 'which colour is it?'
COLOURS = {'red': (220, 30, 30), 'blue': (30, 30, 220)}
POLICY = """
policy: robomamba
vision:
  camera: {name: front, height: 28, width: 28}
  clip: {image_size: 28, patch_size: 7, hidden_size: 32, intermediate_size: 64,
         num_hidden_layers: 1, num_attention_heads: 2}
  connector: 32
language:
  vocab_size: 300
  vocab_rows: 300
  tied: true
  backbone: {d_model: 32, n_layer: 1, d_state: 4, d_conv: 4, expand: 2, dt_rank: 2,
             norm_epsilon: 1.0e-5}
head: {widths: [32, 32]}
approach: {pre_contact_m: 0.15, contact_m: 0.10, retreat_m: 0.5}
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Pictures of a square: its place is the contact, its colour the answer."""
    folder = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    samples, talks = [], []
    for number, (row, column) in enumerate([(2, 2), (2, 18), (18, 3), (17, 17)]):
        name = list(COLOURS)[number % 2]
        picture = np.full((SIDE, SIDE, 3), 120, np.uint8)
        picture[row : row + 8, column : column + 8] = COLOURS[name]
        path = folder / 'images' / f'{number}.png'
        write_image(path, picture)
        square, _ = np.linalg.qr(rng.normal(size=(3, 2)))
        samples.append(
            PoseSample(path, TASK, np.array([column + 4.0, row + 4.0]), square.T.reshape(6))
        )
        talks.append(Conversation(path, (Turn(QUESTION, name),)))
    talks.append(Conversation(None, (Turn('who are you?', 'a robot'),)))
    write_samples(folder / 'poses' / 'a.jsonl', samples, folder)
    (folder / 'talks').mkdir()
    (folder / 'talks' / 'a.json').write_text(conversations_document(talks, folder))
    (folder / 'tiny.yaml').write_text(POLICY)
    return folder


def settings(data, output, stages, **changes):
    config = RoboMambaTraining(
        start=str(data / 'tiny.yaml'),
        output=str(output),
        stages=stages,
        poses=str(data),
        conversations=str(data / 'talks'),
        threads=1,
    )
    torch.set_num_threads(1)
    return replace(config, **changes)


def stage(name, **changes):
    return {name: replace(DEFAULTS[name], batch_size=4, conversation_batch=4, **changes)}


@pytest.fixture(scope='module')
def learnt(data, tmp_path_factory):
    """Stage 0 on the pictures, until it knows them."""
    output = tmp_path_factory.mktemp('runs')
    config = settings(
        data,
        output,
        stage('0', epochs=200, learning_rate=1e-2, contact_weight=3.0, localization_weight=0.1),
    )
    return list(RoboMambaTrainer(config).run()), output / 'stage-0' / 'checkpoint'


def test_from_scratch_it_learns_contacts_directions_and_answers(data, learnt):
    history, checkpoint = learnt
    assert history[0].losses['answer'] > 3.0
    policy = load_policy(checkpoint, cache='prefix')
    for number, sample in enumerate(read_poses(data)):
        image = read_image(sample.image)
        found = policy.contact(image, TASK)
        assert np.abs(found.pixel - sample.contact).max() < 0.5
        expected = rotation_from_directions(torch.from_numpy(sample.directions)).numpy()
        cosine = (np.trace(found.rotation.T @ expected) - 1) / 2
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 5
        assert policy.answer(image, QUESTION) == list(COLOURS)[number % 2]
    assert policy.answer(None, 'who are you?') == 'a robot'


@pytest.mark.parametrize(
    ('name', 'losses'),
    [('1.1', {'answer'}), ('1.2', {'answer'}), ('2', {'contact', 'direction'})],
)
def test_a_stage_learns_again_what_its_part_forgot_and_changes_nothing_else(
    data, learnt, tmp_path, name, losses
):
    _, checkpoint = learnt
    start = tmp_path / 'forgetful'
    shutil.copytree(checkpoint, start)
    before = load_file(checkpoint / 'model.safetensors')
    rng = torch.Generator().manual_seed(0)
    for key, value in before.items():
        if key.startswith(STAGES[name].trains):
            value += 0.3 * torch.randn(value.shape, generator=rng)
    save_file(before, start / 'model.safetensors')
    config = settings(data, tmp_path, stage(name, epochs=100, learning_rate=1e-2), start=str(start))
    history = list(RoboMambaTrainer(config).run())
    assert set(history[0].losses) == losses
    for loss in losses:
        first = np.mean([at.losses[loss] for at in history[:2]])
        assert np.mean([at.losses[loss] for at in history[-4:]]) < 0.5 * first
    after = load_file(tmp_path / f'stage-{name}' / 'checkpoint' / 'model.safetensors')
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {key for key in before if key.startswith(STAGES[name].trains)}
    # The conversation about no image makes a batch of its own, where words are learnt at all.
    assert len(history) == 100 * (2 if name == '1.2' else 1)


@pytest.mark.parametrize('name', list(STAGES))
def test_steps_and_a_resumed_rest_are_the_whole_run(data, tmp_path, name):
    config = settings(data, tmp_path / 'whole', stage(name, epochs=3))
    whole = RoboMambaTrainer(config)
    at_once = [at.losses for at in whole.run()]
    parts = replace(config, output=str(tmp_path / 'parts'))
    first = [at.losses for at in RoboMambaTrainer(parts).run(until=2)]
    assert first + [at.losses for at in RoboMambaTrainer(parts).run()] == at_once
    files = [
        tmp_path / run / f'stage-{name}' / 'checkpoint' / 'model.safetensors'
        for run in ('whole', 'parts')
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    lines = (tmp_path / 'parts' / f'stage-{name}' / 'metrics.jsonl').read_text().splitlines()
    assert json.loads(lines[-1])['step'] == len(at_once)
    starts = json.loads((tmp_path / 'parts' / f'stage-{name}' / 'run.json').read_text())['starts']
    assert [start['step'] for start in starts] == [0, 2]
    assert {start['poses_left_out'] for start in starts} == {0}


def test_stages_follow_each_other(data, tmp_path):
    stages = {k: v for name in ('0', '1.1', '2') for k, v in stage(name, epochs=1).items()}
    config = settings(data, tmp_path, stages)
    assert [at.stage for at in RoboMambaTrainer(config).run()] == ['0', '1.1', '2']
    first, last = (
        load_file(tmp_path / f'stage-{name}' / 'checkpoint' / 'model.safetensors')
        for name in ('0', '2')
    )
    # What stage 0 saw goes through the later ones untouched.
    seen = [name for name in first if name.startswith('vision.clip.')]
    assert all(torch.equal(first[name], last[name]) for name in seen)
    assert not torch.equal(first['vision.connector.0.weight'], last['vision.connector.0.weight'])
    # All is done: nothing is left to run.
    assert list(RoboMambaTrainer(config).run()) == []


def test_a_network_without_a_head_gets_the_papers(data, tmp_path):
    document = yaml.safe_load(POLICY)
    del document['head'], document['approach']
    path = tmp_path / 'headless.yaml'
    path.write_text(yaml.safe_dump(document))
    config = settings(data, tmp_path / 'a', stage('1.1', epochs=1), start=str(path))
    trainer = RoboMambaTrainer(config)
    list(trainer.run())
    headless = str(trainer.checkpoint)
    config = settings(data, tmp_path / 'b', stage('2', epochs=1), start=headless)
    trainer = RoboMambaTrainer(config)
    assert trainer.stage('2', headless).network.config.head == (8, 4)
    list(trainer.run())
    assert load_policy(trainer.checkpoint).network.head is not None


def test_refuses_to_resume_with_other_settings_and_to_begin_blind(data, tmp_path):
    config = settings(data, tmp_path, stage('2', epochs=1))
    list(RoboMambaTrainer(config).run(until=1))
    other = replace(config, stages=stage('2', epochs=1, learning_rate=1e-2))
    with pytest.raises(CheckpointError, match='other settings of learning_rate'):
        list(RoboMambaTrainer(other).run())
    document = yaml.safe_load(POLICY)
    del document['vision'], document['head'], document['approach']
    path = tmp_path / 'blind.yaml'
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match="'blind' has no vision"):
        list(RoboMambaTrainer(replace(config, start=str(path), output=str(tmp_path / 'c'))).run())


def test_only_answers_are_to_be_said():
    prompts = Prompts(TextTokenizer.train(['<|user|> a b\n<|assistant|> c\n'], 270))
    talk = Conversation(None, (Turn('a', 'b'), Turn('c', 'd')))
    tokens, is_answer = conversation_tokens(prompts, talk)
    answers = [prompts.answer(answer) for answer in 'bd']
    assert [t for t, own in zip(tokens, is_answer, strict=True) if own] == answers[0] + answers[1]
    first = prompts.opening + prompts.question('a') + answers[0]
    assert tokens == first + prompts.opening + prompts.question('c') + answers[1]


def test_an_epoch_draws_everything_once_and_mixes_no_kinds():
    kinds = [0, 1, 0, 0, 1, 0, 0]
    order = BatchOrder(kinds, 2, seed=3)
    assert order.per_epoch == 4
    first, second = ([order(step) for step in range(n, n + 4)] for n in (0, 4))
    for epoch in (first, second):
        assert sorted(index for batch in epoch for index in batch) == list(range(7))
        assert all(len({kinds[index] for index in batch}) == 1 for batch in epoch)
    assert first != second
    assert BatchOrder(kinds, 2, seed=3)(6) == second[2]


def test_what_lies_outside_the_square_is_left_out(tmp_path):
    image = tmp_path / 'wide.png'
    write_image(image, np.zeros((20, 40, 3), np.uint8))
    directions = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    samples = [PoseSample(image, TASK, np.array([x, 5.0]), directions) for x in (4.0, 25.0)]
    prompts = Prompts(TextTokenizer.train([TASK], 270))
    batches = PoseBatches(samples, Images(14), prompts, 4, 0)
    assert batches.left_out == 1
    # The square begins at column 10: 15 of its 20 columns are left of the contact.
    torch.testing.assert_close(batches.batch(0).contact, torch.tensor([[0.75, 0.25]]))


def test_the_patch_with_the_contact_is_to_be_marked():
    marks = torch.zeros(1, 4, 3)
    contact = torch.tensor([[0.75, 0.25]])  # the second of two by two, in its middle
    marks[0, 1] = torch.tensor([20.0, 0.5, 0.5])
    assert patch_loss(marks, contact).item() < 1e-6
    marks[0, 1, 1] = 0.9
    assert patch_loss(marks, contact).item() == pytest.approx(0.2, abs=1e-5)
    assert patch_loss(marks, torch.tensor([[0.25, 0.25]])).item() > 19.0
    assert torch.isfinite(patch_loss(marks, torch.tensor([[1.0, 1.0]])))


def test_the_papers_settings_are_the_defaults():
    assert (DEFAULTS['1.1'].epochs, DEFAULTS['1.2'].epochs, DEFAULTS['2'].epochs) == (1, 2, 8)
    assert DEFAULTS['1.1'].learning_rate == DEFAULTS['1.2'].learning_rate == 4e-5
    assert (DEFAULTS['2'].learning_rate, DEFAULTS['2'].weight_decay) == (1e-5, 0.1)


def test_reads_the_shipped_runs_and_names_every_wrong_setting(tmp_path):
    from robomamba_ros.common.resources import find_file

    for name in ('robomamba', 'robomamba_small'):
        config = load_robomamba_training(find_file('training', name), {'output': 'here'})
        assert config.output == 'here'
        assert config.stages['1.1'].epochs == 1
    path = tmp_path / 'run.yaml'
    path.write_text(
        'start: x\noutput: y\nseeds: 3\ndtype: half\nconversations: talks\n'
        "stages: {'1.1': {epoch: 2, learning_rate: -1}, '3': {}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_robomamba_training(path, {})
    for said in ("mean 'seed'", "dtype: found 'half'", "mean 'epochs'", 'found -1', 'stages.3'):
        assert said in str(caught.value)
    path.write_text("start: x\noutput: y\nstages: {'2': {}}\n")
    with pytest.raises(ConfigError, match='stage 2 learns from poses'):
        load_robomamba_training(path, {})
