"""The files of a run of AnoleVLA: the state by which it is resumed, and its checkpoint so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robomamba_ros.common.weights import read_safetensors
from robomamba_ros.policies.checkpoint import NORMALIZATION, TOKENIZER, WEIGHTS, writing
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.shared.checkpointing import (
    CHECKPOINT,
    STATE_FILE,
    is_begun,
    refuse_other_settings,
    restoring,
)

# Where a run ends, where its data lies, what it dwells on and how it runs may change on resuming.
MAY_CHANGE = {'stage1_steps', 'stage2_steps', 'patience', 'emphasis', 'data', 'validation_data'}
MAY_CHANGE |= {'initial', 'output', 'save_every', 'log_every', 'threads', 'device', 'dtype'}
MAY_CHANGE |= {'vision_weights', 'maps_gigabytes'}


class RunFiles:
    """The state and the checkpoint in the directory of a run."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self.folder = Path(config.output)
        self.state = self.folder / STATE_FILE
        self.checkpoint = self.folder / CHECKPOINT

    @property
    def resumed(self) -> bool:
        """Whether the run has begun already."""
        return is_begun(self.state)

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of the checkpoint."""
        return self.checkpoint / TOKENIZER

    @property
    def normalization(self) -> Path:
        """The scales of states and actions of the checkpoint."""
        return self.checkpoint / NORMALIZATION

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the checkpoint."""
        return read_safetensors(self.checkpoint / WEIGHTS)

    def save(self, moving: Mapping[str, Any]) -> None:
        """Write the state; a file that is there already is replaced when the new one is whole."""
        with writing(self.folder, STATE_FILE) as (path,):
            torch.save({'config': asdict(self._config), **moving}, path)

    @contextmanager
    def restoring(self) -> Iterator[dict[str, Any]]:
        """Give what `save` was given, in main memory, to whoever puts it back.

        Raises CheckpointError where the settings were others, or it does not fit.
        """
        with restoring(self.state) as state:
            # A setting that is newer than the state had its default value then.
            defaults = {f.name: f.default for f in fields(TrainConfig) if f.default is not MISSING}
            saved = {**defaults, **state['config']}
            refuse_other_settings(self.state, saved, asdict(self._config), MAY_CHANGE)
            yield state
