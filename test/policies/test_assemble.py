"""Published vision and language weights become a policy."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from robomamba_ros.cli.main import main
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.assemble import Sources, assemble
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.policies.base import fake_observation
from robomamba_ros.policies.registry import load_policy

transformers = pytest.importorskip('transformers', reason='SigLIP needs transformers')


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A whole SigLIP, its image tower alone, and a Mamba language model, as they are published."""
    folder = tmp_path_factory.mktemp('published')
    torch.manual_seed(0)
    tower = {
        'hidden_size': 32,
        'intermediate_size': 64,
        'num_hidden_layers': 2,
        'num_attention_heads': 2,
    }
    siglip = transformers.SiglipModel(
        transformers.SiglipConfig(
            text_config={**tower, 'vocab_size': 50},
            vision_config={**tower, 'image_size': 32, 'patch_size': 16},
        )
    )
    siglip.save_pretrained(folder / 'siglip')
    siglip.vision_model.save_pretrained(folder / 'tower')
    transformers.MambaForCausalLM(
        transformers.MambaConfig(
            vocab_size=304, hidden_size=32, num_hidden_layers=2, state_size=4, time_step_rank=2
        )
    ).save_pretrained(folder / 'mamba')
    words = ['Open a drawer', 'Push the puck']
    InstructionTokenizer.train(words, vocabulary=300, length=16).save(
        folder / 'mamba/tokenizer.json'
    )
    return folder


@pytest.fixture
def policy_file(tmp_path, documents):
    def write(**changes):
        path = tmp_path / 'policy.yaml'
        path.write_text(yaml.safe_dump({**documents['paper'], **changes}))
        return path

    return write


@pytest.fixture
def make(published, policy_file, tmp_path):
    def run(name, *, vision='siglip', mamba='mamba', changes=None, seed=0, dtype=torch.float32):
        config = read_config(policy_file(**(changes or {})), name)
        sources = Sources(published / vision, published / mamba)
        assemble(config, sources, tmp_path / name, seed=seed, dtype=dtype)
        return load_file(tmp_path / name / 'model.safetensors')

    return run


def test_every_published_weight_arrives_and_the_rest_starts_fresh(make, published):
    weights = make('one')
    siglip = load_file(published / 'siglip/model.safetensors')
    mamba = load_file(published / 'mamba/model.safetensors')
    expected = {
        f'vision.tower.{name.removeprefix("vision_model.")}': tensor
        for name, tensor in siglip.items()
        if name.startswith('vision_model.')
    }
    expected |= {
        name: tensor for name, tensor in mamba.items() if name.startswith('backbone.layers')
    }
    expected['backbone.norm_f.weight'] = mamba['backbone.norm_f.weight']
    expected['language.weight'] = mamba['backbone.embeddings.weight']
    assert len(expected) > 50
    for name, tensor in expected.items():
        assert torch.equal(weights[name], tensor), name
    fresh = {name.rpartition('.')[0] for name in weights if name not in expected}
    assert fresh == {'state', 'delta_state', 'vision.project', 'project', 'head'}
    assert torch.equal(weights['project.weight'], torch.eye(32))
    assert 0.05 < weights['head.weight'].std() < 0.2


def test_the_image_tower_alone_serves_as_well(make):
    whole, alone = make('whole'), make('alone', vision='tower')
    assert whole.keys() == alone.keys()
    assert all(torch.equal(whole[name], alone[name]) for name in whole)


def test_a_seed_fixes_the_fresh_layers_alone(make):
    one, same, other = make('one', seed=1), make('same', seed=1), make('other', seed=2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    different = {name for name in one if not torch.equal(one[name], other[name])}
    assert {name.rpartition('.')[0] for name in different} == {
        'state',
        'delta_state',
        'vision.project',
        'head',
    }


def test_the_command_writes_a_policy_that_runs(published, policy_file, tmp_path, capsys):
    scales = {'offset': [0.0] * 11, 'scale': [2.0] * 11}
    (tmp_path / 'scales.json').write_text(
        json.dumps({'state': scales, 'delta_state': scales, 'action': scales})
    )
    command = ['assemble', '--vision', published / 'siglip', '--mamba', published / 'mamba']
    command += ['--config', policy_file(), '--dtype', 'bfloat16']
    actions = {}
    for name, extra in (('plain', []), ('scaled', ['--normalization', tmp_path / 'scales.json'])):
        words = [*command, *extra, tmp_path / name]
        assert main([str(word) for word in words]) == 0
        policy = load_policy(tmp_path / name, dtype='bfloat16')
        seen = fake_observation(policy.spec)
        still = {'plain': seen.state, 'scaled': 2 * seen.state}[name]
        chunk = policy.infer(type(seen)(0, seen.images, still, still, 'open a drawer'))
        actions[name] = chunk.actions
    assert 'total' in capsys.readouterr().out
    np.testing.assert_allclose(actions['scaled'], 2 * actions['plain'], rtol=1e-6)
    stored = load_file(tmp_path / 'plain/model.safetensors')
    assert stored['backbone.layers.0.mixer.in_proj.weight'].dtype == torch.bfloat16
    assert stored['head.weight'].dtype == torch.float32


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        (
            {'backbone': {'d_model': 48, 'n_layer': 3, 'd_state': 4}},
            CheckpointError,
            r'd_model is 32, the policy has 48; n_layer is 2, the policy has 3',
        ),
        (
            {'language': {'vocabulary': 400, 'length': 16}},
            CheckpointError,
            'rows is 304, the policy has 400',
        ),
        ({'language': {'vocabulary': 100, 'length': 16}}, CheckpointError, 'has 100 rows'),
        (
            {'vision': {'siglip2': {'image_size': 32, 'patch_size': 8, 'hidden_size': 48}}},
            CheckpointError,
            'patch_size is 16, the policy has 8; hidden_size is 32',
        ),
        ({'vision': {'keypoints': {'image_size': 32}}}, ConfigError, 'sees by keypoints'),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, changes, error, message):
    with pytest.raises(error, match=message):
        make('wrong', changes=changes)


def test_directories_that_cannot_be_used_are_refused(make, published, tmp_path):
    with pytest.raises(CheckpointError, match=r"model_type 'mamba'.*siglip2-base-patch16-224"):
        make('swapped', vision='mamba')
    with pytest.raises(CheckpointError, match=r'no tokenizer .*siglip.*--tokenizer'):
        make('swapped', mamba='siglip')
    (published / 'empty').mkdir()
    with pytest.raises(CheckpointError, match=r'config\.json is missing; give the directory of'):
        make('none', vision='empty')
    for part, model in (('vision', 'SigLIP'), ('mamba', 'Mamba language')):
        missing = rf"no directory '.*nowhere'; give that of a {model} model"
        with pytest.raises(CheckpointError, match=missing):
            make('none', **{part: 'nowhere'})
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/notes.txt').write_text('mine')
    with pytest.raises(CheckpointError, match=r'full. is not an empty directory'):
        make('full')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'model_type': 'siglip2_vision_model'}, "'siglip2_vision_model', not siglip"),
        ({'hidden_act': 'quick_gelu'}, "hidden_act is 'quick_gelu', only 'gelu_pytorch_tanh'"),
        ({'image_size': [32, 32]}, r'image_size is \[32, 32\], not a whole number'),
        ({'image_size': 33}, 'no multiple of patch_size'),
    ],
)
def test_image_towers_of_other_makes_are_refused(make, published, tmp_path, change, message):
    folder = tmp_path / 'tower'
    folder.mkdir()
    raw = json.loads((published / 'tower/config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({**raw, **change}))
    (folder / 'model.safetensors').write_bytes((published / 'tower/model.safetensors').read_bytes())
    with pytest.raises(CheckpointError, match=message):
        make('odd', vision=folder)
