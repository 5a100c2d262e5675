import json
import pickle

import pytest
import torch
from safetensors.torch import save_file
from support.made_pickle import Code

from robomamba_ros.errors import CheckpointError
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.checkpoint import load_language_model
from robomamba_ros.mamba.generation import generate
from robomamba_ros.mamba.language_model import LanguageModelConfig, MambaLanguageModel

SIZES = MambaConfig(d_model=12, n_layer=2, d_state=4, d_conv=3, expand=2, dt_rank=2)
NATIVE = {
    'd_model': 12,
    'n_layer': 2,
    'vocab_size': 21,
    'ssm_cfg': {'d_state': 4, 'd_conv': 3, 'dt_rank': 2},
    'rms_norm': True,
    'residual_in_fp32': True,
    'fused_add_norm': True,
    'pad_vocab_size_multiple': 8,
}
HF = {
    'architectures': ['MambaForCausalLM'],
    'model_type': 'mamba',
    'hidden_size': 12,
    'd_model': 12,  # published -hf configurations carry native keys too
    'intermediate_size': 24,
    'num_hidden_layers': 2,
    'state_size': 4,
    'conv_kernel': 3,
    'time_step_rank': 2,
    'vocab_size': 24,
    'tie_word_embeddings': True,
}
EMBEDDING = {'native': 'backbone.embedding.weight', 'hf': 'backbone.embeddings.weight'}


def make_model(tied=True, vocab_size=24):
    return MambaLanguageModel(LanguageModelConfig(SIZES, vocab_size, 24, tied)).eval()


def published(model, layout):
    """Return the model's tensors under the names of a layout, the head included."""
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    weights[EMBEDDING[layout]] = weights.pop('embedding.weight')
    weights.setdefault('lm_head.weight', weights[EMBEDDING[layout]].clone())
    return weights


def write(folder, config, weights, file='model.safetensors'):
    folder.mkdir(exist_ok=True)
    (folder / 'config.json').write_text(json.dumps(config))
    if file.endswith('.bin'):
        torch.save(weights, folder / file)
    else:
        save_file(weights, folder / file)
    return folder


def write_shards(folder, config, weights):
    folder.mkdir(exist_ok=True)
    (folder / 'config.json').write_text(json.dumps(config))
    names = sorted(weights)
    places = {name: f'model-{1 + i % 2:05d}-of-00002.safetensors' for i, name in enumerate(names)}
    for file in set(places.values()):
        part = {name: weights[name] for name in names if places[name] == file}
        save_file(part, folder / file)
    index = {'metadata': {}, 'weight_map': places}
    (folder / 'model.safetensors.index.json').write_text(json.dumps(index))
    return folder


def same(model, other):
    expected, found = model.state_dict(), other.state_dict()
    return expected.keys() == found.keys() and all(
        torch.equal(value, found[name]) for name, value in expected.items()
    )


@pytest.mark.parametrize('file', ['model.safetensors', 'pytorch_model.bin'])
@pytest.mark.parametrize(('layout', 'config'), [('native', NATIVE), ('hf', HF)])
def test_both_layouts_give_back_the_model(tmp_path, layout, config, file):
    model = make_model(vocab_size=config['vocab_size'])
    loaded = load_language_model(write(tmp_path, config, published(model, layout), file))
    assert loaded.config == model.config
    assert not loaded.training
    assert same(loaded, model)
    tokens = torch.randint(0, 21, (2, 9))
    assert torch.equal(loaded(tokens)[0], model(tokens)[0])


def test_a_tied_head_may_be_left_out(tmp_path):
    model = make_model()
    weights = published(model, 'hf')
    del weights['lm_head.weight']
    assert same(load_language_model(write(tmp_path, HF, weights)), model)


@pytest.mark.parametrize(
    ('layout', 'config'),
    [('native', NATIVE | {'tie_embeddings': False}), ('hf', HF | {'tie_word_embeddings': False})],
)
def test_a_head_of_its_own_is_read(tmp_path, layout, config):
    model = make_model(tied=False, vocab_size=config['vocab_size'])
    assert not torch.equal(model.lm_head.weight, model.embedding.weight)
    assert same(load_language_model(write(tmp_path, config, published(model, layout))), model)


def test_rows_that_pad_the_vocabulary_are_never_predicted(tmp_path):
    model = make_model(vocab_size=21)
    hidden = model.backbone(model.embedding(torch.tensor([[3]])))[0][0, 0].detach()
    with torch.no_grad():
        model.embedding.weight[22] = 1e3 * hidden  # the largest logit by far
    loaded = load_language_model(write(tmp_path, NATIVE, published(model, 'native')))
    logits, _ = loaded(torch.tensor([[3]]))
    assert logits.shape == (1, 1, 21)
    assert list(generate(loaded, loaded.embedding.weight[None, 3:4], max_tokens=1)) == [
        logits.argmax().item()
    ]


def test_shards_are_put_together(tmp_path):
    model = make_model()
    assert same(load_language_model(write_shards(tmp_path, HF, published(model, 'hf'))), model)


@torch.no_grad()
def test_bfloat16_weights_keep_a_float32_state(tmp_path):
    folder = write(tmp_path, NATIVE, published(make_model(), 'native'))
    tokens = torch.randint(0, 21, (2, 30))
    exact, _ = load_language_model(folder)(tokens)
    logits, state = load_language_model(folder, dtype=torch.bfloat16)(tokens)
    assert logits.dtype == torch.bfloat16
    assert all(x.ssm.dtype == x.conv.dtype == torch.float32 for x in state.layers)
    assert 0 < (logits.float() - exact).norm() / exact.norm() < 0.02


def test_every_tensor_that_does_not_fit_is_named_at_once(tmp_path):
    weights = published(make_model(), 'native')
    del weights['backbone.layers.1.mixer.A_log']
    weights['backbone.layers.0.mixer.x_proj.weight'] = torch.zeros(9, 24)
    weights['backbone.layers.0.mixer.D'] = torch.zeros(24, dtype=torch.int64)
    weights['backbone.layers.2.norm.weight'] = torch.zeros(12)
    with pytest.raises(CheckpointError) as caught:
        load_language_model(write(tmp_path, NATIVE, weights))
    assert str(caught.value).splitlines() == [
        f'{tmp_path / "model.safetensors"} does not fit its config.json:',
        '  backbone.layers.0.mixer.D: torch.int64, expected a floating type',
        '  backbone.layers.0.mixer.x_proj.weight: shape (9, 24), expected (10, 24)',
        '  backbone.layers.1.mixer.A_log: missing, expected (24, 4)',
        '  backbone.layers.2.norm.weight: not part of this model',
    ]


def test_a_head_that_contradicts_its_tie_is_refused(tmp_path):
    weights = published(make_model(), 'hf')
    weights['lm_head.weight'] += 1
    with pytest.raises(CheckpointError, match=r'lm_head\.weight: differs from backbone\.embedd'):
        load_language_model(write(tmp_path, HF, weights))


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (NATIVE | {'rms_norm': False}, 'rms_norm is False, only True is supported'),
        (NATIVE | {'ssm_cfg': {'layer': 'Mamba2'}}, "layer is 'Mamba2', only 'Mamba1'"),
        (NATIVE | {'ssm_cfg': 'large'}, 'is not a Mamba-1 language model'),
        (NATIVE | {'pad_vocab_size_multiple': 0}, 'is not a Mamba-1 language model'),
        (NATIVE | {'vocab_size': 2.5}, r'vocab_size is 2\.5'),
        (NATIVE | {'vocab_size': 0}, 'vocab_size is 0'),
        (NATIVE | {'n_layer': 'two'}, "n_layer is 'two'"),
        (HF | {'model_type': 'mamba2'}, "model_type is 'mamba2', only 'mamba' is supported"),
        (HF | {'use_bias': True, 'hidden_act': 'gelu'}, "hidden_act is 'gelu'.*use_bias is True"),
        (HF | {'intermediate_size': 30}, 'intermediate_size 30 is no multiple of hidden_size 12'),
        (HF | {'hidden_size': 0}, 'is not a Mamba-1 language model'),
        ({'hidden_size': 12}, "lacks the key 'num_hidden_layers'"),
        ({'n_embd': 12}, "neither 'd_model' .* nor 'hidden_size' .*, but n_embd"),
        ([1, 2], 'must hold keys and values'),
    ],
)
def test_a_configuration_of_another_model_is_refused(tmp_path, config, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        load_language_model(write(tmp_path, config, published(make_model(), 'native')))
    assert str(tmp_path / 'config.json') in str(caught.value)


def test_a_missing_or_damaged_config_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r'config\.json is missing; give the directory'):
        load_language_model(tmp_path)
    (tmp_path / 'config.json').write_text('{"d_model": 12')
    with pytest.raises(CheckpointError, match=r'config\.json, line 1 is not valid JSON'):
        load_language_model(tmp_path)
    (tmp_path / 'config.json').write_text(json.dumps(NATIVE))
    with pytest.raises(CheckpointError, match=r'has no weights; copy one of model\.saf'):
        load_language_model(tmp_path)


@pytest.mark.parametrize('file', ['model.safetensors', 'pytorch_model.bin'])
@pytest.mark.parametrize('part', [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path, file, part):
    path = write(tmp_path, NATIVE, published(make_model(), 'native'), file) / file
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=f'{file} .*; copy it again'):
        load_language_model(tmp_path)


@pytest.mark.parametrize('plain', [False, True])
def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path, plain):
    folder, victim = write(tmp_path / 'model', NATIVE, {}, 'pytorch_model.bin'), tmp_path / 'ran'
    weights = published(make_model(), 'native') | {'payload': Code(victim)}
    if plain:
        (folder / 'pytorch_model.bin').write_bytes(pickle.dumps({'payload': Code(victim)}))
    else:
        torch.save(weights, folder / 'pytorch_model.bin')
    with pytest.raises(
        CheckpointError, match=r'pytorch_model\.bin .*refused .* get the model\.saf'
    ):
        load_language_model(folder)
    assert not victim.exists()


def test_a_pickle_of_something_else_is_refused(tmp_path):
    write(tmp_path, NATIVE, {'step': 3, 'model': {}}, 'pytorch_model.bin')
    with pytest.raises(CheckpointError, match='must hold names and tensors'):
        load_language_model(tmp_path)


@pytest.mark.parametrize(
    ('places', 'message'),
    [
        ({'a': '../model.safetensors'}, r'names files outside its directory: \.\./model'),
        ({'a': 'gone.safetensors'}, r'names shards that are missing: gone\.safetensors'),
        ({'a': 3}, "has no 'weight_map'"),
        (None, "has no 'weight_map'"),
    ],
)
def test_an_index_that_cannot_be_followed_is_refused(tmp_path, places, message):
    (tmp_path / 'config.json').write_text(json.dumps(HF))
    (tmp_path / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': places}))
    with pytest.raises(CheckpointError, match=message):
        load_language_model(tmp_path)
