"""The results of a run, as one self-contained HTML page and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from robomamba_ros.evaluation.statistics import SuccessRate, percentiles
from robomamba_ros.reports.data import EpisodeReport, Machine, RunReport, this_machine
from robomamba_ros.reports.page import page

__all__ = [
    'EpisodeReport',
    'Machine',
    'RunReport',
    'summary',
    'this_machine',
    'write_json',
    'write_report',
]


def _rate(rate: SuccessRate) -> dict[str, Any]:
    low, high = rate.interval
    return {**asdict(rate), 'rate': rate.rate, 'interval_95': [low, high]}


def summary(run: RunReport) -> dict[str, Any]:
    """Return the numbers of a run as plain values: no images and no trajectories."""
    by_task = run.by_task
    return {
        'title': run.title,
        'created': run.created,
        'command': run.command,
        'machine': asdict(run.machine),
        'policy': run.policy,
        'parameters': dict(run.parameters),
        'success': {
            'total': _rate(run.total),
            'mean_of_tasks': float(np.mean([r.rate for r in by_task.values()])) if by_task else 0.0,
            'by_task': {task: _rate(rate) for task, rate in by_task.items()},
        },
        'start_s': dict(run.start_s),
        'latency_ms': {name: asdict(percentiles(s)) for name, s in run.latencies.items()},
        'episodes': [
            {
                'task': episode.task,
                'instruction': episode.instruction,
                'seed': episode.seed,
                'success': episode.success,
                'steps': episode.steps,
                'sim_seconds': episode.sim_seconds,
                'chunks': len(episode.chunk_times),
            }
            for episode in run.episodes
        ],
    }


def write_json(path: Path, run: RunReport) -> None:
    """Write the numbers of a run (see `summary`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary(run), indent=2) + '\n')


def write_report(path: Path, run: RunReport) -> None:
    """Write a run as one HTML file: style, images and small videos inside, no requests."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(run, path.parent))
