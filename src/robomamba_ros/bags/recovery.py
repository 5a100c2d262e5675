"""Reads damaged storage files from their beginning as far as they go, without their index.

Sources: the MCAP specification (mcap.dev/spec); the schema of rosbag2_storage_sqlite3.
"""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote
from zlib import crc32

from robomamba_ros.bags.limits import MESSAGE_BYTES, SQLITE_LIMIT_LENGTH, decompress
from robomamba_ros.bags.records import Record, StoredTopic, full_type
from robomamba_ros.errors import DataError

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 2, 3, 4, 5, 6
# Start and end of a file without messages [ns].
NO_TIME = (2**63 - 1, -1)


class Recovered(Protocol):
    """What can be read of a damaged file: its topics, its messages, and what is wrong with it.

    start_ns, end_ns: times of its first and last message [ns].
    """

    topics: tuple[StoredTopic, ...]
    damage: str
    start_ns: int
    end_ns: int

    def records(self) -> Iterator[Record]:
        """Yield every message that can be read, as they were written."""


def recover(path: Path) -> Recovered:
    """Return what can be read of a .mcap or .db3; raises DataError where that is nothing."""
    return RecoveredMcap(path) if path.suffix == '.mcap' else RecoveredSqlite(path)


class _Survey:
    """Counts messages by topic and type, and finds their first and last time [ns]."""

    def __init__(self, records: Iterator[Record]) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.start_ns, self.end_ns = NO_TIME
        for record in records:
            self.counts[record.topic, record.type] += 1
            self.start_ns = min(self.start_ns, record.log_ns)
            self.end_ns = max(self.end_ns, record.log_ns)


class RecoveredMcap:
    """An MCAP file without its end, or with chunks that cannot be decompressed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open('rb') as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DataError('it does not begin as an MCAP file does')
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, tuple[str, str]] = {}
        self.damage = ''
        # The channels that a damaged chunk announced stand in the summary again, at the end.
        self._unknown = False
        survey = _Survey(self.records())
        survey = _Survey(self.records()) if self._unknown else survey
        self.start_ns, self.end_ns = survey.start_ns, survey.end_ns
        definitions = {name: (syntax, text) for name, syntax, text in self._schemas.values()}
        self.topics = tuple(
            StoredTopic(topic, type_, survey.counts[topic, type_], text, syntax != 'ros2msg')
            for topic, type_ in dict.fromkeys(self._channels.values())
            for syntax, text in [definitions.get(type_, ('ros2msg', ''))]
        )

    def records(self) -> Iterator[Record]:
        """Yield every message that can be read, sorted by time within its chunk."""
        self.damage, operation = '', 0
        with self._path.open('rb') as file:
            file.seek(len(MAGIC))
            for operation, content in _operations(file, self._path.stat().st_size):
                if operation == CHUNK:
                    yield from sorted(self._chunk(content), key=lambda record: record.log_ns)
                elif record := self._take(operation, content):
                    yield record
        if operation != FOOTER:
            self.damage = self.damage or 'it is cut off'

    def _chunk(self, content: bytes) -> list[Record]:
        """Return the messages of a chunk, of a damaged one those before the damage."""
        if len(content) < 32:
            return []
        (size, crc), rest = struct.unpack_from('<QI', content, 16), content[28:]
        compression, rest = _text(rest)
        raw, _ = decompress(compression, rest[8:], size)
        if len(raw) != size:
            self.damage = 'a chunk of it is damaged or cut off'
        elif crc and crc32(raw) != crc:
            self.damage = 'the checksum of a chunk of it is wrong'
            return []
        records = _operations(BytesIO(raw), len(raw))
        found = [self._take(*each) for each in takewhile(lambda each: each[0], records)]
        return [record for record in found if record]

    def _take(self, operation: int, content: bytes) -> Record | None:
        """Remember a schema or channel; return a message."""
        if operation == SCHEMA:
            name, rest = _text(content[2:])
            syntax, rest = _text(rest)
            self._schemas[_number(content)] = (full_type(name), syntax, _text(rest)[0])
        elif operation == CHANNEL:
            schema = self._schemas.get(_number(content[2:]), ('unknown', '', ''))
            self._channels[_number(content)] = (_text(content[4:])[0], schema[0])
        elif operation == MESSAGE and len(content) >= 22:
            channel = self._channels.get(_number(content))
            if channel is not None:
                return Record(*channel, struct.unpack_from('<Q', content, 6)[0], content[22:])
            self._unknown = True
        return None


def _operations(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (operation, content) up to the footer or where it is cut off; of a chunk, the rest."""
    while size - file.tell() >= 9:
        head = file.read(9)
        operation, length = head[0], int.from_bytes(head[1:], 'little')
        left = size - file.tell()
        if length <= left or operation == CHUNK:
            yield operation, file.read(min(length, left))
        if length > left or operation == FOOTER:
            return


def _number(content: bytes) -> int:
    return int.from_bytes(content[:2], 'little')


def _text(content: bytes) -> tuple[str, bytes]:
    """Return the text that `content` begins with, and what follows it."""
    end = 4 + int.from_bytes(content[:4], 'little')
    return content[4:end].decode(errors='replace'), content[end:]


class RecoveredSqlite:
    """An SQLite file that is cut off or damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damage = ''
        try:
            with self._connect() as connection:
                rows = connection.execute('SELECT id, name, type FROM topics').fetchall()
                definitions = self._definitions(connection)
        except sqlite3.Error as error:
            raise DataError(f'it has no topics ({error})') from error
        # A column of SQLite may hold anything.
        self._names = {
            id_: (name, full_type(type_))
            for id_, name, type_ in rows
            if isinstance(name, str) and isinstance(type_, str)
        }
        survey = _Survey(self.records())
        self.start_ns, self.end_ns = survey.start_ns, survey.end_ns
        self.topics = tuple(
            StoredTopic(*key, survey.counts[key], text, encoding != 'ros2msg')
            for key in dict.fromkeys(self._names.values())
            for encoding, text in [definitions.get(key[1], ('ros2msg', ''))]
        )

    def records(self) -> Iterator[Record]:
        """Yield the messages up to the first one that cannot be read."""
        self.damage = ''
        query = 'SELECT topic_id, timestamp, data FROM messages ORDER BY id'
        connection = self._connect()
        try:
            for id_, log_ns, data in connection.execute(query):
                if not isinstance(log_ns, int) or not isinstance(data, bytes):
                    self.damage = 'messages of it have no time or no bytes'
                elif id_ in self._names:
                    yield Record(*self._names[id_], log_ns, data)
        except sqlite3.Error as error:
            self.damage = str(error)
        finally:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        address = f'file:{quote(str(self._path.absolute()))}?immutable=1'
        connection = sqlite3.connect(address, uri=True)
        if hasattr(connection, 'setlimit'):  # from Python 3.11 on
            connection.setlimit(SQLITE_LIMIT_LENGTH, MESSAGE_BYTES)
        # Without it SQLite opens no file that is shorter than its header says.
        connection.execute('PRAGMA writable_schema=ON')
        return connection

    @staticmethod
    def _definitions(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
        columns = 'topic_type, encoding, encoded_message_definition'
        try:
            rows = connection.execute(f'SELECT {columns} FROM message_definitions').fetchall()
        except sqlite3.Error:  # recorded before Iron
            return {}
        return {
            full_type(row[0]): (row[1], row[2])
            for row in rows
            if all(isinstance(each, str) for each in row)
        }
