"""The data of a run: the samples to train on, and those to validate on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.anolevla.config import AnoleVLAConfig
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.samples import Samples, hold_out, limit_episodes
from robomamba_ros.types import ActionSpace

LEROBOT = 'meta/info.json'
# Where a run keeps what it reads of LeRobot data sets, for each setting that may name one.
STORES = {'data': 'data', 'validation_data': 'validation_data'}


def prepare(
    config: TrainConfig, template: AnoleVLAConfig, say: Callable[[str], None] = print
) -> Iterator[tuple[int, int]]:
    """Make stores of the LeRobot data sets of a run; yields (episodes done, episodes) of each.

    A store lies in the run's folder; what is there already is kept. say: is told, a line each, what
    of a set is not read or not as it says itself. Raises DataError and
    ConfigError for a data set that cannot be learnt from.
    """
    for setting, name in STORES.items():
        source = Path(getattr(config, setting))
        if not getattr(config, setting) or not (source / LEROBOT).is_file():
            continue
        # Stores alone need no pyarrow.
        from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
        from robomamba_ros.datasets.store_from_lerobot import fill_store, store_meta

        dataset = LeRobotDataset(source)
        for note in dataset.notes:
            say(note)
        names = (camera.name for camera in template.spec.cameras)
        meta = store_meta(
            dataset,
            target=template.vision.image_size,
            horizon=template.spec.horizon,
            action_space=ActionSpace(config.action_space) if config.action_space else None,
            crops=dict(zip(names, template.crops, strict=True)),
        )
        yield from fill_store(Path(config.output) / name, dataset, meta, config.data_every)


def open_samples(config: TrainConfig) -> tuple[Samples, Samples | None]:
    """Return the samples to train on, and those that are held out, if any are.

    Raises DataError for data that is missing, damaged or empty, ConfigError for settings that do
    not fit it.
    """
    samples = limit_episodes(_load(config, 'data'), config.episodes)
    held_out = None
    if config.validation_share:
        samples, held_out = hold_out(samples, config.validation_share)
    elif config.validation_data:
        held_out = _load(config, 'validation_data')
        _check_alike(samples, held_out, config)
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


def _load(config: TrainConfig, setting: str) -> Samples:
    source = Path(getattr(config, setting))
    if (source / LEROBOT).is_file():
        source = Path(config.output) / STORES[setting]
    return Samples.load(source)
