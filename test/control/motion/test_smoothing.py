"""The moving average bounds what it says, is exact at rest and knows what it still owes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robomamba_ros.control.motion.smoothing import MovingAverage, smoothing_periods


@pytest.mark.parametrize(
    ('limits', 'expected'),
    [
        ([(5.0, None)], 1),
        ([(5.0, 5000.0)], 1),
        ([(5.0, 50.0)], 20),
        ([(5.0, 50.0), (5.0, 49.0), (9.0, None)], 21),
        ([], 1),
    ],
)
def test_the_number_of_periods_holds_the_strictest_jerk(limits, expected):
    assert smoothing_periods(limits, 0.01) == expected


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, (30, 2), elements=st.floats(-1.0, 1.0)), st.integers(1, 12))
def test_no_change_exceeds_the_range_over_the_count_and_no_mean_leaves_the_range(values, count):
    average = MovingAverage(count, values[0])
    means = np.array([average.add(value) for value in values])
    assert np.abs(np.diff(means, axis=0)).max() <= np.ptp(values, axis=0).max() / count + 1e-12
    assert (means >= values.min(axis=0)).all()
    assert (means <= values.max(axis=0)).all()


def test_equal_values_give_exactly_that_value_and_settle():
    value = np.array([0.1, 1 / 3])
    average = MovingAverage(7, np.zeros(2))
    assert average.settled
    for _ in range(6):
        average.add(value)
        assert not average.settled
    assert np.array_equal(average.add(value), value)
    assert average.settled


def test_pending_is_the_sum_of_the_means_to_come():
    average = MovingAverage(5, np.zeros(1))
    for value in (1.0, -4.0, 2.5):
        average.add(np.array([value]))
    pending = average.pending
    rest = sum(average.add(np.zeros(1)) for _ in range(5))
    assert rest == pytest.approx(pending)
    assert average.pending == 0.0
