"""Optimizer, learning rate and running average of weights, for both trainers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def make_optimizer(
    named: Iterable[tuple[str, nn.Parameter]],
    learning_rate: float,
    weight_decay: float,
    also_decayed: Iterable[nn.Parameter] = (),
) -> torch.optim.AdamW:
    """Return AdamW over the parameters of a network, of which only the matrices decay.

    Vectors, and Mamba's A and D, which set time constants, do not decay. also_decayed: parameters
    beside the network's, which decay whatever their shape.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in named:
        decays = parameter.ndim >= 2 and not name.endswith('A_log')
        (decayed if decays else free).append(parameter)
    groups: list[dict[str, object]] = [
        {'params': [*decayed, *also_decayed], 'weight_decay': weight_decay},
        {'params': free, 'weight_decay': 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.999))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of parameters this rate from the next step on."""
    for group in optimizer.param_groups:
        group['lr'] = rate


def cosine(step: float, begin: float, end: float, *, peak: float, final: float) -> float:
    """Return the rate on a half cosine that falls from `peak` at step `begin` to `final` at `end`.

    Loshchilov and Hutter (2017), equation 5, without restarts.
    """
    share = (step - begin) / max(1.0, end - begin)
    return final + 0.5 * (1.0 + math.cos(math.pi * share)) * (peak - final)


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's weights, which may go on changing, as they are now."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


@torch.no_grad()
def average(ema: dict[str, Tensor], network: nn.Module, decay: float, step: int) -> None:
    """Move an exponential average of weights towards those of the network after step `step`.

    decay: 0 .. 1, the share of the average that stays; 0 copies the network's weights.
    """
    # A short average at first, or the random start would linger in it.
    decay = min(decay, (1.0 + step) / (10.0 + step))
    for name, value in network.state_dict().items():
        ema[name].lerp_(value, 1.0 - decay)
