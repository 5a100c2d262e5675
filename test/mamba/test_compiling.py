"""Kernels are compiled once for all processes that share a cache."""

import fcntl
from pathlib import Path

import pytest

numba = pytest.importorskip('numba', reason='numba is not installed')

from numba.core.caching import FunctionCache  # noqa: E402

from robomamba_ros.mamba.kernels import compiling  # noqa: E402


@pytest.fixture
def function(tmp_path, monkeypatch):
    """A function that any process would compile; its cache is in a folder of its own."""
    monkeypatch.setattr(numba.core.config, 'CACHE_DIR', str(tmp_path))

    def run(arguments):
        pass

    return run


@pytest.fixture
def other(function):
    """The lock, held as another process that compiles the function would hold it."""
    folder = Path(FunctionCache(function).cache_path)
    path = folder / f'{function.__module__}.{function.__qualname__}.lock'
    with path.open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock


def test_what_another_process_compiles_is_waited_for_and_loaded(function, other, monkeypatch):
    def it_ends(seconds):
        numba.cfunc(compiling.ENTRY, cache=True)(function)
        other.close()

    monkeypatch.setattr(compiling.time, 'sleep', it_ends)
    assert compiling.compiled(function).cache_hits == 1


def test_one_that_never_ends_is_not_waited_for_without_end(function, other, monkeypatch):
    clock = iter(range(0, 10_000, 50))
    monkeypatch.setattr(compiling.time, 'monotonic', lambda: next(clock))
    monkeypatch.setattr(compiling.time, 'sleep', lambda seconds: None)
    assert compiling.compiled(function).cache_hits == 0
    assert next(clock) < 2 * compiling.PATIENCE_S


def test_the_lock_is_free_afterwards(function):
    assert compiling.compiled(function).cache_hits == 0
    assert compiling.compiled(function).cache_hits == 1
