"""Reads Mamba-1 language models as state-spaces (native) and transformers (-hf) publish them.

Nothing in a file is executed; pickles are read with weights_only=True.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robomamba_ros.common.weights import misfits, read_json, read_weights, uninitialised
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig, MambaLanguageModel
from robomamba_ros.mamba.scan.dispatch import AUTO

CONFIG = 'config.json'
EMBEDDING, HEAD = 'embedding.weight', 'lm_head.weight'  # of this package's model

# What both layouts may set but this Mamba has one way of doing; a checkpoint that asks for another
# would load and answer wrongly.
NATIVE_FIXED = {'rms_norm': True, 'd_intermediate': 0, 'attn_layer_idx': []}
NATIVE_SSM_FIXED = {'layer': 'Mamba1', 'conv_bias': True, 'bias': False}
HF_FIXED = {'model_type': 'mamba', 'hidden_act': 'silu', 'use_bias': False, 'use_conv_bias': True}


def load_language_model(
    directory: str | Path, *, dtype: torch.dtype = torch.float32, backend: str = AUTO
) -> MambaLanguageModel:
    """Return the language model in `directory`, in evaluation mode, on the CPU.

    directory: config.json with model.safetensors, its shards and their index, or pytorch_model.bin,
    looked for in this order. dtype: of the weights; scan, convolution and state compute in float32
    at least. backend: of scan and convolution.

    Raises CheckpointError naming the file and the remedy, or every tensor that does not fit.
    """
    folder = Path(directory)
    config, embedding = read_config(folder / CONFIG)
    with uninitialised():
        model = MambaLanguageModel(config, backend=backend)
    path, found = read_weights(folder)
    names = {name: _published(name, embedding) for name in model.state_dict()}
    _check(model, found, names, path)
    weights = {own: found[published].to(dtype) for own, published in names.items()}
    model.load_state_dict(weights, assign=True)
    return model.eval()


def read_config(path: Path) -> tuple[LanguageModelConfig, str]:
    """Return the sizes in a config.json and the name its layout gives the embedding's weight.

    Raises CheckpointError where the file is missing, no JSON, or not a Mamba-1 language model.
    """
    raw = read_json(path, 'a Mamba language model')
    try:
        # Published -hf configurations carry the native keys too.
        if 'hidden_size' in raw:
            return _hf_config(raw), 'backbone.embeddings.weight'
        if 'd_model' in raw:
            return _native_config(raw), 'backbone.embedding.weight'
    except KeyError as error:
        raise CheckpointError(f'{path} lacks the key {error}; copy it again') from error
    except (ConfigError, TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f'{path} is not a Mamba-1 language model: {error}') from error
    raise CheckpointError(
        f"{path} is not a Mamba language model: it has neither 'd_model' (state-spaces) nor "
        f"'hidden_size' (transformers), but {', '.join(sorted(raw)) or 'no keys at all'}"
    )


def _native_config(raw: dict[str, Any]) -> LanguageModelConfig:
    ssm = dict(raw.get('ssm_cfg') or {})
    _require(raw, NATIVE_FIXED)
    _require(ssm, NATIVE_SSM_FIXED)
    sizes = {key: ssm[key] for key in ('d_state', 'd_conv', 'expand', 'dt_rank') if key in ssm}
    multiple = raw.get('pad_vocab_size_multiple', 8)
    return LanguageModelConfig(
        MambaConfig(raw['d_model'], raw['n_layer'], **sizes),
        vocab_size=raw['vocab_size'],
        vocab_rows=-(-raw['vocab_size'] // multiple) * multiple,
        tied=raw.get('tie_embeddings', True),
    )


def _hf_config(raw: dict[str, Any]) -> LanguageModelConfig:
    _require(raw, HF_FIXED)
    width = raw['hidden_size']
    inner = raw.get('intermediate_size', raw.get('expand', 2) * width)
    if inner % width:
        raise ConfigError(f'intermediate_size {inner} is no multiple of hidden_size {width}')
    backbone = MambaConfig(
        d_model=width,
        n_layer=raw['num_hidden_layers'],
        d_state=raw.get('state_size', 16),
        d_conv=raw.get('conv_kernel', 4),
        expand=int(inner // width),
        dt_rank=raw.get('time_step_rank', 'auto'),
        norm_epsilon=raw.get('layer_norm_epsilon', 1e-5),
    )
    tied = raw.get('tie_word_embeddings', True)
    return LanguageModelConfig(backbone, raw['vocab_size'], raw['vocab_size'], tied)


def _require(raw: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    wrong = [
        f'{key} is {raw[key]!r}, only {value!r} is supported'
        for key, value in fixed.items()
        if raw.get(key, value) != value
    ]
    if wrong:
        raise ConfigError('; '.join(wrong))


def _published(name: str, embedding: str) -> str:
    return embedding if name == EMBEDDING else name


def _check(
    model: MambaLanguageModel, found: Mapping[str, Tensor], names: Mapping[str, str], path: Path
) -> None:
    expected = {names[own]: tuple(x.shape) for own, x in model.state_dict().items()}
    embedding = names[EMBEDDING]
    if model.config.tied and HEAD in found:
        expected[HEAD] = expected[embedding]
    problems = misfits(found, expected)
    copies = not problems and model.config.tied and HEAD in found
    if copies and not torch.equal(found[HEAD], found[embedding]):
        problems.append(f'{HEAD}: differs from {embedding}, and {CONFIG} ties them')
    if problems:
        raise CheckpointError(f'{path} does not fit its {CONFIG}:\n  ' + '\n  '.join(problems))
