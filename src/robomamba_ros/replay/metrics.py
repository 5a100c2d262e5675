"""The figures of a replay by name, and limits on them.

All but those of `wall_time` are the same whenever the same bag is replayed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.evaluation.statistics import percentiles
from robomamba_ros.replay.comparison import Comparison
from robomamba_ros.replay.trace import Trace
from robomamba_ros.types import NANOSECONDS, Float64Array

CONDITION = re.compile(r'\s*([\w.]+)\s*([<>])\s*(\S+)\s*')
WALL_TIME = 'inference_ms'


def metrics(trace: Trace, comparison: Comparison, names: tuple[str, ...]) -> dict[str, float]:
    """Return the figures of a replay; names: the channels of an action. NaN where none is known.

    action_l1: mean absolute difference to the recorded motion over chunks, steps and channels, in
    the units of the channels; action_l1.<channel> of one. position_error_m: mean distance of the
    predicted end effector to the recorded one, over all steps, and after the last one (.end).
    """
    duration_s = (trace.end_ns - trace.start_ns) / NANOSECONDS
    stalled_s = sum((s.end_ns - s.start_ns) / NANOSECONDS for s in trace.stalls)
    waited = trace.first_chunk_ns
    way = comparison.position_errors
    result = {
        'chunks': float(len(trace.chunk_stamps)),
        'refused_chunks': float(trace.refused.count),
        'problems': float(trace.problems.count),
        'action_l1': _mean(comparison.mean_errors),
        **{
            f'action_l1.{name}': float(error)
            for name, error in zip(names, comparison.mean_errors, strict=True)
        },
        'position_error_m': _mean(way),
        'position_error_m.end': float(way[-1]),
        'limited_share': trace.limited / trace.followed if trace.followed else math.nan,
        'stalls': float(len(trace.stalls)),
        'stalled_share': stalled_s / duration_s if duration_s else math.nan,
        'first_command_s': math.nan if waited is None else (waited - trace.start_ns) / NANOSECONDS,
        'restarts': float(trace.restarts),
    }
    spreads = {
        'seam_jump_m': np.array(trace.seam_jumps_m),
        'trimmed_steps': np.array(trace.trimmed_steps),
        'observation_to_command_ms': 1e3 * np.array(trace.command_age_s),
        **{f'age_ms.{name}': 1e3 * np.array(ages) for name, ages in trace.ages_s.items()},
    }
    for name, samples in spreads.items():
        result |= _spread(name, samples)
    return result


def wall_time(trace: Trace) -> dict[str, float]:
    """Return how long inferences took on this machine [ms]: another run gives other figures."""
    return _spread(WALL_TIME, 1e3 * np.array(trace.inference_s))


def _spread(name: str, samples: Float64Array) -> dict[str, float]:
    keys = {'mean': 'mean', 'p50': 'p50', 'p90': 'p90', 'p99': 'p99', 'max': 'maximum'}
    spread = percentiles(samples) if len(samples) else None
    return {
        f'{name}.{key}': math.nan if spread is None else float(getattr(spread, attribute))
        for key, attribute in keys.items()
    }


def _mean(values: Float64Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


@dataclass(frozen=True)
class Threshold:
    """A figure that fails a replay where it is above (or below) a limit."""

    metric: str
    above: bool
    limit: float

    def __str__(self) -> str:
        return f'{self.metric}{">" if self.above else "<"}{self.limit:g}'

    def crossed(self, figures: Mapping[str, float]) -> bool:
        """Return whether the figure fails; one that is not known does.

        Raises ConfigError where there is no such figure.
        """
        value = self.value(figures)
        # A comparison with NaN is false: what could not be measured has not passed.
        return not (value <= self.limit if self.above else value >= self.limit)

    def value(self, figures: Mapping[str, float]) -> float:
        """Return the figure; raises ConfigError where there is none of this name."""
        if self.metric not in figures:
            raise ConfigError(f'--fail-if {self}: {unknown_name("figure", self.metric, figures)}')
        return figures[self.metric]


def parse_threshold(text: str) -> Threshold:
    """Return the threshold in a text such as `action_l1>0.02`; raises ConfigError."""
    match = CONDITION.fullmatch(text)
    try:
        limit = float(match[3]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or not math.isfinite(limit):
        raise ConfigError(
            f"--fail-if '{text}' is no condition; give a figure, > or <, and a number, such as "
            "'action_l1>0.02'"
        )
    return Threshold(match[1], match[2] == '>', limit)
