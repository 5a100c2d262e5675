"""Checkpoint directories: `load_policy` turns one into a policy, `save_anolevla` writes one.

A directory holds config.yaml, model.safetensors, tokenizer.json and normalization.json. Weights
are read from safetensors only; nothing in a checkpoint is ever executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from robomamba_ros.errors import BackendError, CheckpointError, ConfigError, unknown_name
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla import AnoleVLA, AnoleVLAConfig, AnoleVLAPolicy
from robomamba_ros.policies.base import Policy
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.types import ActionSpace
from robomamba_ros.vision.preprocess import CropResize

CONFIG, WEIGHTS = 'config.yaml', 'model.safetensors'
TOKENIZER, NORMALIZATION = 'tokenizer.json', 'normalization.json'


def load_policy(directory: str | Path, *, device: str = 'cpu', threads: int = 1) -> Policy:
    """Return the policy in a checkpoint directory, ready on `device`.

    threads: CPU threads of PyTorch, in this whole process. One is right for small policies: OpenMP
    threads that wait for a busy core make an inference many times longer.

    Raises CheckpointError with everything that does not fit, BackendError for a missing device.
    """
    folder = Path(directory)
    missing = [
        name
        for name in (CONFIG, WEIGHTS, TOKENIZER, NORMALIZATION)
        if not (folder / name).is_file()
    ]
    if missing:
        raise CheckpointError(
            f"'{folder}' is not a checkpoint: it lacks {', '.join(missing)}. Give a directory "
            'written by robomamba train, or one under models/.'
        )
    torch.set_num_threads(threads)
    place = _device(device)
    config = _read_config(folder / CONFIG)
    network = AnoleVLA(config)
    load_weights(network, folder / WEIGHTS)
    tokenizer = InstructionTokenizer.load(folder / TOKENIZER, config.instruction_length)
    if tokenizer.vocabulary != config.vocabulary:
        raise CheckpointError(
            f'{folder / TOKENIZER} has {tokenizer.vocabulary} tokens, {CONFIG} says '
            f'{config.vocabulary}'
        )
    normalization = Normalization.load(folder / NORMALIZATION)
    return AnoleVLAPolicy(network, tokenizer, normalization, name=folder.name, device=place)


def save_anolevla(
    folder: Path,
    config: AnoleVLAConfig,
    weights: Mapping[str, torch.Tensor],
    tokenizer: InstructionTokenizer,
    normalization: Normalization,
) -> None:
    """Write a checkpoint directory that load_policy reads."""
    folder.mkdir(parents=True, exist_ok=True)
    raw: dict[str, Any] = {'policy': 'anolevla', **asdict(config)}
    raw['action_space'] = config.action_space.value
    for key, value in raw.items():
        if isinstance(value, tuple):
            raw[key] = list(value)
    (folder / CONFIG).write_text(yaml.safe_dump(raw, sort_keys=False), encoding='utf-8')
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / WEIGHTS)
    tokenizer.save(folder / TOKENIZER)
    normalization.save(folder / NORMALIZATION)


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Load safetensors into `network`; names every missing, extra and mis-shaped tensor at once."""
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f'{path} cannot be read ({error}); copy it again') from error
    expected = network.state_dict()
    problems = [f'{name}: missing' for name in expected if name not in found]
    problems += [f'{name}: not part of this model' for name in found if name not in expected]
    problems += [
        f'{name}: shape {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}'
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    if problems:
        raise CheckpointError(f'{path} does not fit its {CONFIG}:\n  ' + '\n  '.join(problems))
    network.load_state_dict(found)


def _read_config(path: Path) -> AnoleVLAConfig:
    try:
        raw = yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise CheckpointError(f'{path} is not valid YAML: {error}') from error
    if not isinstance(raw, dict):
        raise CheckpointError(f'{path} must hold keys and values')
    kind = raw.pop('policy', 'none')
    if kind != 'anolevla':
        raise CheckpointError(f'{path}: {unknown_name("policy", str(kind), ["anolevla"])}')
    valid = {f.name for f in fields(AnoleVLAConfig)}
    wrong = [unknown_name('key', key, valid) for key in raw if key not in valid]
    if wrong:
        raise CheckpointError(f'{path}: ' + ' '.join(wrong))
    try:
        raw['crop'] = CropResize(**raw['crop'])
        raw['action_space'] = ActionSpace(raw['action_space'])
        for key in ('cameras', 'state_names', 'action_names', 'token_order'):
            raw[key] = tuple(raw[key])
        return AnoleVLAConfig(**raw)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(f'{path} does not describe an AnoleVLA policy: {error}') from error


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackendError(f"'{name}' is not a device; give cpu, cuda or cuda:N") from error
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise BackendError(
            f"the device '{name}' was asked for and this PyTorch ({torch.__version__}) sees no "
            'GPU; install a CUDA build of torch or give device cpu'
        )
    return device
