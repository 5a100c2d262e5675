"""What training minimises: a policy's losses on one batch, as means over all processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from robomamba_ros.policies.anolevla.network import AnoleVLA, AnoleVLAOutput
from robomamba_ros.training.anolevla.batches import Batch
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.losses import (
    acceleration_loss,
    localization_loss,
    velocity_loss,
)
from robomamba_ros.training.shared.distributed import Group
from robomamba_ros.training.shared.precision import autocast


class Losses(NamedTuple):
    """total: what to minimise; means: the unweighted losses of the whole batch, detached; counts:
    over how many things each is a mean."""

    total: Tensor
    means: dict[str, Tensor]
    counts: dict[str, Tensor]


class Objective(nn.Module):
    """The loss of AnoleVLA; a module, so that processes can share the work of its gradient."""

    def __init__(self, network: AnoleVLA, config: TrainConfig, group: Group) -> None:
        super().__init__()
        self.network = network
        self._config, self._group = config, group

    def forward(self, batch: Batch, second_stage: bool) -> Losses:
        """Return the losses of a batch of which each process has a part.

        The mean of `total` over the processes is that of the whole batch, and so is the mean of
        its gradients, however many actions of each part are valid.
        """
        config, group = self._config, self._group
        with autocast(batch.state.device, config.dtype):
            output = predict(self.network, batch, config.streaming)
        actions, valid = output.actions.float(), batch.valid
        losses = {
            'velocity': velocity_loss(actions, batch.actions, valid),
            'acceleration': acceleration_loss(actions, batch.actions, valid),
        }
        counts = [valid.sum(), (valid[:, 1:] & valid[:, :-1]).sum()]
        where = output.localization
        if where is not None and batch.points is not None and batch.pixels is not None:
            losses['localization'] = localization_loss(
                where.keypoints.float(), batch.pixels, where.points.float(), batch.points
            )
            counts.append(valid.new_tensor(len(valid), dtype=torch.int64))
        here = torch.stack(counts).float()
        everywhere = group.sum(here)
        shares = group.size * here / everywhere.clamp(min=1.0)
        losses = {n: loss * share for (n, loss), share in zip(losses.items(), shares, strict=True)}
        total = losses['velocity']
        if 'localization' in losses:
            total = total + config.localization_weight * losses['localization']
        if second_stage:
            total = total + config.acceleration_weight * losses['acceleration']
        means = group.sum(torch.stack(list(losses.values()))) / group.size
        return Losses(
            total,
            dict(zip(losses, means, strict=True)),
            dict(zip(losses, everywhere, strict=True)),
        )


def predict(network: AnoleVLA, batch: Batch, ticks: int) -> AnoleVLAOutput:
    """Return the network's output for a batch of sequences of `ticks` rows each.

    The state is carried from tick to tick within a sequence, as a policy with the cache `stream`
    carries it: all tokens of a sequence, one after the other, are the same computation.
    """
    prefix, rest, localization = network.tokens(
        batch.images, batch.state, batch.delta_state, batch.instruction
    )
    each = rest.shape[1]
    sequence = rest.unflatten(0, (-1, ticks)).flatten(1, 2)
    if prefix is not None:
        sequence = torch.cat([prefix[::ticks], sequence], dim=1)
    hidden, _ = network.backbone(sequence)
    hidden = hidden[:, -ticks * each :].unflatten(1, (ticks, each)).flatten(0, 1)
    return AnoleVLAOutput(network.actions(hidden), localization)
