"""What the tests of worker processes let them do; those import it by its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path


class Worker:
    """Says who did a job, and how often it had to change the group for that."""

    def __init__(self) -> None:
        self.changes = 0
        self.group = ''

    def __call__(self, group: str, number: int) -> tuple[int, int]:
        self.changes += group != self.group
        self.group = group
        return os.getpid(), self.changes


def failing(error: BaseException) -> Callable[[], Callable[[str, int], None]]:
    return partial(_fail, error)


def _fail(error: BaseException) -> Callable[[str, int], None]:
    raise error


class Deadly:
    def __call__(self, group: str, number: int) -> None:
        os._exit(7)


class Notes:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, group: str, number: int) -> None:
        (self._folder / f'{group}{number}').touch()
