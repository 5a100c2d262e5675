"""A LeRobot data set as a demonstration store: images cut and shrunk once, chunks laid out.

Training reads the same frame many times; from a store that costs no decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.datasets.demonstrations import DatasetMeta, sample_dtype, shard_path, write_shard
from robomamba_ros.datasets.lerobot.checks import check_numbers
from robomamba_ros.datasets.lerobot.layout import ACTION, STATE
from robomamba_ros.datasets.lerobot.metadata import Episode
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.errors import ConfigError, DataError
from robomamba_ros.types import EE_DELTA_NAMES, EE_POSE_NAMES, ActionSpace
from robomamba_ros.vision.preprocess import CropResize, center_crop

EPISODES_PER_SHARD = 20


def store_meta(
    dataset: LeRobotDataset,
    *,
    target: int,
    horizon: int,
    action_space: ActionSpace | None,
    crops: Mapping[str, CropResize],
) -> DatasetMeta:
    """Return what a store of a data set holds: all of its cameras and channels.

    target: side of the images [px]; a camera of `crops` is cut as said there, others to their
    largest square at the centre. action_space: None where the names of the channels say it. Raises
    ConfigError where they do not, or a crop is not of the camera's size, DataError for a set with
    numbers that nothing can be learnt from.
    """
    for key in (STATE, ACTION):
        dataset.names(key)  # says what there is where one is missing
    check_numbers(dataset)
    views = {}
    for key, name in dataset.cameras.items():
        size = dataset.info.features[key].image_size
        views[name] = crops.get(name) or center_crop(*size, target)
        if (views[name].height, views[name].width) != size:
            raise ConfigError(
                f"camera '{name}' of {dataset.root} gives images of {size[1]} x {size[0]} px, the "
                f'policy reads it at {views[name].width} x {views[name].height}; correct its '
                'height and width in the policy file, or leave the camera out there'
            )
    if not views:
        raise DataError(f'{dataset.root} has no camera; a policy needs at least one')
    names = dataset.names(ACTION)
    return DatasetMeta(
        cameras=tuple(views),
        crops=tuple(views.values()),
        state_names=dataset.names(STATE),
        action_space=(action_space or _space_of(names, dataset.root)).value,
        action_names=names,
        horizon=horizon,
        dt_ns=dataset.dt_ns,
        instructions=dataset.tasks,
    )


def fill_store(
    folder: Path, dataset: LeRobotDataset, meta: DatasetMeta, every: int
) -> Iterator[tuple[int, int]]:
    """Write every `every`-th frame of each episode to a store; yields (episodes done, episodes).

    What is there already is kept, so an interrupted call is continued by the same one, and a data
    set that has grown adds what is new.
    """
    meta.save(folder)
    episodes = dataset.episodes
    for first in range(0, len(episodes), EPISODES_PER_SHARD):
        part = episodes[first : first + EPISODES_PER_SHARD]
        name = f'episodes-{first:06d}'
        path = shard_path(folder, name)
        rows = sum(len(range(0, episode.length, every)) for episode in part)
        if not path.is_file() or len(np.load(path, mmap_mode='r')) != rows:
            samples = [_read_episode(dataset, episode, meta, every) for episode in part]
            write_shard(folder, name, np.concatenate(samples))
        yield first + len(part), len(episodes)


def _read_episode(
    dataset: LeRobotDataset, episode: Episode, meta: DatasetMeta, every: int
) -> NDArray[Any]:
    steps = np.arange(0, episode.length, every)
    states = dataset.values(STATE)[episode.first : episode.stop]
    actions = dataset.values(ACTION)[episode.first : episode.stop]
    due = steps[:, None] + np.arange(meta.horizon)
    samples = np.zeros(len(steps), sample_dtype(meta))
    samples['state'] = states[steps]
    samples['previous_state'] = states[(steps - 1).clip(min=0)]
    samples['actions'] = actions[due.clip(max=episode.length - 1)]
    samples['valid'] = dataset.valid(episode, due)
    samples['points'] = samples['pixels'] = np.nan
    samples['instruction'] = dataset.values('task_index')[episode.first + steps].reshape(-1)
    samples['episode'], samples['step'] = episode.index, steps
    views = list(zip(dataset.cameras, meta.crops, strict=True))
    for sample, step in zip(samples, steps, strict=True):
        for number, (key, crop) in enumerate(views):
            sample['images'][number] = crop(dataset.image(key, episode.first + int(step)))
    return samples


def _space_of(names: tuple[str, ...], root: Path) -> ActionSpace:
    for space, known in (
        (ActionSpace.EE_DELTA, EE_DELTA_NAMES),
        (ActionSpace.EE_POSE, EE_POSE_NAMES),
    ):
        if set(names) & set(known):
            return space
    raise ConfigError(
        f'the actions of {root} are {", ".join(names)}, which does not say whether they are '
        f'positions or changes; set action_space: {ActionSpace.JOINT_POSITION.value} or '
        f'{ActionSpace.JOINT_DELTA.value}'
    )
