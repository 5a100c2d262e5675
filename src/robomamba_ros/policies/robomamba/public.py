"""The file layout in which RoboMamba is published, and its names in this package.

One flat mapping of 944 tensors: 295 of timm's ViT-L/14, 6 of the connector, 643 of a Mamba language
model with transformers' names. A model fine-tuned for poses by the public code has ten more, of its
two MLPs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig
from robomamba_ros.vision.clip import ClipConfig

BLOCKS, LAYERS = 24, 64
HEAD_WIDTH = 64  # of an attention head in every CLIP model; no tensor shows it
VIT, LLM = 'vision.model', 'llm.mamba'
EMBEDDING, LM_HEAD = f'{LLM}.backbone.embeddings.weight', f'{LLM}.lm_head.weight'
HEADS = {'action_head1': ('position', 2), 'action_head2': ('direction', 6)}

Shapes = dict[str, tuple[int, ...]]


def sizes(
    found: Mapping[str, Tensor], vocab_size: int
) -> tuple[ClipConfig, int, LanguageModelConfig]:
    """Return the sizes that a file's tensors show: CLIP, the connector's first width, the language
    model. Where a tensor that shows one is missing or of another rank, the published size stands
    in, so that the shapes of all others can still be told."""

    def dim(name: str, axis: int, rank: int, published: int) -> int:
        tensor = found.get(name)
        return published if tensor is None or tensor.ndim != rank else max(tensor.shape[axis], 1)

    width = dim(f'{VIT}.patch_embed.proj.weight', 0, 4, 1024)
    patch = dim(f'{VIT}.patch_embed.proj.weight', 3, 4, 14)
    grid = math.isqrt(max(dim(f'{VIT}.pos_embed', 1, 3, 257) - 1, 1))
    clip = ClipConfig(
        image_size=grid * patch,
        patch_size=patch,
        hidden_size=max(width // HEAD_WIDTH, 1) * HEAD_WIDTH,
        intermediate_size=dim(f'{VIT}.blocks.0.mlp.fc1.weight', 0, 2, 4096),
        num_hidden_layers=BLOCKS - 1,
        num_attention_heads=max(width // HEAD_WIDTH, 1),
    )
    rows, d_model = dim(EMBEDDING, 0, 2, 50280), dim(EMBEDDING, 1, 2, 2560)
    mixer = f'{LLM}.backbone.layers.0.mixer'
    backbone = MambaConfig(
        d_model=d_model,
        n_layer=LAYERS,
        d_state=dim(f'{mixer}.A_log', 1, 2, 16),
        d_conv=dim(f'{mixer}.conv1d.weight', 2, 3, 4),
        expand=max(dim(f'{mixer}.A_log', 0, 2, 2 * d_model) // d_model, 1),
        dt_rank=dim(f'{mixer}.dt_proj.weight', 1, 2, 160),
    )
    connector = dim('projector.projector.0.weight', 0, 2, 4096)
    return clip, connector, LanguageModelConfig(backbone, min(vocab_size, rows), rows)


def shapes(clip: ClipConfig, connector: int, language: LanguageModelConfig) -> Shapes:
    """Return the name and shape of each of the 944 tensors of a model with these sizes."""
    return dict([*_vit(clip), *_projector(clip, connector, language), *_llm(language)])


def head_shapes(d_model: int, widths: tuple[int, int]) -> Shapes:
    """Return the name and shape of each of the ten tensors of a pose head."""
    first, second = widths
    return {
        f'{head}.{name}': shape
        for head, (_, outputs) in HEADS.items()
        for name, shape in (
            ('fc1.weight', (first, d_model)),
            ('fc1.bias', (first,)),
            ('fc2.weight', (second, first)),
            ('fc2.bias', (second,)),
            ('fc3.weight', (outputs, second)),
        )
    }


def own_weights(found: Mapping[str, Tensor], clip: ClipConfig) -> dict[str, Tensor]:
    """Return the 944 tensors under the names of this package's network.

    Left out are CLIP's last block and norm, which nothing reads, and the tied head.
    """
    tower = 'vision.clip.tower'
    own = {
        f'{tower}.embeddings.class_embedding': found[f'{VIT}.cls_token'][0, 0],
        f'{tower}.embeddings.position_embedding.weight': found[f'{VIT}.pos_embed'][0],
        f'{tower}.embeddings.patch_embedding.weight': found[f'{VIT}.patch_embed.proj.weight'],
    }
    for kind in ('weight', 'bias'):
        own[f'{tower}.pre_layrnorm.{kind}'] = found[f'{VIT}.norm_pre.{kind}']
        for index in range(clip.num_hidden_layers):
            block, layer = f'{VIT}.blocks.{index}', f'{tower}.encoder.layers.{index}'
            joined = found[f'{block}.attn.qkv.{kind}'].chunk(3)
            for name, part in zip('qkv', joined, strict=True):
                own[f'{layer}.self_attn.{name}_proj.{kind}'] = part
            own[f'{layer}.self_attn.out_proj.{kind}'] = found[f'{block}.attn.proj.{kind}']
            for name, public in (('layer_norm1', 'norm1'), ('layer_norm2', 'norm2')):
                own[f'{layer}.{name}.{kind}'] = found[f'{block}.{public}.{kind}']
            for name in ('mlp.fc1', 'mlp.fc2'):
                own[f'{layer}.{name}.{kind}'] = found[f'{block}.{name}.{kind}']
    for name, tensor in found.items():
        if name.startswith('projector.projector.'):
            own[f'vision.connector.{name.removeprefix("projector.projector.")}'] = tensor
        elif name.startswith(f'{LLM}.backbone.') and name != EMBEDDING:
            own[f'language.{name.removeprefix(f"{LLM}.")}'] = tensor
    own['language.embedding.weight'] = found[EMBEDDING]
    return own


def head_in_our_layout(found: Mapping[str, Tensor], image_side: int) -> dict[str, Tensor]:
    """Return the ten tensors of a pose head under the names of this package's network.

    The public code learns ManipLLM's labels: the contact as row and column in pixels of an image
    of side `image_side`, and directions with x into the scene, y to the left and z up. The last
    layers have no bias, so that units and axes of this package are a matrix on their rows.
    """
    own = {}
    for public, (part, _) in HEADS.items():
        for index, layer in enumerate(('fc1', 'fc2')):
            for kind in ('weight', 'bias'):
                own[f'head.{part}.{2 * index}.{kind}'] = found[f'{public}.{layer}.{kind}'].float()
    units = {
        'position': torch.tensor([[0.0, 1.0], [1.0, 0.0]]) / image_side,
        'direction': torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]),
    }
    for public, (part, _) in HEADS.items():
        unit = units[part]
        rows = found[f'{public}.fc3.weight'].float()
        split = rows.reshape(-1, len(unit), rows.shape[1])
        own[f'head.{part}.4.weight'] = (unit @ split).flatten(0, 1)
    return own


def _vit(clip: ClipConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, mlp = clip.hidden_size, clip.intermediate_size
    yield f'{VIT}.cls_token', (1, 1, width)
    yield f'{VIT}.pos_embed', (1, clip.tokens + 1, width)
    yield f'{VIT}.patch_embed.proj.weight', (width, 3, clip.patch_size, clip.patch_size)
    norms = [f'{VIT}.norm_pre', f'{VIT}.norm']
    for index in range(BLOCKS):
        block = f'{VIT}.blocks.{index}'
        norms += [f'{block}.norm1', f'{block}.norm2']
        for name, (outputs, inputs) in (
            ('attn.qkv', (3 * width, width)),
            ('attn.proj', (width, width)),
            ('mlp.fc1', (mlp, width)),
            ('mlp.fc2', (width, mlp)),
        ):
            yield f'{block}.{name}.weight', (outputs, inputs)
            yield f'{block}.{name}.bias', (outputs,)
    for norm in norms:
        yield f'{norm}.weight', (width,)
        yield f'{norm}.bias', (width,)


def _projector(
    clip: ClipConfig, connector: int, language: LanguageModelConfig
) -> Iterator[tuple[str, tuple[int, ...]]]:
    widths = (clip.hidden_size, connector, language.backbone.d_model, language.backbone.d_model)
    for index in range(3):
        layer = f'projector.projector.{2 * index}'
        yield f'{layer}.weight', (widths[index + 1], widths[index])
        yield f'{layer}.bias', (widths[index + 1],)


def _llm(language: LanguageModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    size = language.backbone
    width, inner, rank, n = size.d_model, size.d_inner, size.rank, size.d_state
    yield EMBEDDING, (language.vocab_rows, width)
    yield LM_HEAD, (language.vocab_rows, width)
    yield f'{LLM}.backbone.norm_f.weight', (width,)
    for index in range(LAYERS):
        layer = f'{LLM}.backbone.layers.{index}'
        yield f'{layer}.norm.weight', (width,)
        yield f'{layer}.mixer.A_log', (inner, n)
        yield f'{layer}.mixer.D', (inner,)
        yield f'{layer}.mixer.in_proj.weight', (2 * inner, width)
        yield f'{layer}.mixer.conv1d.weight', (inner, 1, size.d_conv)
        yield f'{layer}.mixer.conv1d.bias', (inner,)
        yield f'{layer}.mixer.x_proj.weight', (rank + 2 * n, inner)
        yield f'{layer}.mixer.dt_proj.weight', (inner, rank)
        yield f'{layer}.mixer.dt_proj.bias', (inner,)
        yield f'{layer}.mixer.out_proj.weight', (width, inner)
