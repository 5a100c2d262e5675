"""Begins and ends the episodes of a recording: by keys, and by services for pedals and buttons."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from std_srvs.srv import Trigger

from robomamba_ros.bags.episodes import Episode, EpisodeRecording
from robomamba_ros.errors import RoboMambaError

HELP = 'space: begin, and end and keep an episode; d: discard it, or the last one; q: end'
# Heard, not seen: whoever moves the arm looks at it.
BELL = '\a'


class EpisodeControl:
    """What a person does with an EpisodeRecording.

    node: gets the services `~/begin`, `~/keep` and `~/discard`. say: is told what happened. keys:
    what further keys do. finished: whether the person wants no more.
    """

    def __init__(
        self,
        node: Any,
        episodes: EpisodeRecording,
        say: Callable[[str], None],
        keys: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        self._episodes = episodes
        self._say = say
        self._keys = dict(keys or {})
        self.finished = False
        for name, act in (('begin', self.begin), ('keep', self.keep), ('discard', self.discard)):
            node.create_service(Trigger, f'~/{name}', _answering(act))

    def begin(self) -> str:
        """Begin an episode; return what to say of it. Raises DataError."""
        folder = self._episodes.begin()
        return self._told(f'episode {folder.name} begins')

    def keep(self) -> str:
        """End the episode and keep it; return what to say of it. Raises DataError."""
        return self._told(_kept(self._episodes.keep(), self._episodes))

    def discard(self) -> str:
        """Discard the episode, or the last one; return what to say of it. Raises DataError."""
        return self._told(f'episode {self._episodes.discard().name} is discarded')

    def press(self, keys: str) -> None:
        """Do what the keys say; others do nothing."""
        for key in keys:
            try:
                if key in ' \r\n':
                    _ = self.keep() if self._episodes.recording else self.begin()
                elif key in 'd\x7f':
                    self.discard()
                elif key in self._keys:
                    self._keys[key]()
                elif key in 'q\x03\x04':
                    self.finished = True
            except RoboMambaError as error:
                self._say(f'{BELL}{error}')

    def _told(self, text: str) -> str:
        self._say(f'{BELL}{text}')
        return text


@contextmanager
def pressed_keys() -> Iterator[Callable[[], str]]:
    """Give a function that returns the keys pressed since its last call; '' where none can be.

    The terminal hands out single keys meanwhile, and is left as it was. A pipe in its place is
    read as keys too.
    """
    descriptor = sys.stdin.fileno()
    saved = termios.tcgetattr(descriptor) if os.isatty(descriptor) else None

    def read() -> str:
        nonlocal descriptor
        if descriptor < 0 or not select.select([descriptor], [], [], 0)[0]:
            return ''
        found = os.read(descriptor, 64).decode('utf-8', 'ignore')
        # The end of a pipe, or no input at all as in a service.
        descriptor = descriptor if found else -1
        return found

    try:
        if saved is not None:
            tty.setcbreak(descriptor)
        yield read
    finally:
        if saved is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, saved)


def _answering(act: Callable[[], str]) -> Callable[[Any, Any], Any]:
    def answer(_: Any, response: Any) -> Any:
        try:
            response.success, response.message = True, act()
        except RoboMambaError as error:
            response.success, response.message = False, str(error)
        return response

    return answer


def _kept(episode: Episode, episodes: EpisodeRecording) -> str:
    """Return the line about an episode that was kept, with what a person would want to know."""
    count = sum(episode.messages.values())
    silent = sorted(name for name in episodes.topics if not episode.messages.get(name))
    return (
        f'episode {episode.folder.name} is kept: {episode.duration_s:.1f} s, {count} messages; '
        f'{episodes.kept} of this session'
        + (f'; NOTHING of {" ".join(silent)}' if silent else '')
        + (f'; {episode.dropped} messages DROPPED' if episode.dropped else '')
    )
