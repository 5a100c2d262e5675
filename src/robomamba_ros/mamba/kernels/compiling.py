"""Compiles kernels, once for all processes that share numba's cache on disk."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numba import cfunc, types
from numba.core.caching import FunctionCache

# A kernel is a C function of one pointer, to the record that `launch` fills.
ENTRY = types.void(types.voidptr)

# Options of what kernels call: nothing else does, so it needs no wrappers for calls from Python and
# C, which took a quarter of the time of a compilation.
CALLED = {'no_cpython_wrapper': True, 'no_cfunc_wrapper': True}

# Several times what the largest kernel takes on a slow and busy machine.
PATIENCE_S, PAUSE_S = 120.0, 0.05


def compiled(function: Callable[[Any], None]) -> Any:
    """Return a kernel as numba's cfunc, out of the cache on disk where it is there.

    Of processes that need it at the same time one compiles it, and the others wait for its file, at
    most PATIENCE_S. Without that, numba's index of the kernels that a function makes could name the
    file of one for another, where two processes write it at once.
    """
    folder = Path(FunctionCache(function).cache_path)
    with _alone(folder / f'{function.__module__}.{function.__qualname__}.lock'):
        return cfunc(ENTRY, cache=True)(function)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, which the system takes from a process that dies; go on without it at the end."""
    try:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError:  # a cache that cannot be written to: there is no file to wait for
        yield
        return
    with os.fdopen(opened, 'r+') as lock:
        deadline_s = time.monotonic() + PATIENCE_S
        while not _taken(lock) and time.monotonic() < deadline_s:
            time.sleep(PAUSE_S)
        yield


def _taken(lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
