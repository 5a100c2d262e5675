"""AnoleVLA behind the Policy contract, and its checkpoint directory."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from robomamba_ros.errors import (
    BackendError,
    CheckpointError,
    ConfigError,
    ObservationError,
)
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla import TOKEN_ORDER, AnoleVLA, AnoleVLAConfig
from robomamba_ros.policies.normalization import Affine, Normalization
from robomamba_ros.policies.registry import CONFIG, WEIGHTS, load_policy, save_anolevla
from robomamba_ros.types import ActionSpace, Observation
from robomamba_ros.vision.preprocess import CropResize

WORDS = ('Open a drawer', 'Push the puck to a goal')
ACTION = Affine(offset=(0.0, 0.0, 0.0, 0.5), scale=(0.01, 0.01, 0.01, 0.5))


def small_config(**changes):
    config = AnoleVLAConfig(
        cameras=('front',),
        crop=CropResize(source=64, left=0, top=0, side=64, target=32),
        state_names=('ee_x', 'ee_y', 'ee_z', 'gripper'),
        action_space=ActionSpace.EE_DELTA,
        action_names=('ee_dx', 'ee_dy', 'ee_dz', 'gripper'),
        horizon=50,
        dt_ns=12_500_000,
        execute_steps=10,
        vocabulary=300,
        instruction_length=16,
        d_model=32,
        n_layer=2,
        d_state=4,
        keypoints=4,
        d_condition=8,
    )
    return replace(config, **changes)


def write_checkpoint(folder, **changes):
    torch.manual_seed(0)
    tokenizer = InstructionTokenizer.train(WORDS, vocabulary=300, length=16)
    config = small_config(vocabulary=tokenizer.vocabulary, **changes)
    network = AnoleVLA(config)
    unit = Affine(offset=(0.0,) * 4, scale=(1.0,) * 4)
    scales = Normalization(state=unit, delta_state=unit, action=ACTION)
    save_anolevla(folder, config, network.state_dict(), tokenizer, scales)
    return network


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / 'small'
    write_checkpoint(folder)
    return folder


def observe(**changes):
    rng = np.random.default_rng(0)
    observation = Observation(
        stamp_ns=7_000,
        images={'front': rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)},
        state=np.array([0.0, 0.6, 0.2, 1.0], np.float32),
        previous_state=np.array([0.0, 0.59, 0.2, 1.0], np.float32),
        instruction=WORDS[0],
    )
    return replace(observation, **changes)


def test_one_forward_pass_gives_a_chunk_in_physical_units(checkpoint):
    chunk = load_policy(checkpoint).infer(observe())
    assert chunk.actions.shape == (50, 4)
    assert chunk.stamp_ns == 7_000
    assert chunk.end_ns == 7_000 + 50 * 12_500_000
    # An untrained head gives small numbers around 0 on the unit scale.
    assert np.abs(chunk.actions[:, :3]).max() < 0.05
    assert np.abs(chunk.channel('gripper') - 0.5).max() < 1.0


def test_the_same_observation_gives_the_same_chunk_also_after_others(checkpoint):
    policy = load_policy(checkpoint)
    first = policy.infer(observe())
    policy.infer(observe(instruction=WORDS[1]))
    policy.reset()
    assert np.array_equal(policy.infer(observe()).actions, first.actions)


@pytest.mark.parametrize(
    'change',
    [
        {'instruction': WORDS[1]},
        {'images': {'front': np.zeros((64, 64, 3), np.uint8)}},
        {'state': np.array([0.1, 0.6, 0.2, 1.0], np.float32)},
        {'previous_state': np.array([0.0, 0.6, 0.2, 1.0], np.float32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_input_reaches_the_action_head(checkpoint, change):
    policy = load_policy(checkpoint)
    # The image encoder starts as an identity around its blocks; any weights will do here.
    before = policy.infer(observe()).actions
    assert not np.array_equal(policy.infer(observe(**change)).actions, before)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'images': {}}, "needs the camera 'front'; present: none"),
        (
            {'images': {'front': np.zeros((48, 64, 3), np.uint8)}},
            r"camera 'front' gives \(48, 64, 3\)",
        ),
        ({'images': {'front': np.zeros((64, 64, 3), np.float32)}}, 'uint8 RGB'),
        ({'state': np.zeros(3, np.float32)}, 'needs the 4 channels ee_x, ee_y'),
        ({'state': np.array([0, np.nan, 0, 0], np.float32)}, "channel 'ee_y' is not finite"),
        ({'instruction': 'really ' * 20}, 'Say it in fewer words'),
    ],
)
def test_refuses_what_it_cannot_use_by_name(checkpoint, change, message):
    with pytest.raises(ObservationError, match=message):
        load_policy(checkpoint).infer(observe(**change))


def test_the_token_order_is_configuration(tmp_path):
    write_checkpoint(tmp_path / 'language_first', token_order=('language', *TOKEN_ORDER[:3]))
    write_checkpoint(tmp_path / 'paper')
    a, b = (load_policy(tmp_path / name).infer(observe()) for name in ('language_first', 'paper'))
    assert not np.array_equal(a.actions, b.actions)
    with pytest.raises(ConfigError, match='must hold each of'):
        small_config(token_order=('state', 'vision', 'language', 'language'))


def test_names_what_a_directory_lacks(tmp_path, checkpoint):
    (checkpoint / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r'lacks model\.safetensors'):
        load_policy(checkpoint)
    with pytest.raises(CheckpointError, match='is not a checkpoint'):
        load_policy(tmp_path / 'nowhere')


def test_names_every_tensor_that_does_not_fit_at_once(checkpoint):
    weights = load_file(checkpoint / WEIGHTS)
    weights['head.weight'] = weights['head.weight'][:-1].clone()
    del weights['head.bias']
    weights['extra'] = torch.zeros(1)
    save_file(weights, checkpoint / WEIGHTS)
    with pytest.raises(CheckpointError) as caught:
        load_policy(checkpoint)
    message = str(caught.value)
    assert 'head.weight: shape (199, 32), expected (200, 32)' in message
    assert 'head.bias: missing' in message
    assert 'extra: not part of this model' in message


def test_refuses_truncated_weights(checkpoint):
    path = checkpoint / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='cannot be read'):
        load_policy(checkpoint)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('horizn', 50, "Did you mean 'horizon'"),
        ('action_space', 'ee_dleta', 'ee_dleta'),
        ('policy', 'anole', "Did you mean 'anolevla'"),
        ('crop', {'source': 64}, 'does not describe'),
    ],
)
def test_refuses_a_wrong_configuration_by_key(checkpoint, key, value, message):
    raw = yaml.safe_load((checkpoint / CONFIG).read_text())
    raw[key] = value
    (checkpoint / CONFIG).write_text(yaml.safe_dump(raw))
    with pytest.raises(CheckpointError, match=message):
        load_policy(checkpoint)


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_a_device_that_is_not_there_is_refused_not_replaced(checkpoint):
    with pytest.raises(BackendError, match="'cuda' was asked for"):
        load_policy(checkpoint, device='cuda')
    with pytest.raises(BackendError, match="'gpu' is not a device"):
        load_policy(checkpoint, device='gpu')
