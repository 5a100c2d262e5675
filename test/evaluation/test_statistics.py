from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.errors import DataError
from robomamba_ros.evaluation.statistics import (
    SuccessRate,
    mean_interval,
    percentiles,
    rates_by_name,
    success_interval,
)


@pytest.mark.parametrize(
    ('successes', 'trials', 'expected'),
    [
        (0, 10, (0.0, 0.27753)),
        (10, 10, (0.72247, 1.0)),
        (5, 10, (0.23659, 0.76341)),
        (81, 263, (0.25529, 0.36622)),  # Newcombe 1998, table I, method 3
        (15, 148, (0.06239, 0.16055)),
        (0, 20, (0.0, 0.16113)),
        (1, 29, (0.00611, 0.17176)),
        (0, 0, (0.0, 1.0)),
    ],
)
def test_interval_has_published_values(
    successes: int, trials: int, expected: tuple[float, float]
) -> None:
    assert success_interval(successes, trials) == pytest.approx(expected, abs=1e-4)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_rate_and_mirrors(case: tuple[int, int]) -> None:
    successes, trials = case
    low, high = success_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert success_interval(trials - successes, trials) == pytest.approx((1 - high, 1 - low))


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(DataError, match='5 successes in 4 trials'):
        success_interval(5, 4)


def test_rates_keep_the_order_of_the_run() -> None:
    rates = rates_by_name([('push', True), ('door', False), ('push', False), ('push', True)])
    assert [(name, r.successes, r.trials) for name, r in rates.items()] == [
        ('push', 2, 3),
        ('door', 0, 1),
    ]
    assert rates['push'].rate == pytest.approx(2 / 3)


def test_percentiles_of_a_ramp() -> None:
    spread = percentiles(np.arange(101.0))
    assert (spread.count, spread.mean, spread.p50, spread.p90, spread.p99, spread.maximum) == (
        101,
        50.0,
        50.0,
        90.0,
        99.0,
        100.0,
    )
    with pytest.raises(DataError, match='at least one sample'):
        percentiles(np.zeros(0))


def test_the_interval_of_a_mean_counts_each_rate_once() -> None:
    one = SuccessRate(15, 20)
    assert mean_interval([one]) == pytest.approx(one.interval)
    # Four equal rates: half as wide as one, on either side.
    low, high = mean_interval([one] * 4)
    assert one.rate - low == pytest.approx((one.rate - one.interval[0]) / 2)
    assert high - one.rate == pytest.approx((one.interval[1] - one.rate) / 2)
    # A group of many tasks counts no more than one of few.
    low, high = mean_interval([SuccessRate(200, 200), SuccessRate(0, 20)])
    assert low < 0.5 < high
    with pytest.raises(DataError, match='at least one rate'):
        mean_interval([])


def test_the_interval_of_a_mean_covers_it() -> None:
    """In 95 % of experiments, a little more or less, whatever the rates of the groups are."""
    random = np.random.default_rng(0)
    rates, trials = np.array([0.95, 0.6, 0.7, 0.4]), np.array([560, 220, 120, 100])
    drawn = random.binomial(trials, rates, (2000, 4))
    ends = [
        mean_interval([SuccessRate(*c) for c in zip(row, trials, strict=True)])
        for row in drawn.tolist()
    ]
    covered = np.mean([low <= rates.mean() <= high for low, high in ends])
    assert 0.93 < covered < 0.97
