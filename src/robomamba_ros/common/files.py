"""Files read within bounds, and files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

MEGABYTE = 1 << 20


def read_bounded(path: Path, megabytes: int) -> bytes:
    """Return what a regular file holds.

    Raises OSError, FileNotFoundError among them; for anything but a regular file, since a pipe or a
    device may never end, and for one of more than `megabytes` MiB.
    """
    refuse_special(path)
    with path.open('rb') as file:
        content = file.read(megabytes * MEGABYTE + 1)
    if len(content) > megabytes * MEGABYTE:
        raise OSError(f'it is larger than {megabytes} MiB')
    return content


def refuse_special(path: Path) -> None:
    """Raise OSError for what is there and no regular file: a pipe is waited for, a device endless.

    For readers that open a path themselves, some of which not even a signal would stop.
    """
    if path.exists() and not path.is_file():
        raise OSError('it is no regular file')


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, beside `path`; at the end the file takes the place of `path`.

    What was at `path` stays as it is until then, and for good where the writing fails: then what
    was written is removed. The bytes are on the disk before the name is.
    """
    partial = path.with_name(f'.{path.name}.partial')
    partial.unlink(missing_ok=True)  # also a link, through which another file would be written
    try:
        yield partial
        with partial.open('rb') as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def all_written_whole(folder: Path, *names: str) -> Iterator[tuple[Path, ...]]:
    """Give a path to write to for each of `names` in a folder, which is made; as `written_whole`.

    No file takes its place before all are written: a disk that is full while one is written leaves
    a folder as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        yield tuple(files.enter_context(written_whole(folder / name)) for name in names)
