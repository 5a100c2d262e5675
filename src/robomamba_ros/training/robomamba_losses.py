"""The losses of RoboMamba's stages (paper sections 3.3 and 3.4): words, contact, direction."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from robomamba_ros.policies.robomamba.network import rotation_from_directions

# The arc cosine has no slope at the ends of its range: there the gradient would be infinite.
MARGIN = 1e-6


def answer_loss(logits: Tensor, tokens: Tensor, said: Tensor) -> Tensor:
    """Cross entropy of the tokens that the model is to say itself, a mean over them.

    logits (b, l, v): of what follows each token; tokens (b, l); said (b, l): true for the tokens
    of answers, false for questions and padding.
    """
    following = said[:, 1:]
    return functional.cross_entropy(logits[:, :-1][following], tokens[:, 1:][following])


def contact_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """L1 between contact points (b, 2)."""
    return (predicted - target).abs().mean()


def direction_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean angle [rad] between the rotations that two pairs of directions (b, 6) stand for."""
    turn = rotation_from_directions(predicted).mT @ rotation_from_directions(target)
    cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1.0) / 2.0
    return torch.acos(cosine.clamp(-1.0 + MARGIN, 1.0 - MARGIN)).mean()
