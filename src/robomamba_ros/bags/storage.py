"""One storage file of a bag: its topics, and its messages as bytes.

A sound file is read by its index, in time order. Of one that is damaged, everything that can be
read is.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    Qos,
    QosTime,
)
from rosbags.rosbag2 import Reader

from robomamba_ros.bags.limits import (
    MESSAGE_BYTES,
    SQLITE_LIMIT_LENGTH,
    UnpackingRoom,
    check_tables,
)
from robomamba_ros.bags.records import Offer, Record, StoredTopic, full_type
from robomamba_ros.bags.recovery import NO_TIME, Recovered, recover
from robomamba_ros.errors import DataError
from robomamba_ros.types import NANOSECONDS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = ('.mcap', '.db3')
COMPRESSED = '.zstd'
REMEDIES = {
    '.mcap': '`mcap recover` makes a sound file of it',
    '.db3': '`sqlite3 OLD .recover | sqlite3 NEW` makes a sound file of it',
}


def is_storage(path: Path) -> bool:
    """Return whether a file is named as one of a bag's."""
    name = path.with_suffix('') if path.suffix == COMPRESSED else path
    return name.suffix in SUFFIXES


# What rosbag2 writes in place of a syntax where it stores no definition that can be used, as of
# service events; rosbags refuses to open the file. Nothing in it is damaged.
UNDEFINED = 'unknown'


class StorageFile:
    """A .mcap or .db3, alone or in .zstd; topics, and the times of its first and last message.

    folder: where a compressed file is unpacked, as far as there is `room`. warn: is told what is
    damaged, and the remedy. Raises DataError where nothing can be read.
    """

    def __init__(
        self, path: Path, folder: Path, warn: Callable[[str], None], room: UnpackingRoom
    ) -> None:
        self._name = path
        self._warn = warn
        self._reader: Reader | None = None
        self._recovered: Recovered | None = None
        try:
            if not path.is_file():  # a pipe would be waited for
                raise DataError('cannot be read: it is no regular file')
            self._path = self._unpack(path, folder, room) if path.suffix == COMPRESSED else path
            if path.suffix == '.db3' and _journals(path):
                self._path = self._complete(path, folder)
            if self._path.stat().st_size == 0:
                raise DataError('is empty: nothing was recorded, or the disk was full')
            if self._path.suffix == '.db3':
                check_tables(self._path)
        except DataError as error:
            raise DataError(f'{path} {error}') from error
        except OSError as error:
            raise DataError(f'{path} cannot be read: {_reason(error, folder)}') from error
        reader = None
        try:
            reader = Reader(self._path)
            reader.open()
            _check_chunks(reader)
            topics = tuple(map(_topic, reader.connections))
            if (database := getattr(reader.storage, 'dbconn', None)) is not None:
                database.limit(SQLITE_LIMIT_LENGTH, MESSAGE_BYTES)
        except Exception as error:  # parsers of damaged bytes raise anything
            with suppress(Exception):
                if reader is not None:
                    reader.close()
            found = self._recover(error)
            self.topics, self.start_ns, self.end_ns = found.topics, found.start_ns, found.end_ns
        else:
            self._reader = reader
            self.topics = topics
            self.start_ns, self.end_ns = NO_TIME
            if reader.message_count:
                self.start_ns, self.end_ns = reader.start_time, reader.end_time - 1

    def _unpack(self, path: Path, folder: Path, room: UnpackingRoom) -> Path:
        """Return the file in a .zstd, as far as it goes."""
        unpacked = folder / path.with_suffix('').name
        with path.open('rb') as file, unpacked.open('wb') as copy:
            try:
                room.unpack(file, copy)
            except (EOFError, zstd.ZstdError) as error:
                self._warn(f'{path} is damaged: {error}; what could be unpacked of it is read')
        return unpacked

    def _complete(self, path: Path, folder: Path) -> Path:
        """Return a copy of an SQLite file with what its recorder left in a journal beside it."""
        for part in (path, *_journals(path)):
            shutil.copyfile(part, folder / part.name)
        copy = folder / path.name
        with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as database:
            database.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()
        self._warn(
            f'{path} was not closed: its last messages are in a journal beside it, and are read; '
            'keep the two together'
        )
        return copy

    def _recover(self, error: Exception) -> Recovered:
        """Return the file as it is read without its index, once it has shown damage."""
        if self._recovered is None:
            try:
                self._recovered = recover(self._path)
            except DataError as reason:
                raise DataError(f'{self._name} cannot be read: {reason} ({error})') from error
            if error.args == (UNDEFINED,):
                return self._recovered
            messages = sum(topic.count for topic in self._recovered.topics)
            self._warn(
                f'{self._name} is damaged: {self._recovered.damage or error}; the {messages} '
                f'messages that could be read of it are used. {REMEDIES[self._path.suffix]}.'
            )
        return self._recovered

    def records(self, topics: Collection[str], start_ns: int = 0) -> Iterator[Record]:
        """Yield the messages of `topics` from a time on; in time order where the file is sound."""
        last_ns, repeats = -1, 0
        if self._reader is not None:
            try:
                for record in _indexed(self._reader, topics, start_ns):
                    repeats = repeats + 1 if record.log_ns == last_ns else 1
                    last_ns = record.log_ns
                    yield record
                return
            except Exception as error:  # parsers of damaged bytes raise anything
                self._recover(error)
        assert self._recovered is not None
        for record in self._recovered.records():
            if record.topic not in topics or record.log_ns < max(last_ns, start_ns):
                continue
            if record.log_ns == last_ns and repeats:
                repeats -= 1
                continue
            yield record

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            with suppress(Exception):
                self._reader.close()


def _reason(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f'there is no room to unpack it in {folder.parent}; set TMPDIR to a larger disk'
    return error.strerror or str(error)


def _journals(path: Path) -> list[Path]:
    """Return the journals that an SQLite file cannot be read without."""
    beside = (path.with_name(f'{path.name}-{kind}') for kind in ('wal', 'journal'))
    return [journal for journal in beside if journal.is_file() and journal.stat().st_size]


def _indexed(reader: Reader, topics: Collection[str], start_ns: int) -> Iterator[Record]:
    wanted = [connection for connection in reader.connections if connection.topic in topics]
    if wanted:
        types = {each.msgtype: full_type(each.msgtype) for each in wanted}
        for connection, log_ns, data in reader.messages(wanted, start_ns):
            # A column of SQLite may hold anything.
            if not isinstance(log_ns, int) or not isinstance(data, bytes):
                raise DataError('a message of it has no time or no bytes')
            yield Record(connection.topic, types[connection.msgtype], log_ns, data)


def _check_chunks(reader: Reader) -> None:
    """Raise DataError where an index names a chunk twice, which would be read twice."""
    chunks = getattr(reader.storage, 'chunks', ())
    if len({chunk.chunk_start_offset for chunk in chunks}) < len(chunks):
        raise DataError('its index names a chunk twice')


def _topic(connection: Connection) -> StoredTopic:
    definition, extension = connection.msgdef, connection.ext
    assert isinstance(extension, ConnectionExtRosbag2)
    known = definition.format is not MessageDefinitionFormat.NONE
    return StoredTopic(
        connection.topic,
        full_type(connection.msgtype),
        connection.msgcount,
        definition.data if known else '',
        definition.format is MessageDefinitionFormat.IDL,
        tuple(map(_offer, extension.offered_qos_profiles)),
    )


def _offer(qos: Qos) -> Offer:
    return Offer(
        qos.reliability.name.lower(),
        qos.durability.name.lower(),
        qos.history.name.lower(),
        qos.depth,
        _nanoseconds(qos.deadline),
        _nanoseconds(qos.lifespan),
        qos.liveliness.name.lower(),
        _nanoseconds(qos.liveliness_lease_duration),
    )


def _nanoseconds(time: QosTime) -> int:
    return time.sec * NANOSECONDS + time.nsec
