"""Where the files of a data set go: one writer at a time, each file whole or not at all.

Files are made in a folder of their own and moved to their place. Knows nothing about episodes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from robomamba_ros.data.lerobot.files import join_tables
from robomamba_ros.data.lerobot.layout import (
    DATA,
    DATA_FILE_MB,
    FILES_PER_CHUNK,
    VIDEO,
    VIDEO_FILE_MB,
)
from robomamba_ros.errors import DataError

WRITING, LOCK = '.writing', 'lock'
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

    Raises DataError where another program writes there, or where the folder holds other things.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / WRITING
        names = {path.name for path in root.iterdir()} if root.exists() else set()
        if names - {WRITING} and 'meta' not in names:
            raise DataError(f'{root} holds other files; give another folder')
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / LOCK).open('w')
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise DataError(f'{root} is being written by another program') from error
        for path in self.folder.iterdir():
            if path.name != LOCK:
                path.unlink()

    def close(self) -> None:
        """Let others write."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def put_rows(self, place: Place, table: Path) -> Place:
        """Add a data table to the file at `place`, or the next where that is full; return which."""
        place = self._room(place, DATA, DATA_FILE_MB)
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
        from robomamba_ros.data.lerobot.video import join_videos, same_encoding

        place = self._room(place, VIDEO, VIDEO_FILE_MB, video_key=key)
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

    def _room(self, place: Place, template: str, megabytes: int, **keys: str) -> Place:
        limit = megabytes * MEGABYTE
        if place.used and place.path(self.root, template, **keys).stat().st_size >= limit:
            return place.next()
        return place

    def _move(self, made: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with made.open('rb') as file:
            os.fsync(file.fileno())
        made.replace(path)
