"""The results of a replay as data and as JSON."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.writer import BagWriter
from robomamba_ros.policies.base import ChunkPolicy
from robomamba_ros.replay.metrics import Threshold, metrics, wall_time
from robomamba_ros.replay.predictions import Predictions
from robomamba_ros.replay.run import Replay
from robomamba_ros.reports.data import Machine
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS


@dataclass(frozen=True)
class PolicyReport:
    """One policy on the bag: its label, its replay, and the figures that came of it."""

    label: str
    names: tuple[str, ...]
    replay: Replay

    @property
    def metrics(self) -> dict[str, float]:
        """The figures that are the same at every replay."""
        return metrics(self.replay.trace, self.replay.comparison, self.names)

    @property
    def figures(self) -> dict[str, float]:
        """Every figure that a threshold may name."""
        return {**self.metrics, **wall_time(self.replay.trace)}


def replay_bag(
    bag: str | Path, policy: ChunkPolicy, arm: ArmContract, predictions: str | Path
) -> PolicyReport:
    """Run a policy on a recording and return what it would have done, beside what was done.

    predictions: the .mcap file that its chunks are written to. Raises DataError where the bag
    lacks what the policy needs, and where the disk does not take the predictions.
    """
    with Bag(bag) as recording, BagWriter(Path(predictions)) as writer:
        chunks = Predictions(writer, arm.base_frame)
        replay = Replay(recording, arm, policy, chunks, stopwatch=time.perf_counter)
        replay.run()
    return PolicyReport(policy.spec.name, policy.spec.action_names, replay)


@dataclass(frozen=True)
class Verdict:
    """What a threshold said about a policy."""

    threshold: Threshold
    label: str
    value: float
    crossed: bool


@dataclass(frozen=True)
class ReplayReport:
    """Policies on one bag. parameters: name -> value as text; created: ISO 8601."""

    title: str
    created: str
    command: str
    machine: Machine
    bag: Mapping[str, Any]
    parameters: Mapping[str, str]
    policies: tuple[PolicyReport, ...]
    thresholds: tuple[Threshold, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every threshold on every policy; raises ConfigError for a figure that is unknown."""
        return tuple(
            Verdict(
                threshold,
                policy.label,
                threshold.value(policy.figures),
                threshold.crossed(policy.figures),
            )
            for threshold in self.thresholds
            for policy in self.policies
        )

    @property
    def passed(self) -> bool:
        """Whether no threshold was crossed."""
        return not any(verdict.crossed for verdict in self.verdicts)


def describe_bag(bag: Bag) -> dict[str, Any]:
    """Return what a bag is, with what is damaged or missing in it."""
    return {
        'path': str(bag.path),
        'duration_s': bag.duration_s,
        'messages': bag.count,
        'topics': {name: asdict(topic) for name, topic in bag.topics.items()},
        'warnings': list(bag.warnings),
    }


def summary(report: ReplayReport) -> dict[str, Any]:
    """Return the report as plain values, None for what is not known."""
    document = {
        'title': report.title,
        'created': report.created,
        'command': report.command,
        'machine': asdict(report.machine),
        'bag': dict(report.bag),
        'parameters': dict(report.parameters),
        'passed': report.passed,
        'thresholds': [
            {
                'condition': str(verdict.threshold),
                'policy': verdict.label,
                'value': verdict.value,
                'crossed': verdict.crossed,
            }
            for verdict in report.verdicts
        ],
        'policies': [_policy(policy) for policy in report.policies],
    }
    known: dict[str, Any] = _without_nan(document)
    return known


def _policy(policy: PolicyReport) -> dict[str, Any]:
    trace, comparison = policy.replay.trace, policy.replay.comparison
    errors = comparison.errors
    return {
        'policy': policy.label,
        'metrics': policy.metrics,
        'by_horizon_step': {
            'position_error_m': comparison.position_errors.tolist(),
            **{name: errors[:, i].tolist() for i, name in enumerate(policy.names)},
        },
        'stalls': [
            {
                'start_s': (stall.start_ns - trace.start_ns) / NANOSECONDS,
                'duration_s': (stall.end_ns - stall.start_ns) / NANOSECONDS,
                'reasons': stall.reasons,
            }
            for stall in trace.stalls
        ],
        'problems': [asdict(problem) for problem in trace.problems.most_common()],
        'refused_chunks': [asdict(problem) for problem in trace.refused.most_common()],
        'remarks': [asdict(remark) for remark in trace.remarks.most_common()],
        'budgets_ms': {name: 1e3 * budget for name, budget in policy.replay.budgets_s.items()},
        # Of this machine and this run: everything else is the same at every replay.
        'wall_time': {
            **wall_time(trace),
            'inference_samples_ms': [1e3 * seconds for seconds in trace.inference_s],
        },
    }


def _without_nan(value: Any) -> Any:
    """Return a value with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, report: ReplayReport) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary(report), indent=1, allow_nan=False) + '\n', encoding='utf-8')
