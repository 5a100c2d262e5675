"""Late, missing and impossible stamps are named with their age and budget."""

from __future__ import annotations

import pytest

from robomamba_ros.control.freshness import Freshness
from robomamba_ros.errors import ObservationError

SECOND = 1_000_000_000


def test_each_stream_is_held_against_its_own_budget():
    freshness = Freshness({'ee_pose': 0.25, 'corner2': 0.5})
    assert freshness.problems(0) == (
        'ee_pose: nothing received yet',
        'corner2: nothing received yet',
    )
    freshness.note('ee_pose', 10 * SECOND)
    freshness.note('corner2', 10 * SECOND)
    assert freshness.problems(10 * SECOND + SECOND // 4) == ()
    assert freshness.problems(10 * SECOND + SECOND // 2) == (
        'ee_pose is late: 0.500 s old, budget 0.250 s',
    )
    assert freshness.age_s('corner2', 11 * SECOND) == 1.0


def test_an_old_message_does_not_make_a_stream_older():
    freshness = Freshness({'ee_pose': 0.25})
    freshness.note('ee_pose', 10 * SECOND)
    freshness.note('ee_pose', 5 * SECOND)
    assert freshness.age_s('ee_pose', 10 * SECOND) == 0.0


def test_a_stamp_ahead_of_the_clock_is_a_problem_too():
    freshness = Freshness({'ee_pose': 0.25})
    freshness.note('ee_pose', 13 * SECOND)
    (problem,) = freshness.problems(10 * SECOND)
    assert problem.startswith('ee_pose is stamped 3.000 s ahead of the clock')


def test_clear_forgets_and_an_unknown_stream_is_refused():
    freshness = Freshness({'ee_pose': 0.25})
    freshness.note('ee_pose', SECOND)
    freshness.clear()
    assert freshness.age_s('ee_pose', SECOND) is None
    with pytest.raises(ObservationError, match=r"unknown stream 'ee_pos'\. Did you mean 'ee_pose'"):
        freshness.note('ee_pos', SECOND)


def test_a_reader_that_is_late_itself_says_so_beside_the_stream():
    freshness = Freshness({'ee_pose': 0.1})
    freshness.note('ee_pose', 10 * SECOND)
    now_ns = 10 * SECOND + 130_000_000
    assert freshness.problems(now_ns) == ('ee_pose is late: 0.130 s old, budget 0.100 s',)
    assert freshness.problems(now_ns, 0.12) == (
        'ee_pose is late: 0.130 s old, budget 0.100 s (this node itself ran 0.120 s late: the '
        'machine was busy)',
    )
    assert freshness.problems(10 * SECOND, 0.12) == ()
