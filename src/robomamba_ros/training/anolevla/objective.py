"""What training minimises: a policy's losses on one batch, as means over all processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from robomamba_ros.mamba.state import MambaState
from robomamba_ros.policies.anolevla.network import AnoleVLA, AnoleVLAOutput, Tokens
from robomamba_ros.training.anolevla.batches import Batch
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.losses import (
    acceleration_loss,
    heat_loss,
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
    """The loss of AnoleVLA; a module, so that processes can share the work of its gradient.

    ticks: of each sequence of a batch. carried: the state after the last batch, without gradients,
    with which the sequences of the next go on that do not begin there.
    """

    def __init__(self, network: AnoleVLA, config: TrainConfig, group: Group, ticks: int) -> None:
        super().__init__()
        self.network = network
        self._config, self._group, self._ticks = config, group, ticks
        self.carried: MambaState | None = None

    def forward(self, batch: Batch, second_stage: bool) -> Losses:
        """Return the losses of a batch of which each process has a part.

        The mean of `total` over the processes is that of the whole batch, and so is the mean of
        its gradients, however many actions of each part are valid.
        """
        config, group = self._config, self._group
        with autocast(batch.state.device, config.dtype):
            output, after = predict(self.network, batch, self._ticks, self.carried)
        if config.stream_segments > 1 and torch.is_grad_enabled():
            self.carried = after.snapshot()
        actions, valid = output.actions.float(), batch.valid
        losses = {
            'velocity': velocity_loss(actions, batch.actions, valid),
            'acceleration': acceleration_loss(actions, batch.actions, valid),
        }
        counts = [valid.sum(), (valid[:, 1:] & valid[:, :-1]).sum()]
        where = output.localization
        if where is not None and batch.points is not None and batch.pixels is not None:
            absent = ~batch.present
            pixels = batch.pixels.masked_fill(absent[:, None, None, None], torch.nan)
            points = batch.points.masked_fill(absent[:, None, None], torch.nan)
            losses['localization'] = localization_loss(
                where.keypoints.float(), pixels, where.points.float(), points
            )
            counts.append(valid.new_tensor(len(valid), dtype=torch.int64))
            if config.heat_weight and where.heat is not None:
                losses['heat'] = heat_loss(where.heat.float(), pixels)
                counts.append(counts[-1])
        here = torch.stack(counts).float()
        everywhere = group.sum(here)
        shares = group.size * here / everywhere.clamp(min=1.0)
        losses = {n: loss * share for (n, loss), share in zip(losses.items(), shares, strict=True)}
        total = losses['velocity']
        if 'localization' in losses:
            total = total + config.localization_weight * losses['localization']
        if 'heat' in losses:
            total = total + config.heat_weight * losses['heat']
        if second_stage:
            total = total + config.acceleration_weight * losses['acceleration']
        means = group.sum(torch.stack(list(losses.values()))) / group.size
        return Losses(
            total,
            dict(zip(losses, means, strict=True)),
            dict(zip(losses, everywhere, strict=True)),
        )


def predict(
    network: AnoleVLA, batch: Batch, ticks: int, carried: MambaState | None = None
) -> tuple[AnoleVLAOutput, MambaState]:
    """Return the network's output for a batch of sequences of `ticks` rows each, and its state.

    The state is carried from tick to tick within a sequence, as a policy with the cache `stream`
    carries it: all tokens of a sequence, one after the other, are the same computation. Sequences
    that do not begin here go on from `carried`.
    """
    prefix, rest, localization = _tokens(network, batch)
    each = rest.shape[1]
    sequence = rest.unflatten(0, (-1, ticks)).flatten(1, 2)
    begins, state = batch.begins, None
    if carried is not None and begins is not None and not begins.all():
        empty = MambaState.empty(network.config.backbone, len(begins), device=begins.device)
        state = empty if prefix is None else network.backbone(prefix[::ticks])[1]
        state = state.where(begins, carried)
    elif prefix is not None:
        sequence = torch.cat([prefix[::ticks], sequence], dim=1)
    hidden, after = network.backbone(sequence, state)
    hidden = hidden[:, -ticks * each :].unflatten(1, (ticks, each)).flatten(0, 1)
    return AnoleVLAOutput(network.actions(hidden), localization), after


def _tokens(network: AnoleVLA, batch: Batch) -> Tokens:
    """Return the tokens of a batch; zeros where an episode has ended, at which nobody looks."""
    given = (batch.images, batch.state, batch.delta_state, batch.instruction)
    rows = batch.present.nonzero()[:, 0]
    if len(rows) == len(batch.present):
        return network.tokens(*given)
    prefix, rest, localization = network.tokens(*(each[rows] for each in given))

    def whole(part: Tensor) -> Tensor:
        return part.new_zeros(len(batch.present), *part.shape[1:]).index_copy(0, rows, part)

    if localization is not None:
        keypoints, points = whole(localization.keypoints), whole(localization.points)
        heat = None if localization.heat is None else whole(localization.heat)
        localization = localization._replace(keypoints=keypoints, heat=heat, points=points)
    return Tokens(None if prefix is None else whole(prefix), whole(rest), localization)
