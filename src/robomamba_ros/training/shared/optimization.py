"""How weights change: which of them decay, at what rate they learn, and their running average."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from robomamba_ros.training.anolevla.config import TrainConfig


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW that decays matrices only.

    Vectors, and Mamba's A and D, which set time constants, stay free.
    """
    named = list(network.named_parameters())
    free = [p for n, p in named if p.ndim < 2 or n.endswith(('A_log', '.D'))]
    decayed = [p for n, p in named if p.ndim >= 2 and not n.endswith('A_log')]
    groups: list[dict[str, object]] = [
        {'params': decayed, 'weight_decay': config.weight_decay},
        {'params': free, 'weight_decay': 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate at a step: linear warm-up, then a cosine down to the final rate."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    span = max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * (step - config.warmup_steps) / span))
    return config.final_learning_rate + cosine * (config.learning_rate - config.final_learning_rate)


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's weights, which may go on changing, as they are now."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


@torch.no_grad()
def average(ema: dict[str, Tensor], network: nn.Module, config: TrainConfig, step: int) -> None:
    """Move an average of weights towards those of the network after step number `step`."""
    # A short average at first, or the random start would linger in it.
    decay = min(config.ema_decay, (1.0 + step) / (10.0 + step))
    for name, value in network.state_dict().items():
        ema[name].lerp_(value, 1.0 - decay)
