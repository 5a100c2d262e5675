"""Sequences of consecutive ticks of an episode, as a policy that carries its state sees them.

A tick is an inference: ticks lie `spacing` steps apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.training.anolevla.config import TrainConfig
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


class Segment(NamedTuple):
    """What one step takes of n sequences: positions, present (n, ticks) as of Ticks.follow, and
    begins (n,): which of them begin here, without a state."""

    positions: Indices
    present: NDArray[np.bool_]
    begins: NDArray[np.bool_]


class Lanes:
    """Sequences that go on over several steps, side by side; a function of the seed and the step.

    All begin together at every `stream_segments`-th step. Between, one whose episode has ended is
    followed by another, and so is one that is left at random (`stream_resets`). draw: gives a
    sample for each sequence.
    """

    def __init__(
        self, ticks: Ticks, config: TrainConfig, draw: Callable[[np.random.Generator], Indices]
    ) -> None:
        self._ticks, self._config, self._draw = ticks, config, draw

    def segment(self, step: int) -> Segment:
        """Return what a training step takes of each sequence."""
        config = self._config
        first = step - step % config.stream_segments
        starts, _ = self._begin(first)
        begins = np.ones(len(starts), dtype=np.bool_)
        # One more than a step takes, with which the next one goes on.
        positions, present = self._ticks.follow(starts, config.streaming + 1)
        for number in range(first + 1, step + 1):
            others, rng = self._begin(number)
            begins = ~present[:, -1] | (rng.random(len(others)) < config.stream_resets)
            starts = np.where(begins, others, positions[:, -1])
            positions, present = self._ticks.follow(starts, config.streaming + 1)
        return Segment(positions[:, :-1], present[:, :-1], begins)

    def _begin(self, step: int) -> tuple[Indices, np.random.Generator]:
        """Return where sequences would begin at a step, and what else is drawn there from."""
        rng = np.random.default_rng([self._config.seed, step])
        drawn = self._draw(rng)
        # The sample drawn is any of the ticks, so that the first of an episode come up as well.
        return self._ticks.back(drawn, rng.integers(0, self._config.sequence, len(drawn))), rng
