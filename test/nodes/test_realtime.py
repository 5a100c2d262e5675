"""What the system is asked for the control thread: granted and given back, or refused by name."""

from __future__ import annotations

import errno
import itertools
import os
import threading

import pytest
from support.made_robot import GRIPPER

from robomamba_ros.errors import ConfigError
from robomamba_ros.nodes.common.realtime import ControlThread, System, processors
from robomamba_ros.nodes.controller.controller_node import ControllerNode

STREAM = [{'part': 'arm', 'kind': 'forward_position', 'topic': 'commands'}, GRIPPER]
OFF = {'rt_priority': 0, 'rt_cpus': '', 'rt_lock_memory': False}


class Asked(System):
    """Notes what it is asked for, and refuses what `refused` names."""

    def __init__(self, *refused: str) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._refused = refused

    def _ask(self, *call: object) -> None:
        if call[0] in self._refused:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self.calls.append(call)

    def set_priority(self, priority: int) -> None:
        self._ask('priority', priority)

    def processors(self) -> set[int]:
        return {0, 1, 3}

    def set_processors(self, numbers) -> None:
        self._ask('processors', list(numbers))

    def lock_memory(self) -> None:
        self._ask('lock')

    def unlock_memory(self) -> None:
        self._ask('unlock')


def test_nothing_is_asked_for_by_default() -> None:
    system = Asked()
    ControlThread(OFF, system).destroy()
    assert system.calls == []


def test_what_was_granted_is_given_back() -> None:
    system = Asked()
    thread = ControlThread({'rt_priority': 80, 'rt_cpus': '3', 'rt_lock_memory': True}, system)
    assert system.calls == [('processors', [3]), ('lock',), ('priority', 80)]
    thread.destroy()
    assert system.calls[3:] == [('priority', 0), ('unlock',), ('processors', [0, 1, 3])]


@pytest.mark.parametrize(
    ('refused', 'message'),
    [
        (
            'priority',
            r"rt_priority 80 is not permitted \(Operation not permitted\): write '@realtime - "
            r"rtprio 80' to /etc/security/limits.conf",
        ),
        ('lock', r"rt_lock_memory is not permitted .* write '@realtime - memlock unlimited' to "),
        ('processors', r'rt_cpus 2 cannot be used .*: this process may run on 0,1,3'),
    ],
)
def test_what_is_not_permitted_is_refused_with_the_line_to_write(refused, message) -> None:
    system = Asked(refused)
    wanted = {'rt_priority': 80, 'rt_cpus': '2,3', 'rt_lock_memory': True}
    with pytest.raises(ConfigError, match=message):
        ControlThread(wanted, system)
    # What had been granted before is given back.
    assert [call[0] for call in system.calls] in (
        [],
        ['processors', 'processors'],
        ['processors', 'lock', 'unlock', 'processors'],
    )


@pytest.mark.parametrize('text', ['one', '2-3', '-1', '2,,3', '1.0'])
def test_processors_that_are_no_numbers_are_refused(text) -> None:
    with pytest.raises(ConfigError, match='write numbers of processors, as 2 or 2,3'):
        processors(text)
    assert processors(' 3, 2,3 ') == [2, 3]


def test_of_linux_itself_one_thread_is_bound_and_no_other() -> None:
    before = os.sched_getaffinity(0)
    seen: list[set[int]] = []

    def bound() -> None:
        thread = ControlThread({**OFF, 'rt_cpus': str(min(before))})
        seen.append(os.sched_getaffinity(0))
        thread.destroy()
        seen.append(os.sched_getaffinity(0))

    started = threading.Thread(target=bound)
    started.start()
    started.join()
    assert seen == [{min(before)}, before]
    assert os.sched_getaffinity(0) == before


def test_linux_grants_a_priority_to_the_thread_that_asks_or_says_no() -> None:
    found: list[object] = []

    def ask() -> None:
        try:
            thread = ControlThread({**OFF, 'rt_priority': 10})
        except ConfigError as error:
            found.append(str(error))
            return
        found.append(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)
        thread.destroy()

    started = threading.Thread(target=ask)
    started.start()
    started.join()
    (said,) = found
    assert said == os.SCHED_FIFO or 'rtprio 10' in str(said)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_processor_that_is_not_there_is_refused_by_linux() -> None:
    with pytest.raises(ConfigError, match='rt_cpus 1023 cannot be used'):
        ControlThread({**OFF, 'rt_cpus': '1023'})


def test_ticks_that_take_longer_than_a_period_are_counted_in_diagnostics(
    start, monkeypatch
) -> None:
    # By this clock every tick of 10 ms takes 12.
    wall_s = itertools.count(0, 0.012)
    monkeypatch.setattr(ControllerNode, 'wall_s', staticmethod(lambda: next(wall_s)))
    robot = start(STREAM)
    robot.ready()
    values = robot.values()
    assert int(values['ticks']) > 0
    assert values['overruns'] == values['ticks']
    assert (values['tick_max_ms'], values['overrun_share']) == ('12.000', '1.000')


def test_a_controller_that_may_not_have_its_priority_says_so_and_does_not_start(
    start, monkeypatch
) -> None:
    monkeypatch.setattr(System, 'set_priority', Asked('priority').set_priority)
    robot = start(STREAM, parameters={'rt_priority': 50, 'autostart': False})
    robot.is_refused("write '@realtime - rtprio 50' to")
