"""Random batches from a demonstration store, the same for the same seed and step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.network import images_to_tensor
from robomamba_ros.policies.normalization import Affine, Normalization
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.kept_maps import KeptMaps
from robomamba_ros.training.anolevla.localization import Targets
from robomamba_ros.training.anolevla.row_changes import RowChanges, Rows, moved_pixels
from robomamba_ros.training.anolevla.samples import Indices, Samples
from robomamba_ros.training.anolevla.streams import Lanes, Ticks
from robomamba_ros.training.anolevla.wordings import Wordings


class Batch(NamedTuple):
    """Normalised tensors of b samples; shapes as AnoleVLA.forward and the losses name them."""

    images: Tensor
    state: Tensor
    delta_state: Tensor
    instruction: Tensor
    actions: Tensor
    valid: Tensor
    # None without a localisation loss.
    points: Tensor | None
    pixels: Tensor | None
    # (b,): which are there; past the end of an episode there is nothing.
    present: Tensor
    # Of the sequences: which begin here, without a state; None: all.
    begins: Tensor | None = None


def fit_normalization(samples: Samples) -> Normalization:
    """Return the scales of a data set: states to deviation 1, actions to the range -1..1."""
    state, previous = samples.column('state'), samples.column('previous_state')
    actions = samples.column('actions')[samples.column('valid')]
    return Normalization(
        state=Affine.from_mean(state),
        delta_state=Affine.from_mean(state - previous),
        action=Affine.from_range(actions),
    )


class BatchReader:
    """Reads samples from disk as batches on a device.

    wordings: of the samples' instructions. targets: what the localisation loss is to find, if there
    is one. kept: the maps that stand for the images, if they are kept.
    """

    def __init__(
        self,
        samples: Samples,
        tokenizer: InstructionTokenizer,
        normalization: Normalization,
        wordings: Wordings,
        device: torch.device,
        targets: Targets | None = None,
        kept: KeptMaps | None = None,
    ) -> None:
        self.samples, self._targets, self._kept = samples, targets, kept
        self._normalization, self.device = normalization, device
        self._tokens = wordings.tokens(tokenizer)

    def read(
        self, positions: Indices, present: NDArray[np.bool_], changes: RowChanges | None = None
    ) -> Batch:
        """Return the samples at `positions` (n, ticks), sequence after sequence.

        present (n, ticks): which of them exist; the actions of the others are not valid. changes:
        what training changes in them, if anything.
        """
        places = positions.reshape(-1)
        rows = self.samples.records(places)
        scales = self._normalization
        values = Rows(
            images=rows['images'],
            state=scales.state.normalize(rows['state']),
            delta_state=scales.delta_state.normalize(rows['state'] - rows['previous_state']),
            actions=rows['actions'],
            points=None,
            pixels=None,
        )
        if self._targets is not None:
            points, pixels = self._targets.at(places)
            values = values._replace(points=points, pixels=pixels)
        kept = self._kept
        maps = None
        if kept is not None and changes is not None and changes.variants is not None:
            maps = kept.read(places, changes.variants)
            moved = kept.changes(places, changes.variants)
            side = rows['images'].shape[2]
            values = values._replace(pixels=moved_pixels(moved, values.pixels, side))
        told: Indices | int = 0
        if changes is not None:
            values = changes.apply(values, scales)
            told = 0 if changes.wordings is None else changes.wordings

        def tensor(array: NDArray[Any]) -> Tensor:
            # The fields of a record lie at odd strides, which tensors cannot have.
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        return Batch(
            images=tensor(maps) if maps is not None else images_to_tensor(tensor(values.images)),
            state=tensor(values.state),
            delta_state=tensor(values.delta_state),
            instruction=tensor(self._tokens[rows['instruction'], told]),
            actions=tensor(scales.action.normalize(values.actions)),
            valid=tensor(rows['valid'] & present.reshape(-1, 1)),
            points=None if values.points is None else tensor(values.points),
            pixels=None if values.pixels is None else tensor(values.pixels),
            present=tensor(present.reshape(-1)),
        )


class BatchSampler:
    """Draws batches in which an instruction is as likely as its weight says, whatever its samples.

    ticks: which samples follow which, where the state is carried (config.streaming). Raises
    ConfigError where `emphasis` has instructions that the data has not.
    """

    def __init__(self, reader: BatchReader, config: TrainConfig, ticks: Ticks | None) -> None:
        samples, emphasis = reader.samples, config.emphasis
        instructions = samples.meta.instructions
        for text in emphasis:
            if text not in instructions:
                raise ConfigError(f'emphasis: {unknown_name("instruction", text, instructions)}')
        self._reader, self._config, self._ticks = reader, config, ticks
        numbers = np.unique(samples.instruction)
        self._of_instruction = [np.flatnonzero(samples.instruction == n) for n in numbers]
        weights = np.array([emphasis.get(instructions[number], 1.0) for number in numbers])
        self._probabilities = weights / np.sum(weights)
        self._lanes = None if ticks is None else Lanes(ticks, config, self._draw)

    def batch(self, step: int, own: slice = slice(None)) -> Batch:
        """Return the batch of a training step, a function of the seed and the step alone.

        own: which of its sequences to return.
        """
        if self._lanes is None:
            starts = self._draw(np.random.default_rng([self._config.seed, step]))
            positions, present, begins = starts[:, None], np.ones((len(starts), 1), np.bool_), None
        else:
            positions, present, begins = self._lanes.segment(step)
        changes = RowChanges.draw(self._config, self._reader.samples.meta, step, own)
        batch = self._reader.read(positions[own], present[own], changes)
        if begins is None:
            return batch
        return batch._replace(begins=torch.from_numpy(begins[own]).to(self._reader.device))

    def _draw(self, rng: np.random.Generator) -> Indices:
        """Return a sample for each sequence of a step."""
        drawn = []
        count = len(self._of_instruction)
        sequences = self._config.batch_size // self._config.streaming
        for number in rng.choice(count, sequences, p=self._probabilities):
            places = self._of_instruction[number]
            drawn.append(places[rng.integers(0, len(places))])
        return np.array(drawn)
