"""Files bent in many small ways, and what every reader owes to whoever gives it one.

A bent file is read, or refused with an error of this package, in bounded time and memory. Mutations
follow from a number, so that each can be made again. ROBOMAMBA_FUZZ sets how many are tried of each
reader; by default few are, and always the same.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterator
from types import FrameType

import numpy as np

from robomamba_ros.errors import RoboMambaError

COUNT = os.environ.get('ROBOMAMBA_FUZZ')
# Of the processor, for one file of a few kilobytes; and of memory beyond what was in use before.
CPU_S, MEGABYTES = 10.0, 1024
LONGEST = 20_000  # letters of an error

WORDS = (
    b'', b'~', b'null', b'true', b'yes', b'0100', b'1:40', b'-1', b'0', b'.nan', b'-.inf', b'1e999',
    b'NaN', b'1e-300', b'9' * 19, b'9' * 60, b'2001-99-99', b'[]', b'{}', b'[[[[1]]]]', b'"', b"'",
    b'[' * 60, b'{"a":' * 60, b'*a', b'&a ', b'<<: ', b'!!python/name:os.system ', b'- ', b': ',
    b'\t', b'\0', b'\xff', b'\xe9', '\u202e'.encode(), b'..', b'/', b'../..', b'a' * 5000,
    b'\n---\n', b'\\ud800', b'%s', b'{0.__class__}', b'{chunk_index:0999999999d}', b'object',
)  # fmt: skip
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


class TooLong(BaseException):
    """Past CPU_S; nothing catches it on its way out of a reader."""


def bend(data: bytes, rng: np.random.Generator) -> bytes:
    """Return `data` with one to four mutations."""
    for _ in range(int(rng.integers(1, 5))):
        start, end = sorted(int(x) for x in rng.integers(0, len(data) + 1, 2))
        end = min(end, start + int(rng.choice((1, 4, 16, 64, 4096))))
        lines = data.split(b'\n')
        line = int(rng.integers(len(lines)))
        word = WORDS[int(rng.integers(len(WORDS)))]
        kind = int(rng.integers(9))
        if kind == 0:
            data = (
                data[:start] + bytes(rng.integers(0, 256, end - start, dtype=np.uint8)) + data[end:]
            )
        elif kind == 1:
            data = data[:start] + data[end:]
        elif kind == 2:
            data = data[:start] + data[start:end] * 2 + data[end:]
        elif kind == 3:
            data = data[:start] + word + data[end:]
        elif kind == 4:
            number = NUMBERS[int(rng.integers(len(NUMBERS)))]
            size = int(rng.choice((1, 2, 4, 8)))
            data = (
                data[:start]
                + (number % 2 ** (8 * size)).to_bytes(size, 'little')
                + data[start + size :]
            )
        elif kind == 5:
            data = data[:start]
        elif kind == 6:
            # The value of a line of YAML or JSON.
            head, mark, _ = lines[line].partition(b':')
            lines[line] = head + mark + b' ' + word
            data = b'\n'.join(lines)
        elif kind == 7:
            lines.insert(int(rng.integers(len(lines) + 1)), lines[line])
            data = b'\n'.join(lines)
        else:
            del lines[line]
            data = b'\n'.join(lines)
    return data


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Raise TooLong past CPU_S of processor time, whatever else the machine does."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def hold(read: Callable[[np.random.Generator], object], count: int) -> None:
    """Read `count` bent files, or ROBOMAMBA_FUZZ of them; `read` bends one with what it is given.

    Fails with the number of the mutation and what came out instead of a value or an error of ours.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(int(COUNT or count)):
        try:
            with bounded():
                read(np.random.default_rng(seed))
        except RoboMambaError as error:
            letters = len(str(error))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise AssertionError(f'mutation {seed}: {type(error).__name__}: {error}') from error
        else:
            continue
        assert 0 < letters < LONGEST, f'mutation {seed}: an error of {letters} letters'
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert grown < MEGABYTES, f'{grown} MiB more than before'
