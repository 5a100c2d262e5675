"""Sequences of consecutive ticks of an episode, as a policy that carries its state sees them.

A tick is an inference: ticks lie `spacing` steps apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.training.anolevla.samples import Indices, Samples


class Ticks:
    """Which sample follows which: the first of its episode at least `spacing` steps later."""

    def __init__(self, samples: Samples, spacing: int) -> None:
        episodes = np.column_stack((samples.instruction, samples.episode))
        group = np.unique(episodes, axis=0, return_inverse=True)[1].reshape(-1)
        order = np.lexsort((samples.step, group))
        # One number orders all samples by episode and step, with a gap wider than any spacing.
        key = group * (samples.step.max() + 2 * spacing + 1) + samples.step
        sorted_keys, last = key[order], len(order) - 1
        after = np.searchsorted(sorted_keys, key + spacing)
        before = np.searchsorted(sorted_keys, key - spacing, side='right') - 1
        following, preceding = order[after.clip(max=last)], order[before.clip(min=0)]
        self._next = np.where((after <= last) & (group[following] == group), following, -1)
        first = order[np.searchsorted(group[order], group)]
        self._first = np.unique(first)
        self._previous = np.where((before >= 0) & (group[preceding] == group), preceding, first)

    def back(self, positions: Indices, counts: Indices) -> Indices:
        """Return the samples some ticks before others; at most the first of the episode."""
        for done in range(int(counts.max(initial=0))):
            positions = np.where(counts > done, self._previous[positions], positions)
        return positions

    def follow(self, starts: Indices, count: int) -> tuple[Indices, NDArray[np.bool_]]:
        """Return `count` ticks from each of (n,) samples on, (n, count), and which of them exist.

        Past the end of an episode its last tick is repeated, and there is none.
        """
        positions, present = [starts], [np.ones(len(starts), dtype=np.bool_)]
        for _ in range(count - 1):
            following = self._next[positions[-1]]
            present.append(present[-1] & (following >= 0))
            positions.append(np.where(present[-1], following, positions[-1]))
        return np.stack(positions, axis=1), np.stack(present, axis=1)

    def windows(self, count: int) -> Indices:
        """Return the starts of windows of `count` ticks that cover each episode from its start."""
        starts, current = [], self._first
        while len(current):
            starts.append(current)
            positions, present = self.follow(current, count + 1)
            current = positions[present[:, -1], -1]
        return np.concatenate(starts)
