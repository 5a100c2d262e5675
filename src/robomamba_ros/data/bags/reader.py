"""A bag: one file or a folder of them, read as one stream of messages in the order of time.

Whatever is damaged is said in `warnings`, and everything that can be read is read. Memory does
not grow with the bag. Knows nothing about robots.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple

import yaml

from robomamba_ros.data.bags.records import Record
from robomamba_ros.data.bags.storage import COMPRESSED, StorageFile, is_storage
from robomamba_ros.data.bags.types import MessageTypes
from robomamba_ros.errors import DataError, unknown_name
from robomamba_ros.types import NANOSECONDS

METADATA = 'metadata.yaml'


@dataclass(frozen=True)
class Topic:
    """A topic of a bag; problem: why its messages cannot be decoded, '' where they can."""

    name: str
    type: str
    count: int
    problem: str


class Message(NamedTuple):
    """One message and the time at which it was recorded [ns]."""

    topic: str
    log_ns: int
    content: Any


class Bag:
    """A rosbag2 recording: a folder, or one .mcap, .db3 or .zstd file of it.

    topics by name; start_ns, end_ns: times of the first and last message [ns]; warnings: what is
    damaged, missing or odd, one sentence each; reading adds to them. Raises DataError where
    nothing can be read. Close it, or use it with `with`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self._folder = TemporaryDirectory(prefix='robomamba_bag_')
        self._files: list[StorageFile] = []
        try:
            self._open(_storage_paths(self.path, self._warn))
        except BaseException:
            self.close()
            raise
        stored = [topic for file in self._files for topic in file.topics]
        self._types = MessageTypes(stored)
        counts: Counter[str] = Counter()
        types: dict[str, str] = {}
        for topic in stored:
            counts[topic.name] += topic.count
            if types.setdefault(topic.name, topic.type) != topic.type:
                self._warn(
                    f"topic '{topic.name}' of {self.path} has messages of two types, "
                    f'{types[topic.name]} and {topic.type}; only the first are read'
                )
        self.topics = {
            name: Topic(name, types[name], count, self._types.problems.get(types[name], ''))
            for name, count in sorted(counts.items())
        }
        self.start_ns = min((file.start_ns for file in self._files), default=0)
        self.end_ns = max((file.end_ns for file in self._files), default=0)
        if not sum(counts.values()):
            self.start_ns = self.end_ns = 0
            self._warn(f'{self.path} holds no messages')

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

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield the messages of `topics` in the order of their recording.

        A message that cannot be decoded is left out and counted in `warnings`.
        """
        for name in topics:
            self.require(name, [self.topics[name].type] if name in self.topics else [])
        refused: Counter[str] = Counter()
        reasons: dict[str, str] = {}
        backwards, last_ns = 0, 0
        for _, _, record in heapq.merge(*self._streams(topics), key=itemgetter(0, 1)):
            if record is None or record.type != self.topics[record.topic].type:
                continue
            backwards += record.log_ns < last_ns
            last_ns = record.log_ns
            try:
                yield Message(record.topic, record.log_ns, self._types.decode(record))
            except DataError as error:
                refused[record.topic] += 1
                reasons.setdefault(record.topic, str(error))
        for name, count in refused.items():
            self._warn(
                f"{count} messages of topic '{name}' of {self.path} are left out: {reasons[name]}"
            )
        if backwards:
            self._warn(f'the times of recording in {self.path} go backwards {backwards} times')

    def _streams(
        self, topics: Collection[str]
    ) -> Iterator[Iterator[tuple[int, int, Record | None]]]:
        """Yield a stream for each file; a file is not read before its time has come."""
        for index, file in enumerate(self._files):
            yield self._stream(file, index, topics)

    @staticmethod
    def _stream(
        file: StorageFile, index: int, topics: Collection[str]
    ) -> Iterator[tuple[int, int, Record | None]]:
        yield file.start_ns, index, None
        for record in file.records(topics):
            yield record.log_ns, index, record

    def _open(self, paths: Iterable[Path]) -> None:
        failures = []
        for path in paths:
            try:
                self._files.append(StorageFile(path, Path(self._folder.name), self._warn))
            except DataError as error:
                failures.append(str(error))
        if not self._files:
            raise DataError('; '.join(failures))
        for failure in failures:
            self._warn(f'{failure}; it is left out')

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()
        self._folder.cleanup()

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _storage_paths(path: Path, warn: Any) -> list[Path]:
    """Return the storage files of a bag, in order; raises DataError where there are none."""
    if not path.exists():
        raise DataError(f"there is no bag '{path}'")
    if path.is_file():
        if not is_storage(path):
            raise DataError(f'{path} is no bag; give a folder, or a .mcap or .db3 file')
        return [path]
    found = sorted((p for p in path.iterdir() if is_storage(p)), key=_natural)
    listed = _listed(path, warn)
    present = {p.name: p for p in found}
    paths = []
    for name in listed or ():
        match = present.get(name) or present.get(name + COMPRESSED)
        if match is None:
            warn(f'{path / name} is missing, though {METADATA} lists it; the other files are read')
        else:
            paths.append(match)
    if not paths and not found:
        raise DataError(f'{path} holds no .mcap or .db3 file: it is no bag')
    return paths or found


def _listed(path: Path, warn: Any) -> list[str] | None:
    """Return the names that metadata.yaml lists, None where it cannot say."""
    try:
        document = yaml.safe_load((path / METADATA).read_text(encoding='utf-8'))
        names = document['rosbag2_bagfile_information']['relative_file_paths']
        return [Path(name).name for name in names]
    except FileNotFoundError:
        reason = 'is missing: the recording was not closed'
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        reason = f'cannot be read ({type(error).__name__})'
    warn(f'{path / METADATA} {reason}; every file beside it is read. `ros2 bag reindex` writes it.')
    return None


def _natural(path: Path) -> list[Any]:
    """Return a key that sorts bag_10 after bag_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', path.name)]
