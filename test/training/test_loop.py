"""Training: it learns, it resumes exactly, it refuses wrong settings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from robomamba_ros.data.demonstrations import (
    DatasetMeta,
    open_shards,
    sample_dtype,
    write_shard,
)
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.training.batches import BatchSampler
from robomamba_ros.training.config import TrainConfig, load_train_config, parse_settings
from robomamba_ros.training.loop import Trainer, learning_rate
from robomamba_ros.types import Observation
from robomamba_ros.vision.preprocess import CropResize

META = DatasetMeta(
    camera='front',
    crop=CropResize(source=32, left=0, top=0, side=32, target=32),
    state_names=('ee_x', 'gripper'),
    action_space='ee_delta',
    action_names=('ee_dx', 'gripper'),
    horizon=8,
    dt_ns=100_000_000,
    instructions=('go left', 'go right'),
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Eight samples: the instruction and the side of a bright square say which way to go."""
    folder = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    samples = np.zeros(8, sample_dtype(META))
    for number, sample in enumerate(samples):
        right, bright = number % 2, (number // 2) % 2
        sample['image'] = rng.integers(0, 60, (32, 32, 3))
        sample['image'][8:24, 4 + 16 * bright : 12 + 16 * bright] = 220
        sample['state'] = [0.1 * number, 1.0]
        sample['previous_state'] = [0.1 * number - 0.01, 1.0]
        sample['actions'][:, 0] = (0.01 if right else -0.01) * (2 if bright else 1)
        sample['actions'][:, 1] = np.linspace(0, 1, 8) if bright else 0.5
        sample['valid'] = True
        sample['instruction'] = right
    META.save(folder)
    write_shard(folder, 'a', samples)
    return folder


POLICY = """
policy: anolevla
cameras: [{name: any, height: 32, width: 32}]
state_names: [ee_x]
action_space: ee_delta
action_names: [ee_dx]
horizon: 50
dt_ns: 1
execute_steps: 10
vision: {keypoints: {image_size: 32, keypoints: 4}}
language: {vocabulary: 300, length: 16}
backbone: {d_model: 32, n_layer: 1, d_state: 4}
"""


def settings(data, output, **changes):
    policy = output / 'small.yaml'
    policy.parent.mkdir(exist_ok=True)
    policy.write_text(POLICY)
    config = TrainConfig(
        policy=str(policy),
        data=str(data),
        output=str(output),
        stage1_steps=3,
        stage2_steps=2,
        batch_size=4,
        warmup_steps=1,
        save_every=100,
        bfloat16=False,
        threads=1,
        # The made-up data does not say where anything is.
        localization_weight=0.0,
    )
    return replace(config, **changes)


def test_overfits_a_few_samples_through_the_saved_checkpoint(data, tmp_path):
    config = settings(
        data, tmp_path, stage1_steps=200, stage2_steps=50, batch_size=8, ema_decay=0.9, seed=1
    )
    history = list(Trainer(config).run())
    assert history[0].losses['velocity'] > 0.3
    assert history[-1].losses['velocity'] < 0.1
    assert [p.stage for p in history] == [1] * 200 + [2] * 50
    policy = load_policy(tmp_path / 'checkpoint')
    sample = np.load(data / 'a.npy')[3]
    observation = Observation(
        0, {'front': sample['image']}, sample['state'], sample['previous_state'], 'go right'
    )
    error = np.abs(policy.infer(observation).actions - sample['actions'])
    assert error[:, 0].mean() < 0.003
    assert error[:, 1].mean() < 0.1


def test_two_steps_and_a_resumed_rest_are_the_whole_run(data, tmp_path):
    whole = Trainer(settings(data, tmp_path / 'whole'))
    at_once = [p.losses for p in whole.run()]
    first = [p.losses for p in Trainer(settings(data, tmp_path / 'parts')).run(until=2)]
    resumed = Trainer(settings(data, tmp_path / 'parts'))
    assert resumed.step == 2
    assert first + [p.losses for p in resumed.run()] == at_once
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_refuses_to_resume_with_other_settings(data, tmp_path):
    list(Trainer(settings(data, tmp_path)).run(until=1))
    with pytest.raises(CheckpointError, match='other settings of learning_rate'):
        Trainer(settings(data, tmp_path, learning_rate=1e-4))


def test_the_second_stage_turns_the_acceleration_loss_on(data, tmp_path):
    """Same seed, same steps: only the objective differs, so the weights part at stage 2."""
    one = Trainer(settings(data, tmp_path / 'one', stage1_steps=2, stage2_steps=0))
    two = Trainer(settings(data, tmp_path / 'two', stage1_steps=1, stage2_steps=1))
    list(one.run())
    list(two.run())
    assert not torch.equal(one.network.head.weight, two.network.head.weight)
    same = Trainer(
        settings(data, tmp_path / 'same', stage1_steps=1, stage2_steps=1, acceleration_weight=0.0)
    )
    list(same.run())
    assert torch.equal(one.network.head.weight, same.network.head.weight)


def test_refuses_data_whose_images_the_policy_does_not_read(data, tmp_path):
    config = settings(data, tmp_path)
    path = tmp_path / 'small.yaml'
    path.write_text(path.read_text().replace('image_size: 32', 'image_size: 16'))
    with pytest.raises(ConfigError, match=r"images of 32 px, policy '.*' reads 16 px"):
        Trainer(config)


def test_emphasis_draws_an_instruction_more_often(data, tmp_path):
    meta, shards = open_shards(data)
    trainer = Trainer(settings(data, tmp_path))
    sampler = BatchSampler(
        meta, shards, trainer.tokenizer, trainer.normalization, 0, {'go right': 3.0}
    )
    right = trainer.tokenizer.encode('go right')
    drawn = sampler.batch(0, 400).instruction.numpy()
    share = (drawn == right).all(axis=1).mean()
    assert 0.68 < share < 0.82
    with pytest.raises(ConfigError, match="Did you mean 'go right'"):
        Trainer(settings(data, tmp_path, emphasis={'go rihgt': 2.0}))


def test_the_learning_rate_warms_up_and_falls_to_its_end(data, tmp_path):
    config = settings(data, tmp_path, stage1_steps=100, stage2_steps=0, warmup_steps=10)
    rates = [learning_rate(config, step) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == rates[9] == rates[10] == config.learning_rate
    assert rates[100] == pytest.approx(config.final_learning_rate)


def test_names_every_wrong_setting_at_once(tmp_path):
    path = tmp_path / 'run.yaml'
    path.write_text('output: out\nbatch_sise: 4\nlearning_rate: 1e-3\nthreads: -2\n')
    with pytest.raises(ConfigError) as caught:
        load_train_config(path, parse_settings(['batch_size=two', 'emphasis={go: often}']))
    message = str(caught.value)
    for part in ("Did you mean 'batch_size'", 'data: missing', 'write 1.0e-3', 'threads: -2'):
        assert part in message
    assert "batch_size: 'two' is not int" in message
    assert "go: 'often' is not float" in message


def test_a_setting_needs_an_equals_sign():
    with pytest.raises(ConfigError, match='write KEY=VALUE'):
        parse_settings(['n_layer'])
