"""Writes a LeRobot data set of version 3.0, one whole episode after another.

An episode is made beside the data set and then moved into it, file by file; the table of episodes
comes last and makes it count. An interrupted writer, or a full disk, leaves every episode before as
it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from robomamba_ros.datasets.lerobot.continuing import check_continued, last_table
from robomamba_ros.datasets.lerobot.episode import EpisodeFiles
from robomamba_ros.datasets.lerobot.files import (
    episode_schema,
    frame_schema,
    pixels_of,
    set_info,
    tasks_table,
    with_pixels,
)
from robomamba_ros.datasets.lerobot.layout import EPISODES, INDICES, INFO, STATS, TASKS, Feature
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.datasets.lerobot.statistics import PixelCounts, Statistics, number_statistics
from robomamba_ros.datasets.lerobot.store import Place, Store
from robomamba_ros.errors import DataError

# Episodes in one table of them, which is rewritten with each.
EPISODES_PER_TABLE = 1000


class LeRobotWriter:
    """A data set to be written, new or continued; use it with `with`.

    features: what a frame has, by key, without the indices that every set has. A set that is
    there already is continued where fps and features are the same. Raises DataError where they
    are not, where another program made its tables, or where the disk does not take it.
    """

    def __init__(
        self, root: str | Path, *, fps: int, features: Mapping[str, Feature], robot_type: str
    ) -> None:
        self.root = Path(root)
        self._fps, self._robot_type = fps, robot_type
        self._features = {**features, **INDICES}
        self._visual = [key for key, each in features.items() if each.is_visual]
        self._frame_schema = frame_schema(self._features)
        self._episode_schema = episode_schema(self._features)
        self.episodes = self.frames = 0
        self._tasks: list[str] = []
        self._data, self._table = Place(), Place()
        self._videos = {key: Place() for key in self._visual if features[key].dtype == 'video'}
        self._rows = self._episode_schema.empty_table()
        self._pixels = {key: PixelCounts() for key in self._visual}
        self._episode: EpisodeFiles | None = None
        with self._storing('it'):
            if (self.root / INFO).exists():
                self._check(LeRobotDataset(self.root))
            self._store = Store(self.root)
            try:
                if (self.root / INFO).exists():
                    self._continue()
                self._write_info()
            except BaseException:
                self._store.close()
                raise

    def add_frame(self, values: Mapping[str, Any], task: str) -> None:
        """Add a frame to the episode; DataError naming a feature that does not fit.

        values: by key; images RGB (h, w, 3) uint8. task: in words.
        """
        with self._storing(f'episode {self.episodes}'):
            if self._episode is None:
                self._episode = EpisodeFiles(
                    self._store.folder, self._features, self._fps, self.episodes, self.frames
                )
            if task not in self._tasks:
                self._tasks.append(task)
            self._episode.add(values, task, self._tasks.index(task))

    @property
    def pending(self) -> int:
        """Frames of the episode that is not saved yet."""
        return 0 if self._episode is None else self._episode.length

    def save_episode(self) -> None:
        """Make the frames since the last episode one, on the disk; DataError where there are none.

        When it returns, the episode is there for good.
        """
        episode = self._episode
        if episode is None:
            raise DataError('an episode needs at least one frame')
        with self._storing(f'episode {self.episodes}'):
            statistics = episode.finish()
            videos = {
                key: self._store.put_video(key, self._videos[key], path)
                for key, path in episode.videos.items()
            }
            data = self._store.put_rows(self._data, episode.table)
            self._store.put_table(tasks_table(self._tasks), TASKS)
            full = self._rows.num_rows >= EPISODES_PER_TABLE
            table = self._table.next() if full else self._table
            row = self._describe(episode, data, videos, table, statistics)
            pixels = {key: self._pixels[key] + each for key, each in episode.pixels.items()}
            rows = pa.Table.from_pylist([row], schema=self._episode_schema)
            if not full:
                rows = pa.concat_tables([self._rows.replace_schema_metadata(), rows])
            rows = with_pixels(rows, pixels)
            self._store.put_table(rows, str(table.path(Path(), EPISODES)))
            # It counts from here on.
            self._rows, self._table, self._pixels = rows, table, pixels
            self._data = data.filled(episode.length)
            self._videos = {key: place.filled(episode.length) for key, place in videos.items()}
            self.episodes += 1
            self.frames += episode.length
            self._episode = None
            self._write_info()

    def discard_episode(self) -> None:
        """Forget the frames since the last episode."""
        if self._episode is not None:
            self._episode.discard()
            self._episode = None

    def close(self) -> None:
        """Discard what is not saved, and write the statistics of the whole set."""
        self.discard_episode()
        try:
            if self.episodes:
                with self._storing('its statistics'):
                    self._write_statistics()
        finally:
            self._store.close()

    def __enter__(self) -> LeRobotWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What went wrong first is what the user has to know.
        with suppress(*([DataError] if kind else [])):
            self.close()

    def _describe(
        self,
        episode: EpisodeFiles,
        data: Place,
        videos: Mapping[str, Place],
        table: Place,
        statistics: Mapping[str, Statistics],
    ) -> dict[str, Any]:
        """Return the episode's row in the table of episodes."""
        row: dict[str, Any] = {
            'episode_index': self.episodes,
            'tasks': episode.tasks,
            'length': episode.length,
            **data.row('data'),
            'dataset_from_index': self.frames,
            'dataset_to_index': self.frames + episode.length,
            **table.row('meta/episodes'),
        }
        for key, place in videos.items():
            row.update(place.row(f'videos/{key}'))
            row[f'videos/{key}/from_timestamp'] = place.used / self._fps
            row[f'videos/{key}/to_timestamp'] = (place.used + episode.length) / self._fps
        for key, values in statistics.items():
            row.update({f'stats/{key}/{name}': _listed(each) for name, each in values.items()})
        return row

    def _continue(self) -> None:
        """Take up a data set where its last whole episode ends, and remove what came after."""
        dataset = LeRobotDataset(self.root)
        self._check(dataset)
        self._tasks = list(dataset.tasks)
        self.episodes, self.frames = len(dataset.episodes), len(dataset)
        if not dataset.episodes:
            self._store.drop_table(self._data, self._frame_schema)
            return
        self._rows = pq.read_table(last_table(self.root), partitioning=None)
        last, row = dataset.episodes[-1], self._rows.slice(self._rows.num_rows - 1).to_pylist()[0]
        first = min(each.first for each in dataset.episodes if each.data == last.data)
        self._data = Place.of_row(row, 'data', self.frames - first)
        self._table = Place.of_row(row, 'meta/episodes', 0)
        for key, (_, start) in last.videos.items():
            self._videos[key] = Place.of_row(row, f'videos/{key}', start + last.length)
        # The table of episodes comes last: rows, or one table, may be there beyond it.
        self._store.cut_rows(last.data, self._data.used)
        self._store.drop_table(self._data.next(), self._frame_schema)
        pixels = pixels_of(self._rows)
        for key in self._visual:
            if key not in pixels or pixels[key].frames != self.frames:
                pixels[key] = PixelCounts()
                for index in range(self.frames):
                    pixels[key].add(dataset.image(key, index))
        self._pixels = pixels

    def _check(self, dataset: LeRobotDataset) -> None:
        check_continued(
            dataset,
            self._fps,
            self._features,
            frames=self._frame_schema,
            episodes=self._episode_schema,
        )

    def _write_info(self) -> None:
        totals = {'episodes': self.episodes, 'frames': self.frames, 'tasks': len(self._tasks)}
        info = set_info(self._features, self._fps, self._robot_type, totals)
        self._store.put_json(info, INFO)

    def _write_statistics(self) -> None:
        dataset = LeRobotDataset(self.root)
        found: dict[str, Statistics] = {
            key: number_statistics(dataset.values(key))
            for key, feature in self._features.items()
            if feature.is_numeric
        }
        found.update({key: counts.statistics() for key, counts in self._pixels.items()})
        document = {
            key: {name: _listed(each) for name, each in values.items()}
            for key, values in found.items()
        }
        self._store.put_json(document, STATS)

    @contextmanager
    def _storing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            self.discard_episode()
            raise DataError(
                f'{self.root}: {what} cannot be written ({error.args[-1]}); {self.episodes} whole '
                'episodes are there. Free space, or choose another place; the same folder is '
                'continued'
            ) from error


def _listed(value: Any) -> list[Any]:
    return list(np.atleast_1d(value).tolist())
