"""Where the files of a data set go: one writer at a time, each file whole or not at all.

Files are made in a folder of their own and moved to their place.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from robomamba_ros.datasets.lerobot.files import is_own, join_tables
from robomamba_ros.datasets.lerobot.layout import (
    DATA,
    DATA_FILE_MB,
    FILES_PER_CHUNK,
    INFO,
    VIDEO,
    VIDEO_FILE_MB,
)
from robomamba_ros.datasets.lerobot.metadata import read_schema
from robomamba_ros.errors import DataError

WRITING, LOCK = '.writing', 'lock'
# What is made in the folder WRITING. Nothing else in it is ours to delete.
_MADE = re.compile(r'(episode|joined|tasks|file-\d+)\.parquet|(video-\d+|joined)\.mp4')
_MADE_JSON = ('info.json', 'stats.json')
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Place:
    """A file that episodes are put into, and how many of its rows or frames are in use."""

    chunk_index: int = 0
    file_index: int = 0
    used: int = 0

    def path(self, root: Path, template: str, **keys: str) -> Path:
        """Return the file."""
        indices = {'chunk_index': self.chunk_index, 'file_index': self.file_index}
        return root / template.format(**indices, **keys)

    def next(self) -> Place:
        """Return the file after it."""
        if self.file_index + 1 == FILES_PER_CHUNK:
            return Place(self.chunk_index + 1, 0)
        return Place(self.chunk_index, self.file_index + 1)

    def filled(self, count: int) -> Place:
        """Return the place with `count` more in use."""
        return Place(self.chunk_index, self.file_index, self.used + count)

    def row(self, prefix: str) -> dict[str, int]:
        """Return what the table of episodes says of it."""
        indices = {'chunk_index': self.chunk_index, 'file_index': self.file_index}
        return {f'{prefix}/{key}': value for key, value in indices.items()}

    @classmethod
    def of_row(cls, row: Mapping[str, Any], prefix: str, used: int) -> Place:
        """Return the place that the table of episodes names."""
        return cls(row[f'{prefix}/chunk_index'], row[f'{prefix}/file_index'], used)


class Store:
    """The folder of a data set, locked until it is closed; `folder`: for files in the making.

    Raises DataError where another program writes there, or where the folder holds other things. It
    deletes nothing but what a writer that was interrupted left in `folder`.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / WRITING
        if root.exists() and not root.is_dir():
            raise DataError(f'{root} is a file; give a folder')
        if not (root / INFO).exists() and any(
            path.is_file() or path.name not in (WRITING, 'meta')
            for path in _entries(root)
            if path.parent.name != WRITING
        ):
            raise DataError(f'{root} holds other files; give another folder')
        refuse_links(root)
        foreign = [path.name for path in self._left_behind() if not _is_made(path)]
        if foreign:
            raise DataError(
                f'{self.folder} holds {", ".join(sorted(foreign))[:80]}, which no writer of data '
                'sets made; move it away'
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        opened = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        self._lock = os.fdopen(opened, 'r+')
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise DataError(f'{root} is being written by another program') from error
        self._clear()

    def close(self) -> None:
        """Let others write."""
        self._clear()
        (self.folder / LOCK).unlink(missing_ok=True)
        self._lock.close()
        with suppress(OSError):  # somebody else's files may have come into it
            self.folder.rmdir()

    def put_rows(self, place: Place, table: Path) -> Place:
        """Add a data table to the file at `place`, or the next where that is full; return which."""
        place = self._place_with_room(place, DATA, DATA_FILE_MB)
        target = place.path(self.root, DATA)
        if place.used:
            joined = self.folder / 'joined.parquet'
            join_tables(target, place.used, table, joined)
            table.unlink()
            table = joined
        self._move(table, target)
        return place

    def cut_rows(self, path: Path, rows: int) -> None:
        """Leave the first `rows` rows of a data table."""
        if pq.read_metadata(path).num_rows > rows:
            joined = self.folder / 'joined.parquet'
            join_tables(path, rows, None, joined)
            self._move(joined, path)

    def put_video(self, key: str, place: Place, video: Path) -> Place:
        """Add a video to the file at `place`, or the next where they do not fit; return which."""
        from robomamba_ros.datasets.lerobot.video import join_videos, same_encoding

        place = self._place_with_room(place, VIDEO, VIDEO_FILE_MB, video_key=key)
        target = place.path(self.root, VIDEO, video_key=key)
        if place.used and not same_encoding(target, video):
            place = place.next()
            target = place.path(self.root, VIDEO, video_key=key)
        if place.used:
            joined = self.folder / 'joined.mp4'
            join_videos(target, place.used, video, joined)
            video.unlink()
            video = joined
        self._move(video, target)
        return place

    def put_table(self, table: pa.Table, name: str) -> None:
        """Write a table, or replace it, in one step."""
        made = self.folder / Path(name).name
        pq.write_table(table, made)
        self._move(made, self.root / name)

    def put_json(self, document: Mapping[str, Any], name: str) -> None:
        """Write JSON, or replace it, in one step."""
        made = self.folder / Path(name).name
        made.write_text(json.dumps(document, indent=4, ensure_ascii=False), encoding='utf-8')
        self._move(made, self.root / name)

    def drop_table(self, place: Place, schema: pa.Schema) -> None:
        """Delete the data table at a place where an interrupted writer left one of `schema`."""
        path = place.path(self.root, DATA)
        if path.is_file() and is_own(read_schema(path), schema):
            path.unlink()

    def _left_behind(self) -> list[Path]:
        found = list(self.folder.iterdir()) if self.folder.is_dir() else []
        return [path for path in found if path.name != LOCK]

    def _clear(self) -> None:
        for path in self._left_behind():
            if _is_made(path):
                path.unlink()

    def _place_with_room(self, place: Place, template: str, megabytes: int, **keys: str) -> Place:
        limit = megabytes * MEGABYTE
        if place.used and place.path(self.root, template, **keys).stat().st_size >= limit:
            return place.next()
        return place

    def _move(self, made: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with made.open('rb') as file:
            os.fsync(file.fileno())
        made.replace(path)


def refuse_links(root: Path) -> None:
    """Raise DataError for a link, pipe or device in a data set: what is written would go there."""
    for path in _entries(root):
        kind = path.lstat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise DataError(
                f'{path} is a link or no file; only whole folders are written to. Copy the set '
                'with its links followed (cp -rL) and continue the copy'
            )


def _entries(root: Path) -> Iterator[Path]:
    """Yield everything in a folder, at any depth, following no link."""
    for folder, folders, files in os.walk(root, followlinks=False):
        yield from (Path(folder) / name for name in (*folders, *files))


def _is_made(path: Path) -> bool:
    known = path.name in _MADE_JSON or _MADE.fullmatch(path.name) is not None
    return known and stat.S_ISREG(path.lstat().st_mode)
