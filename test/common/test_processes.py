"""Jobs in several processes: each once, by who has the group at hand, and no wait for the dead."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from support.made_workers import deadly, failing, notes, worker

from robomamba_ros.common.processes import run_jobs
from robomamba_ros.errors import ConfigError, RoboMambaError

JOBS = [(group, number) for group in 'abc' for number in range(4)]


def test_one_worker_takes_the_jobs_in_order_and_is_this_process() -> None:
    done = list(run_jobs(worker, JOBS, 1))
    assert [(group, number) for group, number, _ in done] == JOBS
    assert [changes for _, _, (_, changes) in done] == [1] * 4 + [2] * 4 + [3] * 4
    assert {process for _, _, (process, _) in done} == {os.getpid()}
    # Nor is another one needed for a job alone.
    assert [process for _, _, (process, _) in run_jobs(worker, JOBS[:1], 4)] == [os.getpid()]


def test_every_job_is_done_once_and_a_worker_stays_with_its_group() -> None:
    done = list(run_jobs(worker, JOBS, 2))
    assert sorted((group, number) for group, number, _ in done) == JOBS
    # Two begin with a group each; the third is taken once or, at the end, by both.
    last = {process: changes for _, _, (process, changes) in done}
    assert sum(last.values()) in (3, 4)
    assert len(last) <= 2
    assert os.getpid() not in last


@pytest.mark.parametrize('workers', [1, 2])
def test_an_error_of_a_worker_is_raised_as_it_is(workers: int) -> None:
    with pytest.raises(ConfigError, match='no such thing'):
        list(run_jobs(failing(ConfigError('no such thing')), JOBS, workers))


def test_a_worker_that_dies_is_an_error_that_names_its_job() -> None:
    with pytest.raises(RoboMambaError, match=r'died \(exit code 7\) at [ab] 0'):
        list(run_jobs(deadly, JOBS, 2))


def test_no_worker_runs_far_ahead_of_who_takes_the_results(tmp_path: Path) -> None:
    found = run_jobs(partial(notes, tmp_path), JOBS, 2)
    next(found)
    found.close()  # type: ignore[attr-defined]
    # Nobody takes more: the next job was given before the first was handed over.
    assert len([path for path in tmp_path.iterdir() if path.name != 'closed']) <= 3


def test_this_process_closes_what_a_worker_holds_when_nobody_takes_more(tmp_path: Path) -> None:
    found = run_jobs(partial(notes, tmp_path), JOBS, 1)
    next(found)
    assert [path.name for path in tmp_path.iterdir()] == ['a0']
    found.close()  # type: ignore[attr-defined]
    assert {path.name for path in tmp_path.iterdir()} == {'a0', 'closed'}


def test_an_interrupt_in_this_process_leaves_the_results_before_it(tmp_path: Path) -> None:
    found = run_jobs(partial(notes, tmp_path), JOBS, 1)
    assert [next(found)[:2] for _ in JOBS[:9]] == JOBS[:9]
    with pytest.raises(KeyboardInterrupt):
        next(found)
    assert (tmp_path / 'closed').is_file()


def test_no_jobs_need_no_worker() -> None:
    assert list(run_jobs(failing(ConfigError('none is made')), [], 4)) == []


def test_no_workers_are_refused() -> None:
    with pytest.raises(ConfigError, match='0 workers'):
        list(run_jobs(worker, JOBS, 0))
