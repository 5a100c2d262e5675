"""A bag: one file or a folder of them, read as one stream of messages in the order of time.

Whatever is damaged is said in `warnings`, and everything that can be read is read. Memory does not
grow with the bag.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from robomamba_ros.bags.limits import UnpackingRoom
from robomamba_ros.bags.records import Offer, Record
from robomamba_ros.bags.storage import COMPRESSED, StorageFile, is_storage
from robomamba_ros.bags.types import MessageTypes, plain
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.errors import ConfigError, DataError, unknown_name
from robomamba_ros.types import NANOSECONDS

METADATA = 'metadata.yaml'
# Of thousands of files and topics; far more is no recording's.
METADATA_MEGABYTES = 16

Value = TypeVar('Value')


@dataclass(frozen=True)
class Topic:
    """A topic of a bag; problem: why its messages cannot be decoded, '' where they can.

    offers: the quality of service of its publishers, none where the bag does not say.
    """

    name: str
    type: str
    count: int
    problem: str
    offers: tuple[Offer, ...]


class Message(NamedTuple):
    """One message and the time at which it was recorded [ns]."""

    topic: str
    log_ns: int
    content: Any


class Bag:
    """A rosbag2 recording: a folder, or one .mcap, .db3 or .zstd file of it.

    topics by name; start_ns, end_ns: times of the first and last message [ns]; warnings: what is
    damaged, missing or odd, one sentence each; reading adds to them. most_unpacked: how many bytes
    its .zstd files may unpack to in all (see UnpackingRoom). Raises DataError where nothing can be
    read. Close it, or use it with `with`.
    """

    def __init__(self, path: str | Path, *, most_unpacked: int | None = None) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self._folder = TemporaryDirectory(prefix='robomamba_bag_')
        self._files: list[StorageFile] = []
        try:
            self._open(_storage_paths(self.path, self.warn), most_unpacked)
        except BaseException:
            self.close()
            raise
        stored = [topic for file in self._files for topic in file.topics]
        self._types = MessageTypes(stored)
        counts: Counter[str] = Counter()
        types: dict[str, str] = {}
        # Dictionaries, because the files of a split bag repeat the offers, and their order counts.
        offers: dict[str, dict[Offer, None]] = {}
        for topic in stored:
            counts[topic.name] += topic.count
            offers.setdefault(topic.name, {}).update(dict.fromkeys(topic.offers))
            if types.setdefault(topic.name, topic.type) != topic.type:
                self.warn(
                    f"topic '{topic.name}' of {self.path} has messages of two types, "
                    f'{types[topic.name]} and {topic.type}; only the first are read'
                )
        self.topics = {
            name: Topic(
                name,
                types[name],
                count,
                self._types.problems.get(types[name], ''),
                tuple(offers[name]),
            )
            for name, count in sorted(counts.items())
        }
        self.start_ns = min((file.start_ns for file in self._files), default=0)
        self.end_ns = max((file.end_ns for file in self._files), default=0)
        if not sum(counts.values()):
            self.start_ns = self.end_ns = 0
            self.warn(f'{self.path} holds no messages')

    @property
    def count(self) -> int:
        """Number of messages."""
        return sum(topic.count for topic in self.topics.values())

    @property
    def duration_s(self) -> float:
        """Time from the first message to the last [s]."""
        return (self.end_ns - self.start_ns) / NANOSECONDS

    def require(self, name: str, types: Sequence[str]) -> Topic:
        """Return the topic `name`, whose type has to be one of `types` and decodable.

        Raises DataError naming the bag, what it has instead, and what is allowed.
        """
        topic = self.topics.get(name)
        if topic is None:
            raise DataError(f'{self.path}: {unknown_name("topic", name, self.topics)}')
        if topic.type not in types:
            raise DataError(
                f"topic '{name}' of {self.path} carries {topic.type}; allowed: {', '.join(types)}"
            )
        if topic.problem:
            raise DataError(f"topic '{name}' of {self.path}: {topic.problem}")
        return topic

    def require_fields(self, topic: Topic) -> None:
        """Raise DataError where messages of a topic lack a field that theirs have in ROS 2."""
        missing_field = self._types.missing_field(topic.type)
        if missing_field:
            raise DataError(f"topic '{topic.name}' of {self.path}: {missing_field}")

    def find(self, name: str) -> Topic | None:
        """Return the topic of a name that may lack its namespace, None for none.

        Raises DataError where several topics end like it.
        """
        full = f'/{name.lstrip("/")}'
        if full in self.topics:
            return self.topics[full]
        matches = [each for each in self.topics if each.endswith(full)]
        if len(matches) > 1:
            raise DataError(
                f"'{name}' may be any of the topics {', '.join(matches)} of {self.path}; give the "
                'whole name, with a leading /'
            )
        return self.topics[matches[0]] if matches else None

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield the messages of `topics` in the order of their recording.

        A message that cannot be decoded is left out and counted in `warnings`.
        """
        for name in topics:
            self.require(name, [self.topics[name].type] if name in self.topics else [])
        for record, content in self._read(topics, self._types.decode):
            yield Message(record.topic, record.log_ns, content)

    def records(self, topics: Collection[str], start_ns: int = 0) -> Iterator[Record]:
        """Yield the messages of `topics` as bytes, in the order of their recording.

        start_ns: nothing that was recorded before it [ns]. A message that cannot be decompressed
        is left out and counted in `warnings`.
        """
        for record, data in self._read(topics, plain, start_ns):
            yield record._replace(data=data)

    def stored(self, topics: Collection[str], start_ns: int = 0) -> Iterator[Record]:
        """Yield the messages of `topics` as they are stored, in the order of their recording.

        start_ns: nothing that was recorded before it [ns]. What is odd is not said.
        """
        for _, _, record in heapq.merge(*self._streams(topics, start_ns), key=itemgetter(0, 1)):
            if record is not None and record.type == self.topics[record.topic].type:
                yield record

    def warn(self, text: str) -> None:
        """Add to the warnings what is not among them yet."""
        if text not in self.warnings:
            self.warnings.append(text)

    def _read(
        self, topics: Collection[str], convert: Callable[[Record], Value], start_ns: int = 0
    ) -> Iterator[tuple[Record, Value]]:
        """Yield each message with what `convert` makes of it; count those that it refuses."""
        refused: Counter[str] = Counter()
        reasons: dict[str, str] = {}
        backwards, last_ns = 0, 0
        for record in self.stored(topics, start_ns):
            backwards += record.log_ns < last_ns
            last_ns = record.log_ns
            try:
                value = convert(record)
            except DataError as error:
                refused[record.topic] += 1
                reasons.setdefault(record.topic, str(error))
            else:
                yield record, value
        for name, count in refused.items():
            self.warn(
                f"{count} messages of topic '{name}' of {self.path} are left out: {reasons[name]}"
            )
        if backwards:
            self.warn(f'the times of recording in {self.path} go backwards {backwards} times')

    def _streams(
        self, topics: Collection[str], start_ns: int
    ) -> Iterator[Iterator[tuple[int, int, Record | None]]]:
        """Yield a stream for each file; a file is not read before its time has come."""
        for index, file in enumerate(self._files):
            if file.end_ns >= start_ns:
                yield self._stream(file, index, topics, start_ns)

    @staticmethod
    def _stream(
        file: StorageFile, index: int, topics: Collection[str], start_ns: int
    ) -> Iterator[tuple[int, int, Record | None]]:
        yield file.start_ns, index, None
        for record in file.records(topics, start_ns):
            yield record.log_ns, index, record

    def _open(self, listed: Iterable[Path], most_unpacked: int | None) -> None:
        failures, paths = [], list(listed)
        packed = [path for path in paths if path.suffix == COMPRESSED and path.is_file()]
        room = UnpackingRoom(sum(path.stat().st_size for path in packed), most_unpacked)
        for path in paths:
            try:
                self._files.append(StorageFile(path, Path(self._folder.name), self.warn, room))
            except DataError as error:
                failures.append(str(error))
        if not self._files:
            raise DataError('; '.join(failures))
        for failure in failures:
            self.warn(f'{failure}; it is left out')

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()
        self._folder.cleanup()

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _storage_paths(path: Path, warn: Any) -> list[Path]:
    """Return the storage files of a bag, in order; raises DataError where there are none."""
    if not path.exists():
        raise DataError(f"there is no bag '{path}'")
    if path.is_file():
        if not is_storage(path):
            raise DataError(f'{path} is no bag; give a folder, or a .mcap or .db3 file')
        return [path]
    if not path.is_dir():
        raise DataError(f'{path} is neither a file nor a folder: it is no bag')
    found = sorted((p for p in path.iterdir() if is_storage(p)), key=_natural)
    listed = _listed(path, warn)
    present = {p.name: p for p in found}
    paths = []
    for name in listed or ():
        match = present.get(name) or present.get(name + COMPRESSED)
        if match is None:
            warn(f'{path / name} is missing, though {METADATA} lists it; the other files are read')
        elif match not in paths:
            paths.append(match)
    if not paths and not found:
        raise DataError(f'{path} holds no .mcap or .db3 file: it is no bag')
    return paths or found


def _listed(path: Path, warn: Any) -> list[str] | None:
    """Return the names that metadata.yaml lists, None where it cannot say."""
    try:
        document, _ = read_yaml(path / METADATA, megabytes=METADATA_MEGABYTES)
        names = document['rosbag2_bagfile_information']['relative_file_paths']
        return [Path(name).name for name in names]
    except ConfigError as error:
        exists = (path / METADATA).exists()
        reason = str(error) if exists else f'{path / METADATA} is missing: it was not closed'
    except (KeyError, TypeError):
        reason = f'{path / METADATA} does not list the files of a recording'
    warn(f'{reason}; every file beside it is read. `ros2 bag reindex` writes it.')
    return None


def _natural(path: Path) -> list[Any]:
    """Return a key that sorts bag_10 after bag_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', path.name)]
