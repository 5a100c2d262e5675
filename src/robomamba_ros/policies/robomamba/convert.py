"""Turns published files into a RoboMamba checkpoint: RoboMamba's own, or a Mamba language model.

Everything that does not fit is named at once, before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robomamba_ros.common.weights import misfits, read_pickle, read_safetensors
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.checkpoint import load_language_model
from robomamba_ros.mamba.language_model import LanguageModelConfig
from robomamba_ros.policies.base import CameraSpec
from robomamba_ros.policies.checkpoint import TOKENIZER
from robomamba_ros.policies.robomamba import public
from robomamba_ros.policies.robomamba.checkpoint import in_type, save
from robomamba_ros.policies.robomamba.config import RoboMambaConfig, VisionConfig

DEFAULT_CAMERA = CameraSpec('front', 480, 640)


@dataclass(frozen=True)
class ConvertOptions:
    """What the published files do not say.

    tokenizer: a tokenizer.json; where None, the one beside the source. head: a file with the
    weights of a pose head. head_image: side of the images in whose pixels its labels were [px].
    camera: whose images the policy is to read. dtype: of the weights written.
    """

    tokenizer: Path | None = None
    head: Path | None = None
    head_image: int = 336
    camera: CameraSpec = DEFAULT_CAMERA
    dtype: torch.dtype = torch.bfloat16


def convert(source: Path, out: Path, options: ConvertOptions) -> RoboMambaConfig:
    """Write the checkpoint directory `out` from a public file or a language model's directory.

    source: RoboMamba's state dict (torch.save or safetensors), or a directory as published by
    state-spaces or transformers, which becomes a policy that answers without seeing. Raises
    CheckpointError with everything in a file that does not fit, ConfigError for a wrong request.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"'{out}' exists and is not an empty directory; give another one")
    if not (source.is_dir() or source.is_file()):
        raise CheckpointError(
            f"there is no '{source}'; give a public RoboMamba file, or the directory of a Mamba "
            'language model'
        )
    beside = (source if source.is_dir() else source.parent) / TOKENIZER
    tokenizer = _tokenizer(options.tokenizer or beside)
    if source.is_dir():
        config, weights = _language_model(source, out.name, tokenizer, options)
    else:
        config, weights = _robomamba(source, out.name, tokenizer, options)
    save(out, config, in_type(weights, options.dtype), tokenizer)
    return config


def _tokenizer(path: Path) -> TextTokenizer:
    if not path.is_file():
        raise CheckpointError(
            f"there is no tokenizer '{path}'; give the tokenizer.json of the language model "
            '(EleutherAI/gpt-neox-20b for all published Mamba models)'
        )
    return TextTokenizer.load(path)


def _language_model(
    folder: Path, name: str, tokenizer: TextTokenizer, options: ConvertOptions
) -> tuple[RoboMambaConfig, dict[str, Tensor]]:
    if options.head is not None:
        raise ConfigError(
            f"'{folder}' is a language model without vision, and a pose head needs an image; "
            'give --head with a public RoboMamba file'
        )
    model = load_language_model(folder, dtype=options.dtype)
    size = model.config
    _check_vocabulary(tokenizer, size.vocab_rows, folder)
    language = LanguageModelConfig(size.backbone, tokenizer.vocabulary, size.vocab_rows, size.tied)
    weights = {f'language.{key}': tensor for key, tensor in model.state_dict().items()}
    return RoboMambaConfig(name, language), weights


def _robomamba(
    path: Path, name: str, tokenizer: TextTokenizer, options: ConvertOptions
) -> tuple[RoboMambaConfig, dict[str, Tensor]]:
    found = _read(path)
    clip, connector, language = public.sizes(found, tokenizer.vocabulary)
    expected = public.shapes(clip, connector, language)
    d_model = language.backbone.d_model
    head = _head(found)
    widths = _head_widths(head, d_model) if head else None
    if widths is not None:
        expected |= public.head_shapes(d_model, widths)
    problems = misfits(found, expected)
    if not problems:
        problems = _tie_problems(found)
    _refuse(path, 'the layout RoboMamba is published in', problems)
    _check_vocabulary(tokenizer, language.vocab_rows, path)
    if options.head is not None:
        given = _read(options.head)
        head = _head(given)
        widths = _head_widths(head, d_model)
        # A whole fine-tuned model has the frozen rest beside its head.
        alone = {key: tensor for key, tensor in given.items() if key not in expected or key in head}
        _refuse(
            options.head,
            f'a pose head for {path}',
            misfits(alone, public.head_shapes(d_model, widths)),
        )
    weights = public.own_weights(found, clip)
    if head:
        weights |= public.head_in_our_layout(head, options.head_image)
    vision = VisionConfig(options.camera, clip, connector)
    return RoboMambaConfig(name, language, vision, widths), weights


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"there is no file '{path}'")
    return read_safetensors(path) if path.suffix == '.safetensors' else read_pickle(path)


def _head(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in found.items() if name.startswith('action_head')}


def _head_widths(found: Mapping[str, Tensor], d_model: int) -> tuple[int, int]:
    """Return the widths that a head's biases show; the released ones where they are missing."""
    first, second = found.get('action_head1.fc1.bias'), found.get('action_head1.fc2.bias')
    return (
        d_model // 2 if first is None else first.numel(),
        d_model // 4 if second is None else second.numel(),
    )


def _tie_problems(found: Mapping[str, Tensor]) -> list[str]:
    """Return what is wrong with the tied head, which the public pose code leaves blank."""
    head, embedding = found[public.LM_HEAD], found[public.EMBEDDING]
    if torch.equal(head, embedding) or not head.any():
        return []
    return [f'{public.LM_HEAD}: differs from {public.EMBEDDING}, to which it is tied']


def _check_vocabulary(tokenizer: TextTokenizer, rows: int, source: Path) -> None:
    if tokenizer.vocabulary > rows:
        raise CheckpointError(
            f'the tokenizer has {tokenizer.vocabulary} tokens, the embedding of {source} has '
            f'{rows} rows; give the tokenizer of this model'
        )


def _refuse(path: Path, what: str, problems: list[str]) -> None:
    if problems:
        raise CheckpointError(f'{path} is not {what}:\n  ' + '\n  '.join(problems))
