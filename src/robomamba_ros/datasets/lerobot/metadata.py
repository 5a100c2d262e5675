"""Episodes and tasks of a data set, in any readable version.

Finds where each episode's frames lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from robomamba_ros.common.documents import parse_json
from robomamba_ros.common.files import read_bounded, refuse_special
from robomamba_ros.datasets.lerobot.layout import INFO, TASKS, VERSION, Info
from robomamba_ros.datasets.lerobot.templates import PathTemplate
from robomamba_ros.errors import DataError

LINES_MEGABYTES = 256
# Versions 2.0 and 2.1.
LEGACY_EPISODES, LEGACY_TASKS = 'meta/episodes.jsonl', 'meta/tasks.jsonl'
# How pandas calls an index without a name: tasks.parquet holds the texts as an index.
INDEX_COLUMN = '__index_level_0__'


@dataclass(frozen=True)
class Episode:
    """Frames first .. stop - 1 of the data set, one after the other in time.

    data: its table. videos: by feature, the file and the number of the episode's first frame in it.
    """

    index: int
    first: int
    stop: int
    tasks: tuple[str, ...]
    data: Path
    videos: Mapping[str, tuple[Path, int]]

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.stop - self.first


def read_episodes(root: Path, info: Info) -> tuple[Episode, ...]:
    """Read every episode in order; raises DataError naming the file and what is wrong with it."""
    found = list(_episodes(root, info) if info.version == VERSION else _legacy(root, info))
    first = 0
    for number, episode in enumerate(found):
        if episode.index != number or episode.first != first or episode.length <= 0:
            raise DataError(
                f'{root / "meta"}: episode {episode.index} has the frames {episode.first} to '
                f'{episode.stop - 1}; expected is episode {number} from frame {first} on'
            )
        first = episode.stop
    for total, count, what in (
        (info.total_episodes, len(found), 'episodes'),
        (info.total_frames, first, 'frames'),
    ):
        if total is not None and total > count:
            raise DataError(
                f'{root / INFO} says {total} {what}, and {root / "meta"} describes {count}: the '
                'data set is not whole; get it again'
            )
    return tuple(found)


def read_tasks(root: Path, info: Info) -> tuple[str, ...]:
    """Return the tasks in words, by their numbers."""
    if info.version == VERSION:
        if not info.total_episodes and not (root / TASKS).exists():
            return ()
        table = read_table(root / TASKS)
        column = next((c for c in ('task', INDEX_COLUMN) if c in table.column_names), None)
        if column is None or 'task_index' not in table.column_names:
            raise DataError(
                f'{root / TASKS} has the columns {", ".join(table.column_names)}; needed are '
                'task_index and task'
            )
        with reading(root / TASKS):
            texts, numbers = table[column].to_pylist(), table['task_index'].to_pylist()
    else:
        lines = list(_lines(root / LEGACY_TASKS, ('task', 'task_index')))
        texts, numbers = ([line[key] for line in lines] for key in ('task', 'task_index'))
    if not all(isinstance(number, int) for number in numbers):
        raise DataError(f'{root / "meta"}: a task has no whole number; get the set again')
    by_number = dict(zip(numbers, texts, strict=True))
    if sorted(by_number) != list(range(len(by_number))):
        shown = ', '.join(map(str, sorted(by_number)[:8]))
        raise DataError(f'{root / "meta"}: tasks are numbered {shown} .., not from 0 on')
    return tuple(str(by_number[number]) for number in range(len(by_number)))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise DataError for whatever a parquet file that is missing or damaged makes Arrow raise."""
    try:
        refuse_special(path)
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f'{path} is missing: the data set is not whole; get it again') from error
    except Exception as error:  # among them UnicodeDecodeError, for names of columns
        reason = ' '.join(str(error).split())[:300]
        raise DataError(f'{path} is damaged: {reason}; get it again') from error


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file; raises DataError naming it and what is wrong."""
    with reading(path):
        table = pq.read_table(path, columns=columns, partitioning=None)
        assert table.column_names is not None  # decodes them: a name may be no UTF-8
        return table


def read_schema(path: Path) -> pa.Schema:
    """Return the columns of a parquet file; raises DataError as `read_table`."""
    with reading(path):
        schema = pq.read_schema(path)
        assert schema.names is not None  # as in `read_table`
        return schema


def _episodes(root: Path, info: Info) -> Iterator[Episode]:
    paths = sorted((root / 'meta/episodes').glob('*/*.parquet'))
    if not paths and info.total_episodes:
        raise DataError(f'{root / "meta/episodes"} holds no table of episodes; get the set again')
    videos = [key for key, feature in info.features.items() if feature.dtype == 'video']
    for path in paths:
        table = read_table(path)
        table = table.select([name for name in table.column_names if not name.startswith('stats/')])
        with reading(path):
            rows = table.to_pylist()
        for row in rows:
            try:
                yield _episode(root, info, row, videos)
            except KeyError as error:
                raise DataError(
                    f'{path} lacks the column {error}; it has {", ".join(table.column_names)}'
                ) from error
            except (TypeError, ValueError, OverflowError) as error:
                raise DataError(
                    f'{path}: what it says of episode {row["episode_index"]!r:.40} is wrong '
                    f'({error}); get it again'
                ) from error


def _episode(root: Path, info: Info, row: Mapping[str, Any], videos: list[str]) -> Episode:
    def place(prefix: str) -> dict[str, Any]:
        return {key: row[f'{prefix}/{key}'] for key in ('chunk_index', 'file_index')}

    return Episode(
        index=int(row['episode_index']),
        first=int(row['dataset_from_index']),
        stop=int(row['dataset_to_index']),
        tasks=tuple(str(task) for task in row['tasks']),
        data=root / info.data_path.fill(**place('data')),
        videos={
            key: (
                root / _video_path(info).fill(video_key=key, **place(f'videos/{key}')),
                round(row[f'videos/{key}/from_timestamp'] * info.fps),
            )
            for key in videos
        },
    )


def _video_path(info: Info) -> PathTemplate:
    if info.video_path is None:
        raise ValueError('info.json says no video_path, and has videos')
    return info.video_path


def _legacy(root: Path, info: Info) -> Iterator[Episode]:
    first = 0
    videos = [key for key, feature in info.features.items() if feature.dtype == 'video']
    for line in _lines(root / LEGACY_EPISODES, ('episode_index', 'length', 'tasks')):
        try:
            number, length = int(line['episode_index']), int(line['length'])
            where = {'episode_index': number, 'episode_chunk': number // info.chunks_size}
            yield Episode(
                index=number,
                first=first,
                stop=first + length,
                tasks=tuple(str(task) for task in line['tasks']),
                data=root / info.data_path.fill(**where),
                videos={
                    key: (root / _video_path(info).fill(video_key=key, **where), 0)
                    for key in videos
                },
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f'{root / LEGACY_EPISODES}: {error}; get it again') from error
        first += length


def _lines(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    try:
        content = read_bounded(path, LINES_MEGABYTES).decode('utf-8-sig')
        for number, text in enumerate(content.split('\n'), start=1):
            if not text.strip():
                continue
            line = parse_json(text, f'{path}:{number}', error=DataError)
            missing = [key for key in keys if not isinstance(line, dict) or key not in line]
            if missing:
                raise DataError(f'{path}, line {number} lacks {", ".join(missing)}')
            yield line
    except FileNotFoundError as error:
        raise DataError(f'{path} is missing: the data set is not whole; get it again') from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'{path} cannot be read: {error}; get it again') from error
