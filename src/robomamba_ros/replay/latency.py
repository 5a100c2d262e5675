"""How long an inference takes in a replay: no time, a fixed one, or one drawn from a recording.

The same inference of the same replay takes the same time whenever it is replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from robomamba_ros.common.documents import read_json
from robomamba_ros.errors import DataError
from robomamba_ros.types import Float64Array

# The number of an inference, from 0 on -> how long it takes [ns].
MEGABYTES = 256  # of a report with the latencies of a day
LONGEST_MS = 1e6  # a quarter of an hour
Latency = Callable[[int], int]


def fixed_latency(latency_ms: float) -> Latency:
    """Return a latency that is always the same; raises DataError on a negative one."""
    if not 0.0 <= latency_ms <= LONGEST_MS:
        raise DataError(
            f'a latency of {latency_ms:g} ms is not possible; give from 0 to {LONGEST_MS:g}'
        )
    return lambda _: round(latency_ms * 1e6)


def recorded_latency(samples_ms: Float64Array, seed: int = 0) -> Latency:
    """Return latencies drawn from samples (n,), the same ones for the same seed."""
    if not len(samples_ms) or not ((samples_ms >= 0.0) & (samples_ms <= LONGEST_MS)).all():
        raise DataError('recorded latencies must be finite, 0 or more, and at least one')

    def draw(number: int) -> int:
        index = np.random.default_rng((seed, number)).integers(len(samples_ms))
        return round(float(samples_ms[index]) * 1e6)

    return draw


def read_latency(path: Path) -> Latency:
    """Return latencies drawn from those that the report.json of a replay measured.

    Raises DataError where the file is no such report.
    """
    try:
        policies = read_json(path, megabytes=MEGABYTES, error=DataError)['policies']
        samples = [ms for policy in policies for ms in policy['wall_time']['inference_samples_ms']]
        return recorded_latency(np.array(samples, dtype=np.float64))
    except (DataError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(
            f'{path} is no report.json of robomamba replay ({error!r}): it has no latencies'
        ) from error
