"""The error on held-out episodes, and when a stage ends because of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.training.anolevla.batches import BatchReader
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.objective import Objective
from robomamba_ros.training.anolevla.streams import Ticks
from robomamba_ros.training.shared.distributed import Group

MEASURED = ('velocity', 'acceleration')


class Validation:
    """Held-out samples, the same at every call, spread evenly over all that there are."""

    def __init__(
        self,
        reader: BatchReader,
        network: AnoleVLA,
        config: TrainConfig,
        group: Group,
        ticks: Ticks | None,
    ) -> None:
        self._reader, self._group = reader, group
        # Each process goes through its part by itself; the sums meet at the end.
        self._objective = Objective(network, config, Group(), config.sequence)
        length = config.sequence
        self._each = max(1, config.batch_size // length)
        starts = reader.samples.places if ticks is None else ticks.windows(length)
        count = min(len(starts), max(1, config.validation_samples // length))
        chosen = starts[np.linspace(0, len(starts) - 1, count).astype(np.int64)]
        self._positions = chosen[:, None]
        self._present = np.ones_like(self._positions, dtype=np.bool_)
        if ticks is not None:
            self._positions, self._present = ticks.follow(chosen, length)

    @torch.no_grad()
    def losses(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the losses of the network with `weights`, means over all held-out samples."""
        named = {f'network.{name}': value for name, value in weights.items()}
        positions, present = (
            self._positions[self._group.rank_slice],
            self._present[self._group.rank_slice],
        )
        sums = torch.zeros(len(MEASURED), 2, dtype=torch.float64, device=self._reader.device)
        for first in range(0, len(positions), self._each):
            part = slice(first, first + self._each)
            batch = self._reader.read(positions[part], present[part])
            found = functional_call(self._objective, named, (batch, False))
            for row, name in zip(sums, MEASURED, strict=True):
                row += torch.stack((found.means[name] * found.counts[name], found.counts[name]))
        totals = self._group.sum(sums).tolist()
        return {name: total / count for name, (total, count) in zip(MEASURED, totals, strict=True)}


@dataclass
class Best:
    """The smallest error of a stage so far, and how many later ones were not smaller."""

    error: float = math.inf
    since: int = 0

    def better(self, error: float) -> bool:
        """Take note of an error; return whether it is the smallest."""
        self.since = 0 if error < self.error else self.since + 1
        self.error = min(error, self.error)
        return self.since == 0
