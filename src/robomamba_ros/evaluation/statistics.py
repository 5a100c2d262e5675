"""Intervals and percentiles of what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.errors import DataError
from robomamba_ros.types import Float64Array

Z_95 = 1.959963984540054


def success_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval (low, high) of a success rate, each in 0..1.

    No trials give (0, 1): nothing is known. Raises DataError where successes are not in 0..trials.
    Source: Wilson 1927; Brown, Cai, DasGupta 2001, eq. 4.
    """
    if not 0 <= successes <= trials:
        raise DataError(f'{successes} successes in {trials} trials: needs 0 <= successes <= trials')
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    spread = Z_95**2 / trials
    centre = (rate + spread / 2) / (1 + spread)
    half = Z_95 * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials)) / (1 + spread)
    # Rounding must not move the ends that are exact.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high


@dataclass(frozen=True)
class SuccessRate:
    """Successes in trials, with the rate and its 95 % interval (low, high), each in 0..1."""

    successes: int
    trials: int

    @property
    def rate(self) -> float:
        """Share of successes; 0 where there was no trial."""
        return self.successes / self.trials if self.trials else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval (low, high)."""
        return success_interval(self.successes, self.trials)


def mean_interval(rates: Sequence[SuccessRate]) -> tuple[float, float]:
    """Return a 95 % interval (low, high) of the mean of rates, each counting once whatever its n.

    Made of the Wilson intervals of the rates. Raises DataError where there are none. Source: Zou,
    Huang, Zhang 2009, "A note on confidence interval estimation for a linear function of binomial
    proportions".
    """
    if not rates:
        raise DataError('a mean needs at least one rate')
    mean = sum(each.rate for each in rates) / len(rates)
    low = math.hypot(*(each.rate - each.interval[0] for each in rates)) / len(rates)
    high = math.hypot(*(each.interval[1] - each.rate for each in rates)) / len(rates)
    return mean - low, mean + high


def rates_by_name(outcomes: Iterable[tuple[str, bool]]) -> dict[str, SuccessRate]:
    """Return the success rate of every name, in the order in which names first appear."""
    by_name: dict[str, list[bool]] = {}
    for name, success in outcomes:
        by_name.setdefault(name, []).append(success)
    return {name: SuccessRate(sum(all_), len(all_)) for name, all_ in by_name.items()}


@dataclass(frozen=True)
class Percentiles:
    """How a measured quantity is spread, in the unit of the samples."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    maximum: float


def percentiles(samples: Float64Array) -> Percentiles:
    """Return the spread of (n,) samples; raises DataError where there are none."""
    if len(samples) == 0:
        raise DataError('percentiles need at least one sample')
    p50, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)))
    return Percentiles(len(samples), float(np.mean(samples)), p50, p90, p99, float(np.max(samples)))
