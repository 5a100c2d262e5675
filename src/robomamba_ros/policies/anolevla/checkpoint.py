"""AnoleVLA checkpoints: a directory becomes a policy or its description, a network a directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from robomamba_ros.common.weights import fit_weights, read_safetensors, uninitialised
from robomamba_ros.errors import CheckpointError
from robomamba_ros.language.instructions import FILE as INSTRUCTIONS
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.config import (
    KIND,
    AnoleVLAConfig,
    read_config,
    write_config,
)
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.anolevla.policy import AnoleVLAPolicy
from robomamba_ros.policies.base import CACHES, LoadOptions
from robomamba_ros.policies.checkpoint import (
    CONFIG,
    NORMALIZATION,
    TOKENIZER,
    WEIGHTS,
    compute_dtype,
    require_files,
    torch_device,
    writing,
)
from robomamba_ros.policies.cost import linear_macs, macs, mamba_macs, parameters, state_bytes
from robomamba_ros.policies.description import Description, Part
from robomamba_ros.policies.location import checkpoint_name
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.vision.efficientnet import NOTICE, EfficientNetConfig

# Whose weights a checkpoint carries, and under which licence.
NOTICE_FILE = 'NOTICE'


class Parts(NamedTuple):
    """What a policy is made of; the network in the types that are stored, on the CPU."""

    network: AnoleVLA
    tokenizer: InstructionTokenizer
    normalization: Normalization


def load(folder: Path, options: LoadOptions) -> AnoleVLAPolicy:
    """Return the policy in a checkpoint directory.

    Raises ConfigError and CheckpointError with everything that does not fit, BackendError for a
    missing device.
    """
    torch.set_num_threads(options.threads)
    device = torch_device(options.device)
    network, tokenizer, normalization = read_parts(folder, options)
    network.compute_in(compute_dtype(options.dtype, device, network.parameters()))
    network.to(device)
    network.pack()
    return AnoleVLAPolicy(network, tokenizer, normalization, cache=options.cache)


def read_parts(folder: Path, options: LoadOptions) -> Parts:
    """Return what is in a checkpoint directory; raises ConfigError and CheckpointError."""
    require_files(folder, CONFIG, WEIGHTS, TOKENIZER, NORMALIZATION)
    config = read_config(folder / CONFIG, checkpoint_name(folder))
    config = replace(config, spec=config.spec.allowing(options.instructions))
    tokenizer = InstructionTokenizer.load(folder / TOKENIZER, config.language.length)
    check_vocabulary(tokenizer, config, folder / TOKENIZER)
    normalization = Normalization.load(folder / NORMALIZATION)
    normalization.check(config.spec, folder / NORMALIZATION)
    with uninitialised():
        network = AnoleVLA(config)
    path = folder / WEIGHTS
    fit_weights(network, read_safetensors(path), str(path), CONFIG)
    return Parts(network, tokenizer, normalization)


def save(
    folder: Path,
    config: AnoleVLAConfig,
    weights: Mapping[str, Tensor],
    tokenizer: InstructionTokenizer,
    normalization: Normalization,
) -> None:
    """Write a checkpoint directory that `load` reads, the weights in the types they have.

    Raises CheckpointError where the disk does not take it; a checkpoint that was there stays.
    """
    texts = config.spec.instructions
    contents: dict[str, Callable[[Path], object]] = {}
    if texts.trained:
        contents[INSTRUCTIONS] = texts.save
    if isinstance(config.vision, EfficientNetConfig):
        contents[NOTICE_FILE] = lambda path: path.write_text(NOTICE, encoding='utf-8')
    with writing(folder, CONFIG, TOKENIZER, NORMALIZATION, WEIGHTS, *contents) as paths:
        write_config(config, paths[0])
        tokenizer.save(paths[1])
        normalization.save(paths[2])
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, paths[3])
        for write, path in zip(contents.values(), paths[4:], strict=True):
            write(path)


def check_vocabulary(tokenizer: InstructionTokenizer, config: AnoleVLAConfig, path: Path) -> None:
    """Raise CheckpointError where the tokenizer has more tokens than the embedding has rows."""
    if tokenizer.vocabulary > config.language.vocabulary:
        raise CheckpointError(
            f'{path} has {tokenizer.vocabulary} tokens, the embedding of the policy has '
            f'{config.language.vocabulary} rows (language.vocabulary of {CONFIG}); give the '
            'tokenizer that the policy was trained with'
        )


def describe(path: Path) -> Description:
    """Return what the policy of a configuration file is and costs; reads no weights."""
    config = read_config(path, checkpoint_name(path.parent) if path.name == CONFIG else path.stem)
    with uninitialised():
        network = AnoleVLA(config)
    images = torch.zeros(1, len(config.spec.cameras), 3, *2 * (config.vision.image_size,))
    words = torch.zeros(1, config.language.length, config.backbone.d_model)
    length = sum(config.tokens.values())
    parts = (
        Part('vision', parameters(network.vision), macs(network.vision, images, words)),
        Part(
            'language',
            parameters(network.language, network.project),
            linear_macs(config.language.length, network.project),
        ),
        Part(
            'state',
            parameters(network.state, network.delta_state, network.places),
            2 * linear_macs(1, network.state) + linear_macs(1, network.places),
        ),
        Part('backbone', parameters(network.backbone), mamba_macs(config.backbone, length)),
        Part('head', parameters(network.head), linear_macs(1, network.head)),
    )
    total = sum(part.parameters for part in parts)
    large = sum(parameter.numel() for parameter in network.large())
    return Description(
        kind=KIND,
        spec=config.spec,
        facts={
            'image crops': ', '.join(
                f'{c.side} px at ({c.left}, {c.top}) to {c.target} px' for c in config.crops
            ),
            'tokens': f'{", ".join(f"{k} {v}" for k, v in config.tokens.items())}: {length}',
            'backbone': f'{config.backbone.n_layer} Mamba layers of width '
            f'{config.backbone.d_model}',
            'caches': ', '.join(c for c in CACHES if c != 'prefix' or config.constant_prefix),
        },
        parts=parts,
        memory={'float32': 4 * total, 'bfloat16': 4 * total - 2 * large},
        state_bytes=state_bytes(config.backbone),
    )
