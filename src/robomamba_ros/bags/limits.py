"""Limits of what a bag may cost: how far it unpacks, and what its database computes.

A recording may come from any program or person. Each limit is far beyond what recorders write.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]
from rosbags.rosbag2 import storage_mcap

from robomamba_ros.errors import DataError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# What compresses better than this many times, and is larger than that, was not recorded.
CHUNK_BYTES, CHUNK_RATIO = 16 << 20, 1000
FILE_BYTES, FILE_RATIO = 256 << 20, 200
# Of a message in SQLite, and the number by which SQLite knows that limit.
MESSAGE_BYTES, SQLITE_LIMIT_LENGTH = 256 << 20, 0
# Of a message definition. The largest that we know, moveit_msgs/PlanningScene, has 1,500 lines.
DEFINITION_BYTES, DEFINITION_LINES = 256 << 10, 5000
# Small, since of a block that is cut off nothing comes.
_BLOCK = 1 << 16
# Records that may stand in a chunk: schema, channel, message.
_RECORDS = b'\x03\x04\x05'
_TABLES = ('messages', 'topics', 'message_definitions', 'schema')


def decompress(compression: str, data: bytes, size: int | None = None) -> tuple[bytes, str]:
    """Return what `data` unpacks to, as far as it goes, and what is wrong with it.

    compression: zstd, lz4, or '' for none. size: of the whole, where it is known; no more is
    unpacked, nor more than CHUNK_BYTES or CHUNK_RATIO times the data, whichever is larger.
    """
    if compression not in ('zstd', 'lz4'):
        return data, '' if not compression else f'its compression {compression!r:.40} is not known'
    limit = max(CHUNK_BYTES, CHUNK_RATIO * len(data))
    most = limit if size is None else min(size, limit)
    blocks: list[bytes] = []
    rest, room, problem = data, most + 1, ''
    try:
        while rest and room and not problem:
            step: Any = zstd.ZstdDecompressor() if compression == 'zstd' else LZ4FrameDecompressor()
            blocks.append(step.decompress(rest, max_length=room))
            room -= len(blocks[-1])
            rest = step.unused_data or b''
            if room and not step.eof:
                problem = 'it is cut off'
    except Exception as error:  # each kind raises errors of its own
        problem = ' '.join(str(error).split())
    raw = blocks[0] if len(blocks) == 1 else b''.join(blocks)
    if len(raw) > most:
        return raw[:most], f'{len(data)} bytes of {compression} hold more than {most}'
    return raw, problem


def _for_rosbags(compression: str) -> Callable[[bytes, int], bytes]:
    def unpack(data: bytes, size: int) -> bytes:
        raw, problem = decompress(compression, data, size)
        if not problem and raw and raw[0] not in _RECORDS:
            problem = 'it holds no records'
        if problem:
            raise DataError(f'a chunk of it is damaged: {problem}')
        return raw

    return unpack


# rosbags hands on the size that a chunk declares, and unpacks without regard to it.
storage_mcap.DECOMPRESSORS.update({each: _for_rosbags(each) for each in ('zstd', 'lz4')})


class UnpackingRoom:
    """How many bytes the .zstd files of a bag, of `packed` bytes in all, may unpack to in all.

    most: instead of FILE_BYTES, or FILE_RATIO times `packed` where that is more.
    """

    def __init__(self, packed: int, most: int | None = None) -> None:
        self._packed = packed
        self._most = max(FILE_BYTES, FILE_RATIO * packed) if most is None else most
        self._left = self._most

    def unpack(self, source: BinaryIO, copy: BinaryIO) -> None:
        """Unpack a file; raises DataError where there is no room left for it."""
        with zstd.open(source, 'rb') as content:
            while block := content.read(_BLOCK):
                self._left -= len(block)
                if self._left < 0:
                    raise DataError(
                        f'cannot be read: the {self._packed} packed bytes of the bag unpack to '
                        f'more than {self._most}, which recordings do not. If this one does, give '
                        '--unpack-gib, or unpack it with `unzstd`'
                    )
                copy.write(block)


def check_tables(path: Path) -> None:
    """Raise DataError where a .db3 does not hold its messages but computes them.

    A view can have rows without end, and a generated column a gigabyte in each. What is too
    damaged to tell is for the reader to find out.
    """
    address = f'file:{quote(str(path.absolute()))}?immutable=1'
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.text_factory = lambda text: text.decode('utf-8', 'replace')
            query = 'SELECT name, type, sql FROM sqlite_master'
            for name, kind, sql in connection.execute(query):
                if name not in _TABLES:
                    continue
                if kind != 'table' or str(sql).upper().startswith('CREATE VIRTUAL'):
                    raise DataError(
                        f"cannot be read: its '{name}' is no table but a {kind} that computes rows"
                    )
                columns = connection.execute(f'PRAGMA table_xinfo({name})').fetchall()
                if any(column[6] for column in columns):
                    raise DataError(
                        f"cannot be read: its table '{name}' has columns that are computed"
                    )
    # sqlite3 raises the second where its own message quotes a schema that is not UTF-8.
    except (sqlite3.Error, UnicodeDecodeError):
        return
