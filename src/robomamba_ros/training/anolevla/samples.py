"""The samples of a demonstration store that a run may use: which, of which episode, and where.

Images stay on disk until they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.datasets.demonstrations import DatasetMeta, open_shards
from robomamba_ros.errors import ConfigError

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """n samples; instruction (by its number in `meta`), episode, step: (n,) each.

    An episode is known by its instruction and its number. shard, row: (n,), where a sample lies.
    """

    meta: DatasetMeta
    shards: Sequence[NDArray[Any]]
    instruction: Indices
    episode: Indices
    step: Indices
    shard: Indices
    row: Indices

    @classmethod
    def load(cls, folder: Path) -> Samples:
        """Return all samples of a store; raises DataError where it is missing or damaged."""
        meta, shards = open_shards(folder)
        lengths = [len(shard) for shard in shards]

        def column(name: str) -> Indices:
            return np.concatenate([shard[name] for shard in shards]).astype(np.int64)

        return cls(
            meta,
            shards,
            instruction=column('instruction'),
            episode=column('episode'),
            step=column('step'),
            shard=np.repeat(np.arange(len(shards)), lengths),
            row=np.concatenate([np.arange(length) for length in lengths]),
        )

    def __len__(self) -> int:
        return len(self.row)

    @property
    def places(self) -> Indices:
        """All positions 0 .. n - 1."""
        return np.arange(len(self))

    def records(self, positions: Indices) -> NDArray[Any]:
        """Return the records (see sample_dtype) at some positions, read from disk."""
        places = zip(self.shard[positions], self.row[positions], strict=True)
        return np.stack([self.shards[shard][row] for shard, row in places])

    def column(self, name: str) -> NDArray[Any]:
        """Return one field of all samples, (n, ...)."""
        parts = [
            shard[name][self.row[self.shard == number]] for number, shard in enumerate(self.shards)
        ]
        return np.concatenate(parts)

    def ranks(self) -> Indices:
        """Return for each sample how many episodes of its instruction have smaller numbers."""
        ranks = np.zeros(len(self), dtype=np.int64)
        for number in np.unique(self.instruction):
            here = self.instruction == number
            ranks[here] = np.unique(self.episode[here], return_inverse=True)[1]
        return ranks

    def where(self, keep: NDArray[np.bool_]) -> Samples:
        """Return the samples at which `keep` (n,) is true."""
        columns = (self.instruction, self.episode, self.step, self.shard, self.row)
        return Samples(self.meta, self.shards, *(column[keep] for column in columns))

    @property
    def instructions(self) -> tuple[str, ...]:
        """Those that there are samples of."""
        return tuple(self.meta.instructions[number] for number in np.unique(self.instruction))

    def count_episodes(self) -> dict[str, int]:
        """Return the number of episodes by instruction; of one without episodes 0."""
        counts = dict.fromkeys(self.meta.instructions, 0)
        pairs = np.unique(np.column_stack((self.instruction, self.episode)), axis=0)
        for number in pairs[:, 0]:
            counts[self.meta.instructions[number]] += 1
        return counts


def limit_episodes(samples: Samples, count: int) -> Samples:
    """Return the samples of the first `count` episodes of each instruction; 0: of all."""
    return samples.where(samples.ranks() < count) if count else samples


def hold_out(samples: Samples, share: float) -> tuple[Samples, Samples]:
    """Return the samples to train on, and those of a share of each instruction's episodes.

    Held out are every 1/share-th episodes in the order of their numbers, so that episodes added
    later do not change on which side the others are. Raises ConfigError where nothing is left.
    """
    ranks = samples.ranks()
    # 1e-9: 0.29 * 100 is a little less than 29.
    held = np.floor((ranks + 1) * share + 1e-9) > np.floor(ranks * share + 1e-9)
    if held.all() or not held.any():
        raise ConfigError(
            f'validation_share {share} holds out {"all" if held.all() else "none"} of the data: '
            f'the instruction with most episodes has {ranks.max() + 1}; give another share, or '
            'validation_data'
        )
    return samples.where(~held), samples.where(held)
