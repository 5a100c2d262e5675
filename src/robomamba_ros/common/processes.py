"""Jobs in several processes, each of which keeps what is expensive to make from job to job.

A worker that dies raises an error here, where a pool would wait without end. One worker is this
process, which has imported already what another would import again.
"""

from __future__ import annotations

import signal
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

from robomamba_ros.errors import ConfigError, RoboMambaError

Group = TypeVar('Group', bound=Hashable)
Item = TypeVar('Item')
Result = TypeVar('Result')

Work = AbstractContextManager[Callable[[Group, Item], Result]]


def run_jobs(
    make: Callable[[], Work[Group, Item, Result]],
    jobs: Iterable[tuple[Group, Item]],
    workers: int,
) -> Iterator[tuple[Group, Item, Result]]:
    """Yield the jobs with their results as they come; no worker runs ahead of who takes them.

    make: called once in each worker, gives the function that does its jobs, and closes what that
    holds. jobs: (group, item); a worker stays with a group as long as it can, for what is expensive
    to change. One worker takes them in order, group by group, in this process. Raises
    RoboMambaErrors of the workers, one where a worker process dies, and ConfigError for less than
    one worker.
    """
    if workers < 1:
        raise ConfigError(f'{workers} workers do no work; give 1 or more')
    waiting: dict[Group, deque[Item]] = {}
    for group, item in jobs:
        waiting.setdefault(group, deque()).append(item)
    count = min(workers, sum(map(len, waiting.values())))
    if count == 1:
        with make() as work:
            for group, items in waiting.items():
                for item in items:
                    yield group, item, work(group, item)
        return
    processes: dict[Connection, BaseProcess] = {}
    busy: dict[Connection, tuple[Group, Item]] = {}

    def assign(worker: Connection, last: Group | None) -> None:
        if last in waiting:
            group: Group = last
        elif waiting:
            busy_workers = Counter(group for group, _ in busy.values())
            group = min(waiting, key=busy_workers.__getitem__)
        else:
            return
        busy[worker] = (group, waiting[group].popleft())
        if not waiting[group]:
            del waiting[group]
        worker.send(busy[worker])

    context = get_context('spawn')
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            processes[ours] = context.Process(target=_run_worker, args=(make, theirs), daemon=True)
            processes[ours].start()
            theirs.close()
            assign(ours, None)
        while busy:
            ready = wait(list(busy))
            for worker in [each for each in busy if each in ready]:
                try:
                    result = worker.recv()
                except (EOFError, ConnectionResetError):
                    processes[worker].join()
                    raise RoboMambaError(
                        f'a worker process died (exit code {processes[worker].exitcode}) at '
                        f'{" ".join(map(str, busy[worker]))}; where memory ran out, give fewer '
                        '--workers'
                    ) from None
                if isinstance(result, RoboMambaError):
                    raise result
                group, item = busy.pop(worker)
                assign(worker, group)
                yield group, item, result
    finally:
        for worker, process in processes.items():
            worker.close()
            process.terminate()
            process.join()


def _run_worker(make: Callable[[], Work[Group, Item, Result]], jobs: Connection) -> None:
    # Ctrl-C reaches every process of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with make() as work:
            while True:
                jobs.send(work(*jobs.recv()))
    except RoboMambaError as error:
        jobs.send(error)
    except (EOFError, ConnectionError):
        pass
