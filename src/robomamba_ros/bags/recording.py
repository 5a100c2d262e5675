"""Writes a rosbag2 folder while messages come in, in a thread of its own.

metadata.yaml is written last: a folder without it is a recording that was not closed, to rosbag2
and to the reader here alike. What was written until then stays readable.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Writer

from robomamba_ros.bags.definitions import Definition
from robomamba_ros.bags.distributions import DistroStorage, layout, metadata_for, ros_distro
from robomamba_ros.bags.records import Offer, Record
from robomamba_ros.common.files import written_whole
from robomamba_ros.errors import DataError, unknown_name
from robomamba_ros.types import NANOSECONDS

STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
# At most so much is lost where the process is killed.
FLUSH_S = 1.0
FLUSH_NS = int(FLUSH_S * NANOSECONDS)


class Recording:
    """A bag to be, used by one thread; raises DataError where it cannot be written.

    distro: whose rosbag2 is to read it; '' takes that of the environment, see ros_distro. written,
    bytes: how much was taken so far.
    """

    def __init__(self, folder: Path, storage: str, distro: str = '') -> None:
        self.folder = folder
        self._distro = ros_distro(distro)
        self.written = self.bytes = 0
        self._flushed, self._flushed_ns = 0, 0
        self._connections: dict[str, Connection] = {}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(
                folder, version=layout(self._distro), storage_plugin=STORAGES[storage]
            )
            self._writer.open()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    def add_topic(
        self, name: str, type_: str, definition: Definition, offers: Sequence[Offer]
    ) -> None:
        """Announce a topic."""
        try:
            self._connections[name] = self._writer.add_connection(
                name,
                type_,
                msgdef=definition.text,
                rihs01=definition.hash,
                offered_qos_profiles=[_qos(offer) for offer in offers],
            )
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    def write(self, record: Record) -> None:
        """Write a message of a topic that was announced."""
        try:
            self._writer.write(self._connections[record.topic], record.log_ns, record.data)
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error
        self.written += 1
        self.bytes += len(record.data)
        if record.log_ns - self._flushed_ns > FLUSH_NS:
            self._flushed_ns = record.log_ns
            self.flush()

    def flush(self) -> None:
        """Put everything so far where it stays if this process ends."""
        storage = self._writer.storage
        try:
            if isinstance(storage, Sqlite3Writer):
                storage.conn.commit()
            elif isinstance(storage, McapWriter):
                if storage.chunk.msgs:
                    storage.close_chunk()
                storage.bio.flush()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error
        self._flushed = self.written

    def close(self) -> None:
        """Write index and metadata.yaml: the bag is whole."""
        storage = self._writer.storage
        assert storage is not None
        try:
            storage_of_distro: Any = DistroStorage(storage, self._distro)
            self._writer.storage = storage_of_distro
            self._writer.close()
            path = self._writer.metapath
            with written_whole(path) as made:
                made.write_text(metadata_for(path.read_text('utf8'), self._distro) + '\n', 'utf8')
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    def abort(self) -> None:
        """Leave what was written, without metadata.yaml."""
        with suppress(Exception):  # the disk that is full refuses this too
            self._writer.abort()

    def _failure(self, error: OSError | sqlite3.Error) -> DataError:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        kept = f'; the first {self._flushed} messages stay readable there' if self._flushed else ''
        return DataError(
            f'{self.folder} cannot be written: {reason}{kept}. Free space, or choose another place '
            'with --output.'
        )


class RecordingThread:
    """A Recording behind a buffer of `capacity` bytes: nobody who puts messages in ever waits.

    dropped: topic -> messages that found the buffer full. failure: why writing ended, '' while it
    goes on; nothing is taken after it.
    """

    def __init__(self, folder: Path, storage: str, capacity: int, distro: str = '') -> None:
        self._distro = ros_distro(distro)
        if storage not in STORAGES:
            raise DataError(unknown_name('storage', storage, STORAGES))
        if folder.exists():
            raise DataError(f'{folder} exists already; choose another place with --output')
        self.dropped: Counter[str] = Counter()
        self.failure = ''
        self.written = self.bytes = 0
        self._folder, self._storage, self._capacity = folder, storage, capacity
        self._waiting: deque[Record | _Announced] = deque()
        self._waiting_bytes = 0
        self._change = threading.Condition()
        self._closing = self._ended = False
        self._thread = threading.Thread(target=self._run, name='recording')
        self._thread.start()

    def add_topic(
        self, name: str, type_: str, definition: Definition, offers: Sequence[Offer]
    ) -> None:
        """Announce a topic before its first message."""
        with self._change:
            self._waiting.append(_Announced(name, type_, definition, tuple(offers)))

    def put(self, record: Record) -> None:
        """Take a message, or count it as dropped where the buffer is full."""
        with self._change:
            if self._closing or self.failure:
                return
            if self._waiting_bytes + len(record.data) > self._capacity:
                self.dropped[record.topic] += 1
                return
            self._waiting.append(record)
            self._waiting_bytes += len(record.data)
            self._change.notify()

    def close(self) -> None:
        """Write what waits, close the bag, and end; `failure` says where that did not go."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            recording = Recording(self._folder, self._storage, self._distro)
        except DataError as error:
            self.failure = str(error)
            return
        try:
            while not self._ended:
                self._write_waiting(recording)
            recording.close()
        except Exception as error:  # a defect too: nobody else sees this thread end
            self.failure = str(error) or repr(error)
            recording.abort()

    def _write_waiting(self, recording: Recording) -> None:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing, FLUSH_S)
            batch, self._waiting = self._waiting, deque()
            self._ended = self._closing
        if not batch:
            recording.flush()
        for each in batch:
            if isinstance(each, Record):
                recording.write(each)
                with self._change:
                    self._waiting_bytes -= len(each.data)
            else:
                recording.add_topic(*each)
            self.written, self.bytes = recording.written, recording.bytes


class _Announced(NamedTuple):
    name: str
    type: str
    definition: Definition
    offers: tuple[Offer, ...]


def _qos(offer: Offer) -> Qos:
    return Qos(
        QosHistory[offer.history.upper()],
        offer.depth,
        QosReliability[offer.reliability.upper()],
        QosDurability[offer.durability.upper()],
        QosTime(*divmod(offer.deadline_ns, NANOSECONDS)),
        QosTime(*divmod(offer.lifespan_ns, NANOSECONDS)),
        QosLiveliness[offer.liveliness.upper()],
        QosTime(*divmod(offer.lease_ns, NANOSECONDS)),
        False,
    )
