"""The AnoleVLA network (arXiv 2603.15046, section IV-B) on normalised tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from robomamba_ros.mamba.backbone import MambaBackbone
from robomamba_ros.mamba.packing import pack
from robomamba_ros.policies.anolevla.config import AnoleVLAConfig
from robomamba_ros.vision.efficientnet import EfficientNetConfig, EfficientNetVision
from robomamba_ros.vision.encoders import (
    KeypointConfig,
    KeypointEncoder,
    KeypointVision,
    Localization,
)
from robomamba_ros.vision.siglip import SiglipVision

# What may compute in bfloat16. The state comes in and the actions go out in float32: three
# significant digits are too few for a position. The same holds for how fast the backbone forgets.
LARGE_PARTS = ('vision', 'language', 'project', 'backbone')
# What places are counted in, before they become part of a token [m].
PLACE_SCALE_M = 0.1
PRECISE = ('A_log', '.D', 'dt_proj.bias', 'conv1d.weight', 'conv1d.bias')


class Tokens(NamedTuple):
    """The input sequence: what stays the same from tick to tick, where the order begins with it
    (b, l, d_model), and the rest (b, m, d_model)."""

    prefix: Tensor | None
    rest: Tensor
    localization: Localization | None


class AnoleVLAOutput(NamedTuple):
    """actions (b, H, d_a) on the unit scale, and where the vision part sees things, if it says."""

    actions: Tensor
    localization: Localization | None


class AnoleVLA(nn.Module):
    """Vision and language parts as the configuration names them, projections, backbone, head."""

    def __init__(self, config: AnoleVLAConfig) -> None:
        super().__init__()
        spec, d_model = config.spec, config.backbone.d_model
        self.config = config
        self.state = nn.Linear(len(spec.state_names), d_model)
        self.delta_state = nn.Linear(len(spec.state_names), d_model)
        self.places = nn.Linear(9, d_model) if config.places else nn.Identity()
        self.language = nn.Embedding(config.language.vocabulary, d_model)
        self.project = nn.Linear(d_model, d_model) if config.language.project else nn.Identity()
        self.vision = _vision(config, d_model)
        self.backbone = MambaBackbone(config.backbone)
        self.head = nn.Linear(d_model, spec.horizon * len(spec.action_names))

    def large(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that may compute in bfloat16."""
        for name, parameter in self.named_parameters():
            if name.startswith(LARGE_PARTS) and not name.endswith(PRECISE):
                yield parameter

    def compute_in(self, dtype: torch.dtype) -> None:
        """Give the large parameters the type `dtype`, the others float32."""
        large = set(self.large())
        for parameter in self.parameters():
            target = dtype if parameter in large else torch.float32
            # A copy, also where the type is right: one tensor would keep its whole file mapped.
            parameter.data = parameter.data.to(target, copy=True)

    def pack(self) -> None:
        """Lay out the weights for inference, once for all."""
        pack(self.vision)
        pack(self.backbone)

    def prefix(self, instruction: Tensor) -> Tensor:
        """Return the embeddings (b, N_l, d_model) of an instruction that comes first."""
        words: Tensor = self.project(self.language(instruction))
        return words.to(self.head.weight.dtype)

    def tokens(
        self, images: Tensor, state: Tensor, delta_state: Tensor, instruction: Tensor
    ) -> Tokens:
        """Return the input sequence; arguments as of `forward`."""
        language = self.project(self.language(instruction))
        vision, localization = self.vision(images.to(language.dtype), language)
        measured = self.state(state)
        if self.config.places and localization is not None:
            points = (localization.points - localization.middle) / PLACE_SCALE_M
            measured = measured + self.places(points.flatten(1).to(measured.dtype))
        parts = {
            'state': measured[:, None],
            'delta_state': self.delta_state(delta_state)[:, None],
            'vision': vision,
            'language': language,
        }
        order = self.config.token_order
        constant = 1 if self.config.constant_prefix else 0
        # The backbone sums in float32 whatever the type of its weights.
        sequence = [parts[name].to(self.head.weight.dtype) for name in order]
        prefix = sequence[0] if constant else None
        return Tokens(prefix, torch.cat(sequence[constant:], dim=1), localization)

    def actions(self, hidden: Tensor) -> Tensor:
        """Return actions (b, H, d_a) from the hidden states of a sequence (b, l, d_model)."""
        spec = self.config.spec
        chunk = self.head(hidden[:, -1].to(self.head.weight.dtype))
        return torch.unflatten(chunk, 1, (spec.horizon, len(spec.action_names)))

    def forward(
        self, images: Tensor, state: Tensor, delta_state: Tensor, instruction: Tensor
    ) -> AnoleVLAOutput:
        """Run one forward pass.

        images (b, cameras, 3, s, s) in -1..1; state, delta_state (b, d_s) on the unit scale;
        instruction (b, N_l) token ids.
        """
        prefix, rest, localization = self.tokens(images, state, delta_state, instruction)
        sequence = rest if prefix is None else torch.cat([prefix, rest], dim=1)
        hidden, _ = self.backbone(sequence)
        return AnoleVLAOutput(self.actions(hidden), localization)


def _vision(
    config: AnoleVLAConfig, d_model: int
) -> KeypointVision | SiglipVision | EfficientNetVision:
    sizes, cameras = config.vision, len(config.spec.cameras)
    if isinstance(sizes, KeypointConfig):
        return KeypointVision(sizes, cameras, d_model, KeypointEncoder(sizes, d_model))
    if isinstance(sizes, EfficientNetConfig):
        return EfficientNetVision(sizes, cameras, d_model)
    return SiglipVision(sizes, d_model)


def images_to_tensor(images: Tensor) -> Tensor:
    """Return (..., h, w, 3) uint8 images as (..., 3, h, w) float32 in -1..1."""
    return rescaled(images.movedim(-1, -3).float())


def rescaled(pixels: Tensor) -> Tensor:
    """Return float32 pixels of 0..255 in -1..1."""
    return pixels / 127.5 - 1.0
