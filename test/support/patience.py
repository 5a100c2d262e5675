"""How long a test waits for what must come: only a hang reaches it, a busy machine does not."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 300.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what other threads do; fail naming what did not happen."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f'waited {PATIENCE_S} s for {what}'
        time.sleep(1e-3)
