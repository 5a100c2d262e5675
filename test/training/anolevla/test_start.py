"""What a run begins with: published weights put together, or a policy trained before."""

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from support.made_demonstrations import META, small_run, write_store

from robomamba_ros.common.resources import find_file
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.assemble import Sources, assemble
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.anolevla.settings import load_train_config
from robomamba_ros.training.anolevla.start import read_template
from robomamba_ros.vision.efficientnet import EfficientNetConfig
from robomamba_ros.vision.encoders import KeypointConfig

TOWER = {
    'hidden_size': 32,
    'intermediate_size': 64,
    'num_hidden_layers': 2,
    'num_attention_heads': 2,
}
PAPER = {
    'policy': 'anolevla',
    'cameras': [{'name': 'front', 'height': 32, 'width': 32}],
    'state_names': ['ee_x', 'gripper'],
    'action_space': 'ee_delta',
    'action_names': ['ee_dx', 'gripper'],
    'horizon': 8,
    'dt_ns': 100_000_000,
    'execute_steps': 2,
    'vision': {'siglip2': {**TOWER, 'image_size': 32, 'patch_size': 16}},
    'language': {'vocabulary': 304, 'length': 16, 'project': True},
    'backbone': {'d_model': 32, 'n_layer': 2, 'd_state': 4},
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp('data'), episodes=20, steps=3)


@pytest.fixture(scope='module')
def assembled(tmp_path_factory):
    """The paper's parts, small, from directories as they are published."""
    transformers = pytest.importorskip('transformers', reason='SigLIP needs transformers')
    folder = tmp_path_factory.mktemp('published')
    torch.manual_seed(0)
    transformers.SiglipVisionModel(
        transformers.SiglipVisionConfig(**TOWER, image_size=32, patch_size=16)
    ).save_pretrained(folder / 'siglip')
    transformers.MambaForCausalLM(
        transformers.MambaConfig(
            vocab_size=304, hidden_size=32, num_hidden_layers=2, state_size=4, time_step_rank=2
        )
    ).save_pretrained(folder / 'mamba')
    InstructionTokenizer.train(['Open a drawer'], vocabulary=300, length=16).save(
        folder / 'mamba/tokenizer.json'
    )
    path = folder / 'policy.yaml'
    path.write_text(yaml.safe_dump(PAPER))
    sources = Sources(folder / 'siglip', folder / 'mamba')
    out = folder / 'anolevla'
    assemble(read_config(path, 'anolevla'), sources, out, seed=0, dtype=torch.bfloat16)
    return out


def paper_run(data, output, assembled, **changes):
    """Return the shipped run of the paper's settings, cut short."""
    settings = {'data': str(data), 'output': str(output), 'initial': str(assembled)}
    settings |= {'stage1_steps': 2, 'stage2_steps': 1, 'batch_size': 4, 'threads': 1}
    settings |= {'device': 'cpu', 'validation_every': 1}
    return load_train_config(find_file('training', 'anolevla_paper'), {**settings, **changes})


def test_the_papers_settings_are_a_named_run():
    config = load_train_config(find_file('training', 'anolevla_paper'), {})
    assert (config.stage1_steps, config.stage2_steps, config.batch_size) == (200_000, 200_000, 16)
    assert config.learning_rate == config.final_learning_rate == 1e-5
    assert (config.warmup_steps, config.weight_decay, config.ema_decay) == (0, 1e-2, 0.0)
    assert (config.validation_every, config.patience) == (1000, 10)
    assert config.localization_weight == 0.0


@pytest.mark.parametrize(
    'name',
    ['metaworld_mt10', 'metaworld_mt10_clean', 'metaworld_mt50', 'metaworld_mt50_paper', 'my_arm'],
)
def test_the_other_named_runs_name_a_policy_that_is_there(name):
    config = load_train_config(find_file('training', name), {})
    template = read_template(config)
    assert isinstance(template.vision, KeypointConfig | EfficientNetConfig)
    # The paper's data budget: nothing that only a simulator knows.
    clean = name in ('metaworld_mt10_clean', 'metaworld_mt50_paper', 'my_arm')
    assert (config.localization == 'demonstrations') == clean


def test_an_assembled_checkpoint_is_trained_and_runs(data, tmp_path, assembled):
    trainer = Trainer(paper_run(data, tmp_path / 'run', assembled))
    begun = load_file(assembled / 'model.safetensors')
    for name, value in trainer.network.state_dict().items():
        assert torch.equal(value, begun[name].float()), name
    assert trainer.fresh == ()
    history = list(trainer.run())
    assert [p.stage for p in history] == [1, 1, 2]
    assert all(p.error is not None for p in history)
    after = trainer.network.state_dict()
    still = {name for name in after if torch.equal(after[name], begun[name].float())}
    # The pooling head of SigLIP is carried along and computes nothing.
    assert all('tower.head' in name or 'language' in name for name in still)
    assert any('tower.head' in name for name in still)
    policy = load_policy(tmp_path / 'run/checkpoint')
    assert policy.spec.state_names == META.state_names
    tokens = InstructionTokenizer.load(tmp_path / 'run/checkpoint/tokenizer.json', 16)
    assert (
        tokens.vocabulary == InstructionTokenizer.load(assembled / 'tokenizer.json', 16).vocabulary
    )
    resumed = Trainer(paper_run(data, tmp_path / 'run', assembled))
    assert resumed.step == 3


def test_a_trained_policy_begins_a_run_on_another_robot(data, tmp_path):
    """Layers that read other channels, or give other actions, begin afresh; the rest is kept."""
    list(Trainer(small_run(data, tmp_path / 'first')).run(until=1))
    first = tmp_path / 'first/checkpoint'
    path = first / 'config.yaml'
    path.write_text(path.read_text().replace('- ee_dx', '- ee_dy'))
    trainer = Trainer(small_run(data, tmp_path / 'second', initial=str(first)))
    assert trainer.fresh == ('head.',)
    before, after = load_file(first / 'model.safetensors'), trainer.network.state_dict()
    other = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert other == {'head.weight', 'head.bias'}
    assert trainer.network.config.spec.action_names == META.action_names


def test_what_cannot_begin_a_run_is_refused(data, tmp_path, assembled):
    with pytest.raises(ConfigError, match='set localization_weight: 0'):
        Trainer(paper_run(data, tmp_path / 'run', assembled, localization_weight=0.1))
    with pytest.raises(CheckpointError, match='nowhere'):
        Trainer(paper_run(data, tmp_path / 'run', tmp_path / 'nowhere'))
    list(Trainer(small_run(data, tmp_path / 'first')).run(until=1))
    path = tmp_path / 'first/checkpoint/model.safetensors'
    weights = load_file(path)
    del weights['head.bias']
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r'head\.bias: missing'):
        Trainer(small_run(data, tmp_path / 'again', initial=str(path.parent)))
