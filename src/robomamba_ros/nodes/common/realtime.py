"""Lets the system favour the thread of control: priority, processors, memory that stays.

All of it is off by default. What the system does not permit is refused in one line that says what
to write where; docs/robot_pc.md sets up a PC for it.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Mapping, Sequence
from typing import Any

from robomamba_ros.errors import ConfigError

# From sys/mman.h of Linux: pages that are there, and those to come.
_MCL_CURRENT, _MCL_FUTURE = 1, 2
_LIMITS = '/etc/security/limits.conf, and log in again'


class System:
    """What is asked of Linux, for the thread that calls; raises OSError where it is refused."""

    def set_priority(self, priority: int) -> None:
        """Run by SCHED_FIFO at 1..99, or for 0 like everybody else.

        Threads that this one starts do not inherit it.
        """
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK if priority else os.SCHED_OTHER
        os.sched_setscheduler(0, policy, os.sched_param(priority))

    def processors(self) -> set[int]:
        """Return the numbers of the processors that it may run on."""
        return os.sched_getaffinity(0)

    def set_processors(self, numbers: Sequence[int]) -> None:
        """Run on these processors alone."""
        os.sched_setaffinity(0, numbers)

    def lock_memory(self) -> None:
        """Keep all memory of the process from being paged out, what it takes later too."""
        self._call('mlockall', _MCL_CURRENT | _MCL_FUTURE)

    def unlock_memory(self) -> None:
        """Let memory be paged out again."""
        self._call('munlockall')

    @staticmethod
    def _call(name: str, *arguments: int) -> None:
        if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


class ControlThread:
    """The thread that made it, favoured as the parameters say until `destroy`.

    parameters: rt_priority, rt_cpus and rt_lock_memory of controller_node. Raises ConfigError
    where they are no numbers of processors, and where the system does not permit them; everything
    is then as before.
    """

    def __init__(self, parameters: Mapping[str, Any], system: System | None = None) -> None:
        self._system = system or System()
        self._undo: list[Any] = []
        wanted = processors(parameters['rt_cpus'])
        priority, lock = parameters['rt_priority'], parameters['rt_lock_memory']
        try:
            if wanted:
                self._pin(wanted)
            if lock:
                self._lock()
            if priority:
                self._raise(priority)
        except Exception:
            self.destroy()
            raise

    def _pin(self, wanted: list[int]) -> None:
        before = sorted(self._system.processors())
        missing = [number for number in wanted if number not in before]
        try:
            self._system.set_processors(wanted)
        except OSError as error:
            raise ConfigError(
                f'rt_cpus {",".join(map(str, missing or wanted))} cannot be used '
                f'({error.strerror}): this process may run on {",".join(map(str, before))}'
            ) from error
        self._undo.append(lambda: self._system.set_processors(before))

    def _lock(self) -> None:
        try:
            self._system.lock_memory()
        except OSError as error:
            raise ConfigError(
                f'rt_lock_memory is not permitted ({error.strerror}): write '
                f"'@realtime - memlock unlimited' to {_LIMITS}"
            ) from error
        self._undo.append(self._system.unlock_memory)

    def _raise(self, priority: int) -> None:
        try:
            self._system.set_priority(priority)
        except OSError as error:
            raise ConfigError(
                f'rt_priority {priority} is not permitted ({error.strerror}): write '
                f"'@realtime - rtprio {priority}' to {_LIMITS}"
            ) from error
        self._undo.append(lambda: self._system.set_priority(0))

    def destroy(self) -> None:
        """Be like every other thread again."""
        while self._undo:
            self._undo.pop()()


def processors(text: str) -> list[int]:
    """Return the numbers in '2' or '2,3', none in ''; raises ConfigError on anything else."""
    parts = [part.strip() for part in text.split(',')] if text.strip() else []
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"rt_cpus is '{text}'; write numbers of processors, as 2 or 2,3")
    return sorted({int(part) for part in parts})


class Collector:
    """Python's garbage collector, in a process that only runs nodes until it ends.

    Elsewhere, as in a test or a program of somebody's own, it is left alone: what is frozen is
    never collected, so nodes that have ended would stay.
    """

    ours = False

    @classmethod
    def freeze(cls) -> None:
        """Keep what is loaded by now from being gone through at every collection.

        To be called while nothing moves: it collects once more. What is made later is collected
        as ever, in a time that depends on that alone.
        """
        if cls.ours:
            gc.collect()
            gc.freeze()
