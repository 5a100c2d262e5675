"""States are looked up by time, between their stamps and at their ends."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.control.history import StateHistory
from robomamba_ros.errors import ObservationError
from robomamba_ros.types import Pose, RobotState

SECOND = 1_000_000_000


def state(stamp_ns, x, gripper=0.0, **joints):
    return RobotState(
        stamp_ns, Pose(np.array([x, 0, 0]), np.array([0, 0, 0, 1.0])), gripper, joints
    )


def test_between_two_stamps_the_state_is_interpolated():
    history = StateHistory()
    history.add(state(100, 0.0, 0.0, j0=1.0))
    history.add(state(200, 1.0, 0.5, j0=3.0))
    between = history.at(125)
    assert between.stamp_ns == 125
    assert between.pose.position[0] == pytest.approx(0.25)
    assert between.gripper == pytest.approx(0.125)
    assert between.joints == {'j0': pytest.approx(1.5)}


def test_at_a_stamp_and_beyond_the_ends_states_are_returned_as_they_are():
    history = StateHistory()
    assert history.at(100) is None
    first, second = state(100, 0.1), state(200, 0.3)
    history.add(first)
    history.add(second)
    assert history.at(50) is first
    assert history.at(100) is first
    assert history.at(200) is second
    assert history.at(300) is second


def test_memory_is_bounded_by_time():
    history = StateHistory(span_s=1.0)
    for tenth in range(100):
        history.add(state(tenth * SECOND // 10, float(tenth)))
    assert history.oldest_ns == 89 * SECOND // 10
    assert history.newest.pose.position[0] == 99.0


def test_a_repeated_stamp_changes_nothing_and_an_older_one_is_refused():
    history = StateHistory()
    first = state(2 * SECOND, 0.1)
    history.add(first)
    history.add(state(2 * SECOND, 0.7))
    with pytest.raises(ObservationError, match=r'stamped 0.500 s before the one received last'):
        history.add(state(3 * SECOND // 2, 0.9))
    assert history.newest is first
    assert history.oldest_ns == first.stamp_ns
