"""Puts published weights together into an AnoleVLA, ready to be trained on demonstrations.

The image tower comes from SigLIP 2, embedding and backbone from a Mamba language model; what is
between and behind them starts fresh (paper section IV-B).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from robomamba_ros.common.weights import uninitialised
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.mamba.checkpoint import load_language_model
from robomamba_ros.policies.anolevla.checkpoint import check_vocabulary, save
from robomamba_ros.policies.anolevla.config import AnoleVLAConfig
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.checkpoint import TOKENIZER
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.vision.siglip import SiglipVision, load_siglip


@dataclass(frozen=True)
class Sources:
    """Where the parts come from.

    vision: directory of a SigLIP model; mamba: directory of a Mamba language model; tokenizer: its
    tokenizer.json, where it does not lie in `mamba`; normalization: scales, the identity if None.
    """

    vision: Path
    mamba: Path
    tokenizer: Path | None = None
    normalization: Path | None = None


def assemble(
    config: AnoleVLAConfig, sources: Sources, out: Path, *, seed: int, dtype: torch.dtype
) -> None:
    """Write a checkpoint directory; `seed` fixes the fresh layers, `dtype` is of the large parts.

    Weights stay mapped to their files until they are written. Raises ConfigError for a policy that
    is not made of such parts, CheckpointError with everything that does not fit.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"'{out}' is not an empty directory; give another one")
    for folder, model in ((sources.vision, 'SigLIP'), (sources.mamba, 'Mamba language')):
        if not folder.is_dir():
            raise CheckpointError(
                f"there is no directory '{folder}'; give that of a {model} model, as it is "
                'published and downloaded'
            )
    path = sources.tokenizer or sources.mamba / TOKENIZER
    if not path.is_file():
        raise CheckpointError(
            f'there is no tokenizer {path}; give the one of the language model (for the public '
            'Mamba models that of EleutherAI/gpt-neox-20b) with --tokenizer'
        )
    tokenizer = InstructionTokenizer.load(path, config.language.length)
    check_vocabulary(tokenizer, config, path)
    normalization = Normalization.identity(config.spec)
    if sources.normalization is not None:
        normalization = Normalization.load(sources.normalization)
        normalization.check(config.spec, sources.normalization)
    with uninitialised():
        network = AnoleVLA(config)
    if not isinstance(network.vision, SiglipVision):
        raise ConfigError(
            f"policy '{config.spec.name}' sees by keypoints, which have no published weights; "
            'train it from scratch, or give a policy whose vision is siglip2'
        )
    load_siglip(sources.vision, network.vision)
    _load_language(sources.mamba, network)
    _begin([network.state, network.delta_state, network.vision.project, network.head], seed)
    if isinstance(network.project, nn.Linear):
        # The embedding reaches the backbone as it is, at first.
        nn.init.eye_(network.project.weight)
        nn.init.zeros_(network.project.bias)
    network.compute_in(dtype)
    save(out, config, network.state_dict(), tokenizer, normalization)


def _load_language(folder: Path, network: AnoleVLA) -> None:
    model = load_language_model(folder)
    expected = {**asdict(network.config.backbone), 'rows': network.config.language.vocabulary}
    found = {**asdict(model.config.backbone), 'rows': model.config.vocab_rows}
    different = [
        f'{key} is {found[key]}, the policy has {expected[key]}'
        for key in expected
        if found[key] != expected[key]
    ]
    if different:
        raise CheckpointError(f'{folder} does not fit the policy: {"; ".join(different)}')
    network.language.load_state_dict(model.embedding.state_dict(), assign=True)
    network.backbone.load_state_dict(model.backbone.state_dict(), assign=True)


def _begin(layers: list[nn.Linear], seed: int) -> None:
    """Fill layers that no file holds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers:
            layer.reset_parameters()
