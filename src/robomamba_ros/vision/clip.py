"""CLIP's image tower (Radford et al. 2021, arXiv 2103.00020): patch tokens of a camera image.

The one place that imports `transformers` for it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from robomamba_ros.errors import BackendError, ObservationError
from robomamba_ros.types import UInt8Array
from robomamba_ros.vision.tower import TowerConfig

# Of the images that CLIP was trained with, per channel of 0..1.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ClipConfig(TowerConfig):
    """The defaults are ViT-L/14 at 224 px.

    CLIP has one block more than runs, whose output serves its own training: the tokens of the block
    before the last describe the patches better.
    """

    image_size: int = 224
    patch_size: int = 14
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 23
    num_attention_heads: int = 16


class ClipVision(nn.Module):
    """Patch tokens as they leave the last block that runs, without the class token."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.tower = _tower(config)

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 3, s, s) from `clip_image` -> tokens (b, patches, hidden_size)."""
        hidden = self.tower.pre_layrnorm(self.tower.embeddings(images))
        tokens: Tensor = self.tower.encoder(inputs_embeds=hidden).last_hidden_state
        return tokens[:, 1:]


@dataclass(frozen=True)
class Square:
    """The square in the middle of an image: what the network sees; left, top, side in pixels."""

    left: int
    top: int
    side: int

    @classmethod
    def of(cls, height: int, width: int) -> Square:
        """Return the largest one in an image of this size."""
        side = min(height, width)
        return cls((width - side) // 2, (height - side) // 2, side)


def clip_image(image: UInt8Array, size: int) -> Tensor:
    """Return an RGB image (h, w, 3) uint8 as (3, size, size) float32 on CLIP's scale.

    Raises what `clip_pixels` raises.
    """
    return clip_scale(clip_pixels(image, size))


def clip_pixels(image: UInt8Array, size: int) -> Tensor:
    """Return the middle square of an RGB image (h, w, 3) uint8 as (3, size, size) uint8.

    Resized by antialiased bicubic interpolation. Raises ObservationError for an array that is no
    such image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ObservationError(
            f'the image is {image.shape} {image.dtype}; (height, width, 3) uint8 RGB is needed'
        )
    square = Square.of(*image.shape[:2])
    cut = image[square.top :, square.left :][: square.side, : square.side]
    pixels = torch.from_numpy(np.ascontiguousarray(cut)).permute(2, 0, 1)[None]
    return functional.interpolate(pixels, (size, size), mode='bicubic', antialias=True)[0]


def clip_scale(pixels: Tensor) -> Tensor:
    """Return pixels (..., 3, s, s) uint8 as float32 on CLIP's scale."""
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    return (pixels / 255.0 - mean) / std


def _tower(config: ClipConfig) -> Any:
    try:
        from transformers import CLIPVisionConfig, CLIPVisionModel
    except ImportError as error:
        raise BackendError(
            "a policy that sees by CLIP needs the package 'transformers': "
            "pip install 'robomamba_ros[vlm]'"
        ) from error
    made = CLIPVisionModel(
        CLIPVisionConfig(
            **asdict(config),
            hidden_act='quick_gelu',
            layer_norm_eps=1e-5,
        )
    )
    # Releases differ in whether the tower is the model or lies inside it.
    tower = getattr(made, 'vision_model', made)
    tower.post_layernorm = nn.Identity()  # it belongs to the class token alone
    # A table that no checkpoint holds: it has values also where the weights are still to come.
    positions = config.tokens + 1
    tower.embeddings.position_ids = torch.arange(positions, device='cpu').expand(1, -1)
    return tower
