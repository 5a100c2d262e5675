"""What the tests of worker processes let them do; those import it by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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


def worker() -> nullcontext[Worker]:
    return nullcontext(Worker())


def failing(
    error: BaseException,
) -> Callable[[], AbstractContextManager[Callable[[str, int], None]]]:
    return partial(_fail, error)


def _fail(error: BaseException) -> AbstractContextManager[Callable[[str, int], None]]:
    raise error


def deadly() -> nullcontext[Callable[[str, int], None]]:
    return nullcontext(_die)


def _die(group: str, number: int) -> None:
    os._exit(7)


@contextmanager
def notes(folder: Path) -> Iterator[Callable[[str, int], None]]:
    """Leaves a file of each job in a folder, and one when it is closed; fails in job c 1."""

    def note(group: str, number: int) -> None:
        (folder / f'{group}{number}').touch()
        if (group, number) == ('c', 1):
            raise KeyboardInterrupt

    try:
        yield note
    finally:
        (folder / 'closed').touch()
