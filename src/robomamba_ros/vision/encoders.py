"""The small vision part, for CPUs: images in, keypoint tokens out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from robomamba_ros.errors import ConfigError

# Of an image, for what is left of it after the strides [px].
SMALLEST = 16


class Localization(NamedTuple):
    """Where things are, as the vision part sees it; for the localisation loss.

    keypoints (b, cameras * k, 2) in -1..1 over the image; heat (b, cameras * k, h, w): logits of
    the maps whose means they are, None where only what was seen is kept (`KeypointVision.flat`);
    points (b, 3, 3): object, goal and end effector in the base frame [m]; middle (3, 3): what is
    expected of images that show nothing, without a gradient.
    """

    keypoints: Tensor
    heat: Tensor | None
    points: Tensor
    middle: Tensor


class KeypointSizes(Protocol):
    """What every part that sees by keypoints says of its sizes."""

    @property
    def keypoints(self) -> int:
        """Tokens per camera."""

    @property
    def d_condition(self) -> int:
        """Width of the vector by which the instruction modulates the encoder."""


class VisionTokens(NamedTuple):
    """What a vision part gives: tokens (b, n, d_model), cameras in order, and what it localised."""

    tokens: Tensor
    localization: Localization | None


@dataclass(frozen=True)
class KeypointConfig:
    """Sizes of the keypoint encoder; the defaults are those of the shipped small policies."""

    # Side of an image [px].
    image_size: int = 96
    # Tokens per camera.
    keypoints: int = 32
    # Width of the vector by which the instruction modulates the encoder.
    d_condition: int = 128
    # Channels at a quarter and at an eighth of the image's size.
    fine: int = 48
    coarse: int = 96

    def __post_init__(self) -> None:
        if self.image_size < SMALLEST:
            raise ConfigError(f'image_size is {self.image_size}; keypoints need {SMALLEST} px')

    @property
    def tokens(self) -> int:
        """Vision tokens per camera."""
        return self.keypoints


class KeypointVision(nn.Module):
    """Keypoint tokens of several cameras, looked for as the instruction says."""

    def __init__(
        self, config: KeypointSizes, cameras: int, d_model: int, encoder: nn.Module
    ) -> None:
        """Make one whose `encoder` finds keypoints in an image under a condition."""
        super().__init__()
        width = config.d_condition
        self.condition = nn.Sequential(
            nn.Linear(d_model, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.encoder = encoder
        self.camera = nn.Parameter(torch.zeros(cameras, 1, d_model))
        self.keypoint = nn.Parameter(0.02 * torch.randn(config.keypoints, d_model))
        self.localization = nn.Linear(cameras * config.keypoints * d_model, 9)

    def expect(self, points: Tensor) -> None:
        """Begin with points (3, 3) [m] as those that are seen."""
        with torch.no_grad():
            self.localization.bias.copy_(points.flatten())

    def forward(self, images: Tensor, language: Tensor) -> VisionTokens:
        """Images (b, cameras, 3, s, s) in -1..1, language (b, N_l, d_model) -> n = cameras * k.

        Or what `flat` made of what was seen, instead of images (b, numbers).
        """
        if images.ndim == 2:
            return self._whole(images)
        batch, cameras = images.shape[:2]
        condition = self.condition(language.mean(dim=1))
        found, keypoints, heat = self.encoder(
            images.flatten(0, 1), condition.repeat_interleave(cameras, dim=0)
        )
        tokens = found.unflatten(0, (batch, cameras)) + self.keypoint + self.camera
        points = self.localization(functional.silu(tokens.flatten(1))).unflatten(1, (3, 3))
        middle = self.localization.bias.detach().view(3, 3)
        keypoints = keypoints.reshape(batch, -1, 2)
        heat = heat.reshape(batch, -1, *heat.shape[2:])
        where = Localization(keypoints, heat, points, middle)
        return VisionTokens(tokens.flatten(1, 2), where)

    @staticmethod
    def flat(seen: VisionTokens) -> Tensor:
        """Return tokens, keypoints and points in one row for each sample (b, numbers).

        Heat maps are left out.
        """
        where = seen.localization
        places = () if where is None else (where.keypoints.flatten(1), where.points.flatten(1))
        return torch.cat((seen.tokens.flatten(1), *places), dim=1)

    @property
    def flat_size(self) -> int:
        """Numbers in a row of `flat`."""
        return len(self.camera) * (self.keypoint.numel() + 2 * len(self.keypoint)) + 9

    def _whole(self, rows: Tensor) -> VisionTokens:
        count, d_model = len(self.camera) * len(self.keypoint), self.keypoint.shape[1]
        ends = (count * d_model, count * (d_model + 2))
        tokens, keypoints, points = rows.tensor_split(ends, dim=1)
        where = Localization(
            keypoints=torch.unflatten(keypoints, 1, (count, 2)),
            heat=None,
            points=torch.unflatten(points, 1, (3, 3)),
            middle=self.localization.bias.detach().view(3, 3),
        )
        return VisionTokens(torch.unflatten(tokens, 1, (count, d_model)), where)


class FilmResidualBlock(nn.Module):
    """Two 3x3 convolutions with group normalisation, modulated by a vector (FiLM, Perez 2018)."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.film = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Features (b, c, h, w), condition (b, k) -> (b, c, h, w)."""
        hidden = self.conv1(functional.silu(self.norm1(features)))
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm2(hidden) * (1.0 + scale) + shift
        change: Tensor = self.conv2(functional.silu(hidden))
        return features + change


class KeypointEncoder(nn.Module):
    """A small convolutional network whose tokens are keypoints."""

    def __init__(self, config: KeypointConfig, d_model: int) -> None:
        super().__init__()
        fine, coarse, condition = config.fine, config.coarse, config.d_condition
        self.stem = nn.Conv2d(3, fine, 8, stride=4, padding=2)
        self.fine1 = FilmResidualBlock(fine, condition)
        self.down = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.coarse1 = FilmResidualBlock(coarse, condition)
        self.coarse2 = FilmResidualBlock(coarse, condition)
        self.up = nn.Conv2d(coarse, fine, 1)
        self.fine2 = FilmResidualBlock(fine, condition)
        self.heat = nn.Conv2d(fine, config.keypoints, 1)
        self.project = nn.Linear(2 + fine, d_model)

    def forward(self, images: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (b, 3, s, s) in -1..1, condition (b, k) -> as `find_keypoints`."""
        fine = self.fine1(self.stem(images), condition)
        coarse = self.coarse2(self.coarse1(self.down(fine), condition), condition)
        fine = fine + functional.interpolate(self.up(coarse), scale_factor=2.0, mode='nearest')
        fine = self.fine2(fine, condition)
        return find_keypoints(fine, self.heat, self.project)


def find_keypoints(
    fine: Tensor, heat: nn.Module, project: nn.Module
) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens (b, k, d_model), keypoints (b, k, 2) and their heat maps (b, k, h, w).

    fine (b, c, h, w); heat: to k channels; project: from 2 + c. Each of the k heat maps over the
    image attends to one place: its token carries where (Finn et al. 2016, "Deep spatial
    autoencoders"), x to the right and y down, -1..1, and what the features are there. Where things
    are survives to the action head at sub-pixel precision, which pooling would lose.
    """
    height, width = fine.shape[2:]
    maps = heat(fine).float()
    attention = maps.flatten(2).softmax(dim=-1)
    grid_y, grid_x = torch.meshgrid(
        _cell_centres(height, fine.device), _cell_centres(width, fine.device), indexing='ij'
    )
    grid = torch.stack((grid_x.flatten(), grid_y.flatten()), dim=-1)
    keypoints = attention @ grid
    found = attention.to(fine.dtype) @ fine.flatten(2).transpose(1, 2)
    tokens: Tensor = project(torch.cat((keypoints.to(found.dtype), found), dim=-1))
    return tokens, keypoints, maps


def _cell_centres(cells: int, device: torch.device) -> Tensor:
    return (torch.arange(cells, device=device, dtype=torch.float32) + 0.5) * (2.0 / cells) - 1.0
