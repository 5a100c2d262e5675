"""The losses of RoboMamba's stages (paper sections 3.3 and 3.4): words, contact, direction.

`patch_loss` is not the paper's: it helps vision that begins at random to see at all.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from robomamba_ros.policies.robomamba.network import rotation_from_directions

# The arc cosine has no slope at the ends of its range: there the gradient would be infinite.
MARGIN = 1e-6


def answer_loss(logits: Tensor, tokens: Tensor, answers: Tensor) -> Tensor:
    """Cross entropy of the tokens of the answers, a mean over them.

    logits (b, l, v): of what follows each token; tokens (b, l); answers (b, l): true for the tokens
    of answers, false for questions and padding.
    """
    following = answers[:, 1:]
    return functional.cross_entropy(logits[:, :-1][following], tokens[:, 1:][following])


def contact_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """L1 between contact points (b, 2)."""
    return (predicted - target).abs().mean()


def direction_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean angle [rad] between the rotations that two pairs of directions (b, 6) stand for."""
    turn = rotation_from_directions(predicted).mT @ rotation_from_directions(target)
    cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1.0) / 2.0
    return torch.acos(cosine.clamp(-1.0 + MARGIN, 1.0 - MARGIN)).mean()


def patch_loss(marks: Tensor, contact: Tensor) -> Tensor:
    """Which patch of an image has the contact in it, and where in it: cross entropy plus L1.

    marks (b, n, 3), of the n patches of a square row by row: how likely, and column and row in the
    patch, 0..1. contact (b, 2): column and row, 0..1 over the square.
    """
    side = round(marks.shape[1] ** 0.5)
    scaled = contact * side
    column, row = scaled.floor().clamp(0, side - 1).long().unbind(dim=-1)
    patch = row * side + column
    inside = marks[torch.arange(len(marks)), patch, 1:]
    within = scaled - torch.stack((column, row), dim=-1)
    where: Tensor = (inside - within).abs().mean()
    return functional.cross_entropy(marks[..., 0], patch) + where
