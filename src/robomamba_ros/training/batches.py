"""Random batches from a demonstration store, the same for the same seed and step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robomamba_ros.data.demonstrations import DatasetMeta
from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.network import images_to_tensor
from robomamba_ros.policies.normalization import Affine, Normalization


class Batch(NamedTuple):
    """Normalised tensors of b samples; shapes as AnoleVLA.forward and the losses name them."""

    images: Tensor
    state: Tensor
    delta_state: Tensor
    instruction: Tensor
    actions: Tensor
    valid: Tensor
    points: Tensor
    pixels: Tensor


def fit_normalization(shards: Sequence[NDArray[Any]]) -> Normalization:
    """Return the scales of a data set: states to deviation 1, actions to the range -1..1."""
    state = np.concatenate([shard['state'] for shard in shards])
    previous = np.concatenate([shard['previous_state'] for shard in shards])
    actions = np.concatenate([shard['actions'][shard['valid']] for shard in shards])
    return Normalization(
        state=Affine.from_mean(state),
        delta_state=Affine.from_mean(state - previous),
        action=Affine.from_range(actions),
    )


class BatchSampler:
    """Draws batches in which an instruction is as likely as its weight says, whatever its samples.

    emphasis: weight of instructions that are not to count 1; must be instructions of the data.
    """

    def __init__(
        self,
        meta: DatasetMeta,
        shards: Sequence[NDArray[Any]],
        tokenizer: InstructionTokenizer,
        normalization: Normalization,
        seed: int,
        emphasis: Mapping[str, float],
    ) -> None:
        for text in emphasis:
            if text not in meta.instructions:
                raise ConfigError(
                    f'emphasis: {unknown_name("instruction", text, meta.instructions)}'
                )
        self._shards = shards
        self._normalization = normalization
        self._seed = seed
        self._tokens = np.stack([tokenizer.encode(text) for text in meta.instructions])
        self._of_instruction: list[NDArray[np.int64]] = []
        weights = []
        for number, text in enumerate(meta.instructions):
            places = [
                np.column_stack((np.full(len(rows), index), rows))
                for index, shard in enumerate(shards)
                if len(rows := np.flatnonzero(shard['instruction'] == number))
            ]
            if places:
                self._of_instruction.append(np.concatenate(places))
                weights.append(emphasis.get(text, 1.0))
        self._probabilities = np.array(weights) / np.sum(weights)

    def batch(self, step: int, size: int) -> Batch:
        """Return the batch of one training step; a function of the seed and the step alone."""
        rng = np.random.default_rng([self._seed, step])
        samples = []
        count = len(self._of_instruction)
        for number in rng.choice(count, size, p=self._probabilities):
            places = self._of_instruction[number]
            shard, row = places[rng.integers(0, len(places))]
            samples.append(self._shards[shard][row])
        rows = np.stack(samples)
        scales = self._normalization
        delta = rows['state'] - rows['previous_state']
        return Batch(
            images=images_to_tensor(_tensor(rows['image']))[:, None],
            state=_tensor(scales.state.normalize(rows['state'])),
            delta_state=_tensor(scales.delta_state.normalize(delta)),
            instruction=_tensor(self._tokens[rows['instruction']]),
            actions=_tensor(scales.action.normalize(rows['actions'])),
            valid=_tensor(rows['valid']),
            points=_tensor(rows['points']),
            pixels=_tensor(rows['pixels']),
        )


def _tensor(array: NDArray[Any]) -> Tensor:
    # The fields of a record lie at odd strides, which tensors cannot have.
    return torch.from_numpy(np.ascontiguousarray(array))
