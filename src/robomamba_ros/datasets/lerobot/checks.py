"""Numbers of a data set that nothing can be learnt from, found before anything is prepared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.datasets.lerobot.layout import ACTION, STATE
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.errors import DataError

TIME, TASK = 'timestamp', 'task_index'
# How far a frame may be from the time that the rate gives it, in frames: as far as it could be
# without being another one.
NEAR = 0.5


def check_numbers(dataset: LeRobotDataset) -> None:
    """Raise DataError naming file, episode, frame and channel of the first bad number.

    States and actions are to be finite, times those of the rate, and tasks among those of the set.
    """
    for key in (STATE, ACTION):
        if key in dataset.info.features:
            values = dataset.values(key)
            _refuse(dataset, ~np.isfinite(values.reshape(len(values), -1)), key)
    known = dataset.info.features
    if TASK in known:
        tasks = dataset.values(TASK).reshape(-1)
        wrong = np.flatnonzero((tasks < 0) | (tasks >= len(dataset.tasks)))
        if len(wrong):
            frame = int(wrong[0])
            raise DataError(
                f'{_place(dataset, frame)} has task {tasks[frame]}; there are '
                f'{len(dataset.tasks)} tasks'
            )
    if TIME in known:
        _check_times(dataset)


def _refuse(dataset: LeRobotDataset, wrong: NDArray[np.bool_], key: str) -> None:
    if wrong.any():
        frame, channel = (int(each) for each in np.argwhere(wrong)[0])
        value = dataset.values(key)[frame].reshape(-1)[channel]
        raise DataError(
            f"{_place(dataset, frame)}: '{dataset.names(key)[channel]}' is {value} in {key}; "
            'correct it or leave the episode out'
        )


def _check_times(dataset: LeRobotDataset) -> None:
    times = dataset.values(TIME).astype(np.float64).reshape(-1)
    rate = dataset.info.fps
    for episode in dataset.episodes:
        found = times[episode.first : episode.stop]
        expected = found[0] + np.arange(episode.length) / rate
        wrong = np.flatnonzero(~(np.abs(found - expected) * rate <= NEAR))
        if len(wrong):
            step = int(wrong[0])
            raise DataError(
                f'{_place(dataset, episode.first + step)} is at {found[step]:.3f} s, the rate of '
                f'{rate:g} per second in info.json puts it at {expected[step]:.3f} s; correct fps, '
                'or resample the set'
            )


def _place(dataset: LeRobotDataset, frame: int) -> str:
    episode = dataset.episode_of(frame)
    return f'{episode.data}: frame {frame - episode.first} of episode {episode.index}'
