"""The data of a run: which samples it learns from, and which it is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robomamba_ros.errors import ConfigError
from robomamba_ros.training.config import TrainConfig
from robomamba_ros.training.samples import Samples, hold_out, limit_episodes


def open_samples(config: TrainConfig) -> tuple[Samples, Samples | None]:
    """Return the samples to train on, and those that are held out, if any are.

    Raises DataError for data that is missing, damaged or empty, ConfigError for settings that do
    not fit it.
    """
    samples = limit_episodes(Samples.load(Path(config.data)), config.episodes)
    held_out = None
    if config.validation_share:
        samples, held_out = hold_out(samples, config.validation_share)
    elif config.validation_data:
        held_out = Samples.load(Path(config.validation_data))
        _check_alike(samples, held_out, config)
    if config.localization_weight and not np.isfinite(samples.column('points')).all():
        raise ConfigError(
            f'{config.data} does not say where object and goal are, which the localisation loss '
            'needs; set localization_weight: 0'
        )
    return samples, held_out


def describe(samples: Samples, held_out: Samples | None) -> dict[str, object]:
    """Return what a run says of its data."""
    parts = {'training': samples, 'held_out': held_out}
    return {
        name: {'samples': len(part), 'episodes': part.count_episodes()}
        for name, part in parts.items()
        if part is not None
    }


def _check_alike(samples: Samples, held_out: Samples, config: TrainConfig) -> None:
    names = ('cameras', 'crops', 'state_names', 'action_space', 'action_names', 'horizon', 'dt_ns')
    other = [n for n in names if getattr(samples.meta, n) != getattr(held_out.meta, n)]
    if other:
        raise ConfigError(
            f'validation_data {config.validation_data} differs from {config.data} in '
            f'{", ".join(other)}; it must be of the same kind'
        )
