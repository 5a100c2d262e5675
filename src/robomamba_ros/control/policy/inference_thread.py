"""The thread in which a policy runs: jobs take turns there, and no callback waits for it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

Result = TypeVar('Result')


@dataclass(frozen=True)
class Job(Generic[Result]):
    """Work that may be due: `run` gives its result at a time [ns], or None where it came to naught.

    on_result, on_error: take what came out, from the thread that ran it.
    """

    due: Callable[[int], bool]
    run: Callable[[int], Result | None]
    on_result: Callable[[Result], None]
    on_error: Callable[[BaseException], None]


class InferenceThread:
    """Gives each job a turn, in order, whenever `notify` says that there is something new.

    clock: returns the time [ns]. After an error a job waits for the next `notify`.
    """

    def __init__(self, jobs: Sequence[Job[Any]], clock: Callable[[], int]) -> None:
        self._jobs = jobs
        self._clock = clock
        self._wake = threading.Condition()
        self._news = False
        self._stopping = False
        # Held while a result is handed on, so that a reset knows which ones came before it.
        self._handing_on = threading.Lock()
        self._episode = 0
        self._reset: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def notify(self) -> None:
        """Say that there is something new."""
        with self._wake:
            self._news = True
            self._wake.notify()

    def reset(self, reset: Callable[[], None]) -> None:
        """Call `reset` before the next turn; nothing that began before is handed on after this.

        Does not wait for what runs: an answer in words takes many seconds.
        """
        with self._handing_on:
            self._episode += 1
            self._reset = reset
        self.notify()

    def stop(self) -> None:
        """Let the turn that runs come to its end, and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._news or self._stopping)
                if self._stopping:
                    return
                self._news = False
            for job in self._jobs:
                self._turn(job)

    def _turn(self, job: Job[Any]) -> None:
        with self._handing_on:
            episode, reset, self._reset = self._episode, self._reset, None

        def hand_on(action: Callable[[], None]) -> None:
            with self._handing_on:
                if episode == self._episode:
                    action()

        try:
            if reset is not None:
                reset()
            now_ns = self._clock()
            if job.due(now_ns) and (result := job.run(now_ns)) is not None:
                hand_on(partial(job.on_result, result))
        except BaseException as error:
            # Any at all, a panic inside an extension module too, which is no Exception: a thread
            # that ended unseen would leave the arm without a policy.
            try:
                hand_on(partial(job.on_error, error))
            except BaseException:
                traceback.print_exc()
