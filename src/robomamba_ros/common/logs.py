"""Shows what the library logs, one line a message, for the commands and the nodes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stderr(logging.Handler):
    """Writes to what standard error is at that time."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


@contextmanager
def shown() -> Iterator[None]:
    """Show the library's log on standard error while the context lasts; nested, it does once."""
    log = logging.getLogger('robomamba_ros')
    if any(isinstance(handler, _Stderr) for handler in log.handlers):
        yield
        return
    handler, level = _Stderr(), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
