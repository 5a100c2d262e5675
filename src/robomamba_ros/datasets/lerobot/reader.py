"""A LeRobot data set to learn from: its frames, and windows of an observation and what follows.

Numbers are in memory from their first use on; images are decoded one by one, in any order. Knows
nothing about policies or torch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.datasets.disturbance import valid_actions
from robomamba_ros.datasets.lerobot.layout import (
    ACTION,
    CAMERA_PREFIX,
    DISTURBED,
    INFO,
    STATE,
    read_info,
)
from robomamba_ros.datasets.lerobot.metadata import Episode, read_episodes, read_tasks
from robomamba_ros.datasets.lerobot.tables import FrameTables
from robomamba_ros.errors import DataError, unknown_name
from robomamba_ros.types import NANOSECONDS, Float32Array, UInt8Array

if TYPE_CHECKING:
    from robomamba_ros.datasets.lerobot.video import VideoFile

OPEN_VIDEOS = 32
# Read together: opening thousands of tables once for each would take long.
CORE = (STATE, ACTION, 'episode_index', 'task_index')


@dataclass(frozen=True)
class Window:
    """What is seen at one frame of an episode, and the actions from there on.

    images: by camera name, RGB (h, w, 3) uint8. state, previous_state: (d_s,) at the frame and at
    the one before it (the same at the beginning of an episode). actions: (H, d_a); valid: (H,),
    False past the end of the episode, where the last action is repeated, and past where it was
    disturbed. task: in words. episode, step: numbers, from 0.
    """

    images: Mapping[str, UInt8Array]
    state: Float32Array
    previous_state: Float32Array
    actions: Float32Array
    valid: NDArray[np.bool_]
    task: str
    episode: int
    step: int


class LeRobotDataset:
    """A data set in the folder `root`, of version 2.0, 2.1 or 3.0; len() is its number of frames.

    info: what meta/info.json says. episodes, tasks: all of them. cameras: names, as in the arm
    contract, by the keys of their features. Raises DataError naming what is missing or damaged.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.info = read_info(self.root)
        self.episodes = read_episodes(self.root, self.info)
        self.tasks = read_tasks(self.root, self.info)
        self.cameras = {key: camera_name(key) for key in self.info.cameras}
        self._starts = [episode.first for episode in self.episodes]
        self._tables = FrameTables(self.episodes)
        self._columns: dict[str, NDArray[Any]] = {}
        self._video = lru_cache(OPEN_VIDEOS)(self._open_video)

    def __reduce__(self) -> tuple[type[LeRobotDataset], tuple[Path]]:
        # A copy in another process opens the files itself.
        return type(self), (self.root,)

    def __len__(self) -> int:
        return self.episodes[-1].stop if self.episodes else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as info.json says, or not read, a line each."""
        skipped = ', '.join(f'{key} ({dtype})' for key, dtype in self.info.skipped.items())
        notes = [f'{self.root}: not read, as no policy here needs it: {skipped}'] if skipped else []
        for total, count, what in (
            (self.info.total_episodes, len(self.episodes), 'episodes'),
            (self.info.total_frames, len(self), 'frames'),
        ):
            if total is not None and total != count:
                notes.append(f'{self.root / INFO} says {total} {what}; {count} are there and read')
        return tuple(notes)

    @property
    def dt_ns(self) -> int:
        """Time from frame to frame [ns]."""
        return round(NANOSECONDS / self.info.fps)

    def names(self, key: str) -> tuple[str, ...]:
        """Return the channels of a feature of one dimension; numbered where the set names none."""
        feature = self.info.features[self._require_key(key)]
        count = int(np.prod(feature.shape))
        if feature.names is not None and len(feature.names) == count:
            return feature.names
        if feature.names is not None and key in (STATE, ACTION):
            raise DataError(
                f"{self.root / INFO} names {len(feature.names)} channels of '{key}' "
                f'({", ".join(feature.names)[:80]}), and it has {count}; correct its names'
            )
        return tuple(f'{key}_{number}' for number in range(count))

    def values(self, key: str) -> NDArray[Any]:
        """Return a feature that is no image for all frames, (n, *shape); (n,) where it is scalar.

        The array is shared: do not write to it.
        """
        if self._require_key(key) not in self._columns:
            wanted = [each for each in CORE if each in self.info.features] if key in CORE else [key]
            features = {each: self.info.features[each] for each in wanted}
            for name, feature in features.items():
                if not feature.is_numeric:
                    raise DataError(f"{self.root}: '{name}' is {feature.dtype}, not numbers")
            self._columns.update(self._tables.columns(features))
            self._check_order()
        return self._columns[key]

    def episode_of(self, index: int) -> Episode:
        """Return the episode of a frame; IndexError outside the data set."""
        if not 0 <= index < len(self):
            raise IndexError(f'frame {index} of a data set of {len(self)}')
        return self.episodes[bisect_right(self._starts, index) - 1]

    def task(self, index: int) -> str:
        """Return the task of a frame in words."""
        number = int(self.values('task_index')[index])
        if not 0 <= number < len(self.tasks):
            raise DataError(
                f'{self.root}: frame {index} has task {number}; there are {len(self.tasks)} tasks'
            )
        return self.tasks[number]

    def image(self, key: str, index: int) -> UInt8Array:
        """Return the image of a camera, by the key of its feature, RGB (h, w, 3) uint8."""
        feature = self.info.features[self._require_key(key)]
        episode = self.episode_of(index)
        if feature.dtype == 'image':
            return self._tables.image(key, feature, episode, index)
        path, first = episode.videos[key]
        return self._video(path).frame(first + index - episode.first, feature.image_size)

    def window(
        self, index: int, horizon: int, *, state: str = STATE, action: str = ACTION
    ) -> Window:
        """Return the observation at a frame and the chunk of `horizon` actions from it on.

        state, action: the keys of the features that are these.
        """
        episode = self.episode_of(index)
        states, actions = self.values(state), self.values(action)
        steps = np.arange(index, index + horizon)
        return Window(
            images={name: self.image(key, index) for key, name in self.cameras.items()},
            state=states[index],
            previous_state=states[max(index - 1, episode.first)],
            actions=actions[np.minimum(steps, episode.stop - 1)],
            valid=self.valid(episode, steps - episode.first),
            task=self.task(index),
            episode=episode.index,
            step=index - episode.first,
        )

    def valid(self, episode: Episode, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which actions of chunks follow from what is seen at their first.

        steps: (..., H) of an episode, in order; those past its end do not follow. Where the feature
        `disturbed` is there, neither do those after a step at which it is true.
        """
        within: NDArray[np.bool_] = steps < episode.length
        if DISTURBED not in self.info.features:
            return within
        disturbed = self.values(DISTURBED)[episode.first : episode.stop]
        return within & valid_actions(disturbed[steps.clip(max=episode.length - 1)])

    def _require_key(self, key: str) -> str:
        if key in self.info.skipped:
            raise DataError(
                f"{self.root}: '{key}' is of the type {self.info.skipped[key]}, which is not read"
            )
        if key not in self.info.features:
            raise DataError(f'{self.root}: {unknown_name("feature", key, self.info.features)}')
        return key

    def _check_order(self) -> None:
        """Hold the tables to the episodes: a row that is not where it belongs spoils all after."""
        if 'episode_index' not in self._columns:
            return
        lengths = [episode.length for episode in self.episodes]
        expected = np.repeat(np.arange(len(lengths)), lengths)
        wrong = np.flatnonzero(self._columns['episode_index'] != expected)
        if len(wrong):
            row = int(wrong[0])
            raise DataError(
                f'{self.episode_of(row).data}: frame {row} is of episode '
                f'{self._columns["episode_index"][row]}, not {expected[row]} as meta/ says'
            )

    def _open_video(self, path: Path) -> VideoFile:
        from robomamba_ros.datasets.lerobot.video import VideoFile  # sets of images need no PyAV

        if not path.is_file():
            raise DataError(f'{path} is missing: the data set is not whole; get it again')
        return VideoFile(path, self.info.fps)


def camera_name(key: str) -> str:
    """Return a camera's name out of its feature's: observation.images.wrist is wrist."""
    return key.removeprefix(CAMERA_PREFIX).removeprefix('observation.')
