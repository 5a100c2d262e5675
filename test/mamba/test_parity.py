"""Loaded checkpoints against transformers' Mamba, the full forward pass of its slow CPU path.

Its continuation of more than one token restarts the state and is no ground truth.
"""

import json
import os
from dataclasses import dataclass

import pytest
import torch

os.environ.setdefault('HF_HUB_OFFLINE', '1')  # it looks for kernels to download
transformers = pytest.importorskip(
    'transformers', reason='parity needs transformers: pip install transformers'
)

from robomamba_ros.mamba.checkpoint import load_language_model  # noqa: E402
from robomamba_ros.mamba.generation import generate  # noqa: E402
from robomamba_ros.mamba.scan import available_backends  # noqa: E402

ERROR = 1e-5  # of every hidden state, relative to the largest number of its layer

SIZES = [
    {'vocab_size': 64, 'hidden_size': 16, 'num_hidden_layers': 1},
    {'vocab_size': 101, 'hidden_size': 64, 'num_hidden_layers': 4, 'tie_word_embeddings': False},
    {'vocab_size': 77, 'hidden_size': 40, 'num_hidden_layers': 3, 'state_size': 8}
    | {'conv_kernel': 3, 'expand': 3, 'time_step_rank': 5, 'layer_norm_epsilon': 1e-5},
    {'vocab_size': 120, 'hidden_size': 128, 'num_hidden_layers': 6},
]


def make_oracle(sizes):
    """Return a random model that no initial value makes simple: no parameter is a constant."""
    torch.manual_seed(0)
    # Token 0 ends nothing: generation is compared over its whole length.
    config = transformers.MambaConfig(**sizes, eos_token_id=None, pad_token_id=None)
    oracle = transformers.MambaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in oracle.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return oracle


@dataclass(frozen=True)
class Published:
    """A model of transformers, tokens (2, 33), and what it makes of them."""

    oracle: torch.nn.Module
    tokens: torch.Tensor
    layers: list[torch.Tensor]
    normed: torch.Tensor
    logits: torch.Tensor
    # Tokens (2, 12) that follow the first nine.
    following: torch.Tensor


@pytest.fixture(scope='module', params=SIZES, ids=lambda sizes: f'{sizes["hidden_size"]}')
def published(request):
    oracle = make_oracle(request.param)
    tokens = torch.randint(0, request.param['vocab_size'], (2, 33))
    with torch.no_grad():
        layers, output = outputs_of_layers(
            oracle.backbone.layers,
            lambda: oracle(tokens, use_cache=False, output_hidden_states=True),
        )
        whole = tokens[:, :9]
        for _ in range(12):
            following = oracle(whole, use_cache=False).logits[:, -1:].argmax(-1)
            whole = torch.cat((whole, following), dim=1)
    normed = output.hidden_states[-1]
    return Published(oracle, tokens, layers, normed, output.logits, whole[:, 9:])


def write_hf(oracle, folder):
    oracle.save_pretrained(folder)


def write_hf_shards(oracle, folder):
    oracle.save_pretrained(folder, max_shard_size='5KB')
    assert (folder / 'model.safetensors.index.json').is_file()


def write_native(oracle, folder):
    """Write what state-spaces publishes: its own names, sizes, and rows that pad the vocabulary."""
    size, multiple = oracle.config, 8
    rows = -size.vocab_size % multiple
    weights = oracle.state_dict()
    for name in ('backbone.embeddings.weight', 'lm_head.weight'):
        padding = torch.full((rows, size.hidden_size), 9.0)
        weights[name] = torch.cat((weights[name], padding))
    weights['backbone.embedding.weight'] = weights.pop('backbone.embeddings.weight')
    torch.save(dict(weights), folder / 'pytorch_model.bin')
    ssm = {'d_state': size.state_size, 'd_conv': size.conv_kernel, 'expand': size.expand}
    config = {
        'd_model': size.hidden_size,
        'n_layer': size.num_hidden_layers,
        'vocab_size': size.vocab_size,
        'ssm_cfg': ssm | {'dt_rank': size.time_step_rank},
        'rms_norm': True,
        'residual_in_fp32': True,
        'fused_add_norm': True,
        'pad_vocab_size_multiple': multiple,
        'tie_embeddings': size.tie_word_embeddings,
    }
    (folder / 'config.json').write_text(json.dumps(config))


def outputs_of_layers(layers, run):
    """Return what each layer gives while `run` runs, first layer first, and what `run` returns."""
    kept = []

    def keep(module, args, output):
        # Of ours, the stream before the layer and what it adds; of transformers, the sum.
        kept.append(output[0] + output[1] if isinstance(output, tuple) else output)

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    result = run()
    for hook in hooks:
        hook.remove()
    return kept, result


def error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize('backend', available_backends())
@pytest.mark.parametrize('write', [write_native, write_hf, write_hf_shards])
@torch.no_grad()
def test_hidden_states_logits_and_generation_are_those_of_transformers(
    tmp_path, published, write, backend
):
    write(published.oracle, tmp_path)
    model = load_language_model(tmp_path, backend=backend)
    tokens = published.tokens
    layers, (logits, _) = outputs_of_layers(model.backbone.layers, lambda: model(tokens))
    assert len(layers) == len(published.layers) == published.oracle.config.num_hidden_layers
    for found, wanted in zip(layers, published.layers, strict=True):
        assert error(found, wanted) < ERROR
    normed, _ = model.backbone(model.embedding(tokens))
    assert error(normed, published.normed) < ERROR
    assert error(logits, published.logits) < ERROR
    for prompt, expected in zip(tokens[:, :9].split(1), published.following.tolist(), strict=True):
        assert list(generate(model, model.embedding(prompt), max_tokens=12)) == expected
