"""Jobs in several processes: each once, by who has the group at hand, and no wait for the dead."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from support.made_workers import Deadly, Notes, Worker, failing

from robomamba_ros.common.processes import run_jobs
from robomamba_ros.errors import ConfigError, RoboMambaError

JOBS = [(group, number) for group in 'abc' for number in range(4)]


def test_one_worker_takes_the_jobs_in_order() -> None:
    done = list(run_jobs(Worker, JOBS, 1))
    assert [(group, number) for group, number, _ in done] == JOBS
    assert [changes for _, _, (_, changes) in done] == [1] * 4 + [2] * 4 + [3] * 4


def test_every_job_is_done_once_and_a_worker_stays_with_its_group() -> None:
    done = list(run_jobs(Worker, JOBS, 2))
    assert sorted((group, number) for group, number, _ in done) == JOBS
    # Two begin with a group each; the third is taken once or, at the end, by both.
    last = {worker: changes for _, _, (worker, changes) in done}
    assert sum(last.values()) in (3, 4)
    assert len(last) <= 2


def test_an_error_of_a_worker_is_raised_as_it_is() -> None:
    with pytest.raises(ConfigError, match='no such thing'):
        list(run_jobs(failing(ConfigError('no such thing')), JOBS, 2))


def test_a_worker_that_dies_is_an_error_that_names_its_job() -> None:
    with pytest.raises(RoboMambaError, match=r'died \(exit code 7\) at a 0'):
        list(run_jobs(Deadly, JOBS, 1))


def test_no_worker_runs_far_ahead_of_who_takes_the_results(tmp_path: Path) -> None:
    found = run_jobs(partial(Notes, tmp_path), JOBS, 1)
    next(found)
    found.close()  # type: ignore[attr-defined]
    # Nobody takes more: the next job was given before the first was handed over.
    assert len(list(tmp_path.iterdir())) <= 2


def test_no_jobs_need_no_process() -> None:
    assert list(run_jobs(Deadly, [], 4)) == []


def test_no_workers_are_refused() -> None:
    with pytest.raises(ConfigError, match='0 workers'):
        list(run_jobs(Worker, JOBS, 0))
