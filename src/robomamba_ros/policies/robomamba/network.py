"""The RoboMamba network: CLIP, connector, Mamba language model, pose head (sections 3.2, 3.4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from robomamba_ros.mamba.language_model import MambaLanguageModel
from robomamba_ros.policies.robomamba.config import RoboMambaConfig, VisionConfig
from robomamba_ros.vision.clip import ClipVision


class PoseOutput(NamedTuple):
    """contact (b, 2): column and row, 0..1 over the square that the network sees; directions
    (b, 6): up and forward of the end effector in the camera's frame, neither normed nor square."""

    contact: Tensor
    directions: Tensor


class Vision(nn.Module):
    """CLIP's patches as tokens of the language model."""

    def __init__(self, config: VisionConfig, d_model: int) -> None:
        super().__init__()
        self.image_size = config.clip.image_size
        self.clip = ClipVision(config.clip)
        self.connector = nn.Sequential(
            nn.Linear(config.clip.hidden_size, config.connector),
            nn.GELU(),
            nn.Linear(config.connector, d_model),
            nn.GELU(),
            nn.Linear(d_model, d_model),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 3, s, s) on CLIP's scale -> tokens (b, patches, d_model)."""
        tokens: Tensor = self.connector(self.clip(images))
        return tokens


class PoseHead(nn.Module):
    """Two MLPs over one pooled token: where to make contact, and how to turn."""

    def __init__(self, d_model: int, widths: tuple[int, int]) -> None:
        super().__init__()
        self.position = _mlp(d_model, widths, 2)
        self.direction = _mlp(d_model, widths, 6)

    def forward(self, pooled: Tensor) -> PoseOutput:
        """Compute in float32 from (b, d_model): 16 bits would resolve a contact to two pixels."""
        pooled = pooled.float()
        return PoseOutput(self.position(pooled), self.direction(pooled))


class RoboMamba(nn.Module):
    """Vision tokens, then text, through the language model. `vision` and `head` may be absent."""

    def __init__(self, config: RoboMambaConfig) -> None:
        super().__init__()
        width = config.language.backbone.d_model
        self.config = config
        self.vision = None if config.vision is None else Vision(config.vision, width)
        self.language = MambaLanguageModel(config.language)
        self.head = None if config.head is None else PoseHead(width, config.head)

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        """Return the hidden states of the text (b, l, d_model).

        images (b, 3, s, s) on CLIP's scale; text (b, l) token ids. Padding belongs on the right:
        what comes later changes nothing before it.
        """
        if self.vision is None:
            raise ValueError('this network has no vision')
        seen = self.vision(images)
        hidden, _ = self.language.backbone(torch.cat((seen, self.language.embedding(text)), dim=1))
        text_hidden: Tensor = hidden[:, seen.shape[1] :]
        return text_hidden

    def pose(self, first: Tensor, last: Tensor) -> PoseOutput:
        """Return the pose that the head reads in the first and the last token of a text (b, d)."""
        if self.head is None:
            raise ValueError('this network has no pose head')
        output: PoseOutput = self.head((first + last) / 2)
        return output


def last_token(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Return the last token (b, d) that is no padding of texts (b, l, d) with lengths (b,)."""
    last: Tensor = hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
    return last


def rotation_from_directions(directions: Tensor) -> Tensor:
    """Return rotations (b, 3, 3) from up and forward (b, 6), by Gram-Schmidt (Zhou et al. 2019).

    Up keeps its direction, forward is made square to it, left = up x forward. The columns are
    forward, left, up: the end effector's x, y and z axis.
    """
    up = functional.normalize(directions[..., :3], dim=-1)
    forward = directions[..., 3:]
    forward = forward - (up * forward).sum(dim=-1, keepdim=True) * up
    forward = functional.normalize(forward, dim=-1)
    return torch.stack((forward, torch.linalg.cross(up, forward), up), dim=-1)


def _mlp(d_model: int, widths: tuple[int, int], outputs: int) -> nn.Sequential:
    first, second = widths
    return nn.Sequential(
        nn.Linear(d_model, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, outputs, bias=False),
    )
