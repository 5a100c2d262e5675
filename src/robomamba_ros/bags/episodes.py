"""Demonstrations as they are made: a bag for each episode that was kept, in one folder."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robomamba_ros.bags.definitions import Definition
from robomamba_ros.bags.recording import RecordingThread
from robomamba_ros.bags.records import Offer, Record
from robomamba_ros.errors import DataError

_LATCHED = 'transient_local'


@dataclass(frozen=True)
class Topic:
    """A topic that episodes hold."""

    name: str
    type: str
    definition: Definition
    offers: tuple[Offer, ...]


@dataclass(frozen=True)
class Episode:
    """What an episode holds: its bag, how long it took [s], and messages by topic."""

    folder: Path
    duration_s: float
    messages: dict[str, int]
    dropped: int


class EpisodeRecording:
    """Takes what a recorder gives to a RecordingThread, and keeps what falls into an episode.

    folder: gets the bags 000, 001, .., after those that are there. fixed: a topic and a message
    that every episode begins with, as the task. Messages that publishers keep for late readers
    begin every episode too, though they came once. storage, capacity, distro: of RecordingThread.
    """

    def __init__(
        self,
        folder: Path,
        storage: str,
        capacity: int,
        distro: str = '',
        fixed: Sequence[tuple[Topic, bytes]] = (),
    ) -> None:
        if folder.exists() and not folder.is_dir():
            raise DataError(f'{folder} is a file; choose another place with --output')
        self.folder = folder
        self.kept = 0
        self.failure = ''
        self._storage, self._capacity, self._distro = storage, capacity, distro
        self._fixed = tuple(fixed)
        self._topics: dict[str, Topic] = {topic.name: topic for topic, _ in fixed}
        self._latest: dict[str, Record] = {}
        self._recording: RecordingThread | None = None
        self._bag = Path()
        self._last: Path | None = None
        self._messages: dict[str, int] = {}
        self._began_s = 0.0

    @property
    def recording(self) -> bool:
        """Whether an episode is being recorded."""
        return self._recording is not None

    @property
    def duration_s(self) -> float:
        """How long the episode has been recorded [s]."""
        return time.monotonic() - self._began_s if self.recording else 0.0

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are recorded."""
        return tuple(self._topics)

    def add_topic(
        self, name: str, type_: str, definition: Definition, offers: Sequence[Offer]
    ) -> None:
        """Announce a topic before its first message."""
        self._topics[name] = topic = Topic(name, type_, definition, tuple(offers))
        if self._recording is not None:
            _announce(self._recording, topic)

    def put(self, record: Record) -> None:
        """Take a message."""
        if any(offer.durability == _LATCHED for offer in self._topics[record.topic].offers):
            self._latest[record.topic] = record
        if self._recording is not None:
            self._put(self._recording, record)

    def begin(self) -> Path:
        """Begin an episode; return its folder. Raises DataError where one is being recorded."""
        if self.recording:
            raise DataError(f'episode {self._bag.name} is being recorded; end it first')
        self._bag = self.folder / f'{_next_number(self.folder):03d}'
        recording = RecordingThread(self._bag, self._storage, self._capacity, self._distro)
        self._messages, self._began_s = {}, time.monotonic()
        for topic in self._topics.values():
            _announce(recording, topic)
        now_ns = time.time_ns()
        first = [Record(topic.name, topic.type, now_ns, data) for topic, data in self._fixed]
        first += [record._replace(log_ns=now_ns) for record in self._latest.values()]
        for record in first:
            self._put(recording, record)
        self._recording = recording
        return self._bag

    def keep(self) -> Episode:
        """End the episode, and keep it. Raises DataError where none is being recorded."""
        episode = self._end()
        self._last = episode.folder
        self.kept += 1
        return episode

    def discard(self) -> Path:
        """End the episode, or take the one that was just kept, and delete it; return its folder.

        Raises DataError where there is neither.
        """
        if self.recording:
            folder = self._end().folder
        elif self._last is not None:
            folder = self._last
            self.kept -= 1
        else:
            raise DataError('there is no episode to discard')
        self._last = None
        shutil.rmtree(folder)
        return folder

    def _end(self) -> Episode:
        recording, duration_s = self._recording, self.duration_s
        if recording is None:
            raise DataError('no episode is being recorded')
        self._recording = None
        recording.close()
        self.failure = recording.failure
        dropped = sum(recording.dropped.values())
        return Episode(self._bag, duration_s, dict(self._messages), dropped)

    def _put(self, recording: RecordingThread, record: Record) -> None:
        self._messages[record.topic] = self._messages.get(record.topic, 0) + 1
        recording.put(record)
        self.failure = recording.failure


def _announce(recording: RecordingThread, topic: Topic) -> None:
    recording.add_topic(topic.name, topic.type, topic.definition, topic.offers)


def _next_number(folder: Path) -> int:
    numbers = [path.name for path in folder.iterdir()] if folder.exists() else []
    return 1 + max((int(name) for name in numbers if re.fullmatch(r'\d{3,}', name)), default=-1)
