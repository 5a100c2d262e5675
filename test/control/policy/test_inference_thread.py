"""One thread for everything a policy does; every wait is for an event, against hanging only."""

from __future__ import annotations

import threading

import pytest
from support.patience import PATIENCE_S

from robomamba_ros.control.policy.inference_thread import InferenceThread, Job


class Work:
    """Work of a job: due as often as the test says, done when the test lets it."""

    def __init__(self, name, running):
        self.name = name
        self.due_times = []
        self.started = threading.Semaphore(0)
        self.released = threading.Semaphore(0)
        self.reported = threading.Semaphore(0)
        self.results, self.errors = [], []
        self.result = lambda now_ns: now_ns
        self._running = running

    def job(self):
        return Job(self._due, self._run, self._on_result, self._on_error)

    def _due(self, now_ns):
        return bool(self.due_times)

    def _run(self, now_ns):
        assert self._running.acquire(blocking=False), 'two jobs ran at the same time'
        self.due_times.pop()
        self.started.release()
        assert self.released.acquire(timeout=PATIENCE_S)
        self._running.release()
        return self.result(now_ns)

    def _on_result(self, result):
        self.results.append(result)
        self.reported.release()

    def _on_error(self, error):
        self.errors.append(str(error))
        self.reported.release()

    def wait_for_start(self):
        assert self.started.acquire(timeout=PATIENCE_S)

    def wait(self):
        assert self.reported.acquire(timeout=PATIENCE_S)


class Harness:
    def __init__(self):
        running = threading.Lock()
        self.answering, self.inferring = Work('answering', running), Work('inferring', running)
        self.now_ns = 1
        self.thread = InferenceThread(
            [self.answering.job(), self.inferring.job()], lambda: self.now_ns
        )

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.stop()


def test_it_runs_what_is_due_and_takes_news_while_it_runs():
    with Harness() as harness:
        work = harness.inferring
        work.due_times.append(1)
        harness.thread.notify()
        work.wait_for_start()
        harness.now_ns = 2
        work.due_times.append(2)
        harness.thread.notify()
        work.released.release(2)
        work.wait()
        work.wait()
    assert work.results == [1, 2]
    assert work.errors == []


def test_jobs_take_turns_and_never_run_at_the_same_time():
    with Harness() as harness:
        for work in (harness.inferring, harness.answering):
            work.due_times += [1, 1]
        harness.thread.notify()
        harness.answering.wait_for_start()
        assert not harness.inferring.started.acquire(blocking=False)
        harness.thread.notify()
        for work in (harness.inferring, harness.answering):
            work.released.release(2)
        for work in (harness.inferring, harness.answering):
            work.wait()
            work.wait()
    assert (harness.answering.errors, harness.inferring.errors) == ([], [])


class Panic(BaseException):
    """As extension modules raise it: no Exception."""


@pytest.mark.parametrize('kind', [RuntimeError, Panic])
def test_an_error_is_reported_once_and_the_thread_goes_on_with_news(kind):
    def fail(now_ns):
        if now_ns == 1:
            raise kind('out of memory')
        return now_ns

    with Harness() as harness:
        work = harness.inferring
        work.result = fail
        work.released.release(2)
        for now_ns in (1, 2):
            harness.now_ns = now_ns
            work.due_times.append(now_ns)
            harness.thread.notify()
            work.wait()
    assert work.errors == ['out of memory']
    assert work.results == [2]


def test_a_result_that_cannot_be_handed_on_is_an_error():
    with Harness() as harness:
        work = harness.inferring
        work.results = None  # has no append
        work.released.release()
        work.due_times.append(1)
        harness.thread.notify()
        work.wait()
    assert work.errors == ["'NoneType' object has no attribute 'append'"]


def test_work_that_comes_to_naught_is_not_handed_on():
    with Harness() as harness:
        work = harness.inferring
        work.result = lambda now_ns: now_ns if now_ns == 2 else None
        work.released.release(2)
        work.due_times.append(1)
        harness.thread.notify()
        work.wait_for_start()
        harness.now_ns = 2
        work.due_times.append(2)
        harness.thread.notify()
        work.wait()
    assert work.results == [2]


def test_a_reset_does_not_wait_and_drops_what_began_before():
    with Harness() as harness:
        work, order = harness.inferring, []
        work.due_times.append(1)
        harness.thread.notify()
        work.wait_for_start()
        # Returns at once, although the work is still held.
        harness.thread.reset(lambda: order.append(('reset', list(work.due_times))))
        work.due_times.append(2)
        work.released.release(2)
        harness.now_ns = 2
        harness.thread.notify()
        work.wait()
    assert work.results == [2]
    assert order == [('reset', [2])]


def test_a_reset_that_fails_is_reported_and_the_thread_lives():
    def fail():
        raise RuntimeError('state lost')

    with Harness() as harness:
        harness.thread.reset(fail)
        harness.answering.wait()
        work = harness.inferring
        work.released.release()
        work.due_times.append(1)
        harness.thread.notify()
        work.wait()
    assert harness.answering.errors == ['state lost']
    assert work.results == [1]


def test_stop_waits_for_what_runs():
    harness = Harness()
    harness.thread.start()
    work = harness.inferring
    work.due_times.append(1)
    harness.thread.notify()
    work.wait_for_start()
    work.released.release()
    harness.thread.stop()
    assert work.results == [1]
    work.due_times.append(2)
    harness.thread.notify()
    assert work.results == [1]


def test_an_error_that_cannot_be_reported_ends_nothing(capsys):
    with Harness() as harness:
        work = harness.inferring
        work.errors = work.results = None  # have no append
        work.released.release(2)
        work.due_times.append(1)
        harness.thread.notify()
        work.wait_for_start()
        harness.answering.due_times.append(1)
        harness.answering.released.release()
        harness.thread.notify()
        harness.answering.wait()
    assert harness.answering.results == [1]
    assert "'NoneType' object has no attribute 'append'" in capsys.readouterr().err
