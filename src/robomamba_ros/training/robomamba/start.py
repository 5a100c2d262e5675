"""The network and the tokenizer a RoboMamba run begins with.

A checkpoint's, or, where a file of config/policies is named, random weights and words fitted to the
data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from robomamba_ros.common.resources import find_file
from robomamba_ros.common.weights import fit_weights, read_safetensors
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.policies.checkpoint import CONFIG, TOKENIZER, WEIGHTS, require_files
from robomamba_ros.policies.location import checkpoint_directory, checkpoint_name
from robomamba_ros.policies.robomamba.checkpoint import in_type
from robomamba_ros.policies.robomamba.config import RoboMambaConfig, paper_head, read_config
from robomamba_ros.policies.robomamba.network import RoboMamba

HEAD = 'head.'


class Start(NamedTuple):
    """A network in float32, and its tokenizer."""

    network: RoboMamba
    tokenizer: TextTokenizer


def begin(start: str, corpus: Iterable[str], seed: int, *, head: bool) -> Start:
    """Return what a run starts from: a checkpoint, or a policy file's network at random.

    corpus: texts for the tokenizer of a network at random. head: whether a pose head is needed; a
    network without one gets one of the paper's widths, at random. Raises ConfigError where there is
    no such start, or it cannot see.
    """
    torch.manual_seed(seed)
    try:
        folder = checkpoint_directory(start)
    except CheckpointError:
        path = find_file('policies', start)
        config = _require_vision(read_config(path, path.stem))
        tokenizer = TextTokenizer.train(corpus, config.language.vocab_size)
        words = tokenizer.vocabulary
        language = replace(config.language, vocab_size=words, vocab_rows=words)
        network = RoboMamba(_with_head(replace(config, language=language), head))
        # As Mamba's own: the head is the embedding, and PyTorch's would give logits in the tens.
        torch.nn.init.normal_(network.language.embedding.weight, std=0.02)
        return Start(network, tokenizer)
    return _continue(folder, head)


def _continue(folder: Path, head: bool) -> Start:
    require_files(folder, CONFIG, WEIGHTS, TOKENIZER)
    found = _require_vision(read_config(folder / CONFIG, checkpoint_name(folder)))
    network = RoboMamba(_with_head(found, head))
    weights = in_type(read_safetensors(folder / WEIGHTS), torch.float32)
    if found.head is None and head:
        fresh = network.state_dict()
        weights |= {name: fresh[name] for name in fresh if name.startswith(HEAD)}
    # A copy: what is read may be mapped from the file, which must not change.
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    fit_weights(network, weights, str(folder / WEIGHTS), CONFIG)
    return Start(network, TextTokenizer.load(folder / TOKENIZER))


def _require_vision(config: RoboMambaConfig) -> RoboMambaConfig:
    if config.vision is None:
        raise ConfigError(
            f"policy '{config.name}' has no vision; start from one that has it, from robomamba "
            'convert or a file of config/policies'
        )
    return config


def _with_head(config: RoboMambaConfig, head: bool) -> RoboMambaConfig:
    if config.head is not None or not head:
        return config
    return replace(config, head=paper_head(config.language.backbone.d_model))
