"""RoboMamba checkpoints: a directory becomes a policy, a network becomes a directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from robomamba_ros.common.weights import fit_weights, read_safetensors, uninitialised
from robomamba_ros.errors import CheckpointError
from robomamba_ros.language.instructions import FILE as INSTRUCTIONS
from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.packing import pack
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.checkpoint import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    compute_dtype,
    require_files,
    torch_device,
    writing,
)
from robomamba_ros.policies.cost import macs, mamba_macs, parameters, state_bytes
from robomamba_ros.policies.description import Description, Part
from robomamba_ros.policies.location import checkpoint_name
from robomamba_ros.policies.robomamba.config import (
    KIND,
    RoboMambaConfig,
    read_config,
    write_config,
)
from robomamba_ros.policies.robomamba.network import RoboMamba
from robomamba_ros.policies.robomamba.policy import CACHES, RoboMambaPolicy

HEAD = 'head.'  # small, and in float32 whatever the type of the rest
TEXT = 16  # tokens of a short instruction with its prompt, for what an inference costs


def load(folder: Path, options: LoadOptions) -> RoboMambaPolicy:
    """Return the policy in a checkpoint directory.

    Raises ConfigError and CheckpointError with everything that does not fit, BackendError for a
    missing device or package.
    """
    require_files(folder, CONFIG, WEIGHTS, TOKENIZER)
    torch.set_num_threads(options.threads)
    device = torch_device(options.device)
    config = read_config(folder / CONFIG, checkpoint_name(folder))
    spec = config.spec.allowing(options.instructions)
    config = replace(config, instructions=spec.instructions)
    tokenizer = TextTokenizer.load(folder / TOKENIZER)
    if tokenizer.vocabulary != config.language.vocab_size:
        raise CheckpointError(
            f'{folder / TOKENIZER} has {tokenizer.vocabulary} tokens, {CONFIG} says '
            f'{config.language.vocab_size}; give the tokenizer of this model'
        )
    with uninitialised():
        network = RoboMamba(config)
    path = folder / WEIGHTS
    weights = read_safetensors(path)
    dtype = compute_dtype(options.dtype, device, weights.values())
    fit_weights(network, in_type(weights, dtype), str(path), CONFIG)
    network.to(device)
    pack(network)
    return RoboMambaPolicy(network, tokenizer, cache=options.cache)


def save(
    folder: Path,
    config: RoboMambaConfig,
    weights: Mapping[str, Tensor],
    tokenizer: TextTokenizer,
) -> None:
    """Write a checkpoint directory that `load` reads, the weights in the types they have.

    Raises CheckpointError where the disk does not take it; a checkpoint that was there stays.
    """
    texts = config.instructions
    named = (INSTRUCTIONS,) if texts.trained else ()
    with writing(folder, CONFIG, TOKENIZER, WEIGHTS, *named) as paths:
        write_config(config, paths[0])
        tokenizer.save(paths[1])
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, paths[2])
        if texts.trained:
            texts.save(paths[3])


def describe(path: Path) -> Description:
    """Return what the policy of a configuration file is and costs; reads no weights."""
    config = read_config(path, checkpoint_name(path.parent) if path.name == CONFIG else path.stem)
    with uninitialised():
        network = RoboMamba(config)
    backbone, vision = config.language.backbone, config.vision
    seen = 0 if vision is None else vision.clip.tokens
    parts = [Part('language', parameters(network.language), mamba_macs(backbone, seen + TEXT))]
    if network.vision is not None and vision is not None:
        images = torch.zeros(1, 3, vision.clip.image_size, vision.clip.image_size)
        parts.insert(0, Part('vision', parameters(network.vision), macs(network.vision, images)))
    if network.head is not None:
        pooled = torch.zeros(1, backbone.d_model)
        parts.append(Part('head', parameters(network.head), macs(network.head, pooled)))
    total = sum(part.parameters for part in parts)
    exact = 0 if network.head is None else parameters(network.head)
    return Description(
        kind=KIND,
        spec=config.spec,
        facts={
            'tokens': f'vision {seen}, text {TEXT} as counted below: {seen + TEXT}',
            'backbone': f'{backbone.n_layer} Mamba layers of width {backbone.d_model}',
            'pose head': 'none' if config.head is None else ' x '.join(map(str, config.head)),
            'caches': ', '.join(CACHES),
        },
        parts=tuple(parts),
        memory={'float32': 4 * total, 'bfloat16': 2 * (total + exact)},
        state_bytes=state_bytes(backbone),
    )


def in_type(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the weights in `dtype`, those of the pose head in float32."""
    return {
        name: tensor.to(torch.float32 if name.startswith(HEAD) else dtype)
        for name, tensor in weights.items()
    }
