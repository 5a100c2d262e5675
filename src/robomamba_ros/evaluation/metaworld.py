"""Success of a policy over Meta-World tasks: many episodes on seeds never trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from robomamba_ros.data.collect import FIRST_SEED
from robomamba_ros.errors import ConfigError
from robomamba_ros.evaluation.rollout import Episode, run_episode
from robomamba_ros.evaluation.statistics import SuccessRate
from robomamba_ros.policies.base import LoadOptions

# Seeds of evaluation; collection uses seeds from FIRST_SEED on.
EVALUATION_SEED = 5_000


@dataclass(frozen=True)
class EvaluationConfig:
    """What is run: episodes per task from first_seed on, with how many actions per inference."""

    policy: str
    tasks: tuple[str, ...]
    episodes: int = 20
    execute_steps: int = 10
    latency_steps: int = 0
    first_seed: int = EVALUATION_SEED
    arm: str = 'sawyer_sim'
    load: LoadOptions = field(default_factory=LoadOptions)

    def __post_init__(self) -> None:
        if self.first_seed + self.episodes > FIRST_SEED:
            raise ConfigError(
                f'evaluation seeds must stay below {FIRST_SEED}, where the seeds of training data '
                f'begin; got {self.first_seed} .. {self.first_seed + self.episodes}'
            )


@dataclass(frozen=True)
class TaskResult:
    """The episodes of one task; failed_seeds say which to look at."""

    task: str
    success: SuccessRate
    mean_steps: float
    mean_jerk: float
    failed_seeds: tuple[int, ...]


def evaluate(config: EvaluationConfig, workers: int) -> Iterator[TaskResult]:
    """Yield the result of each task as it is finished; each process takes one task at a time."""
    jobs = [(config, task) for task in config.tasks]
    with get_context('spawn').Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap_unordered(_run_task, jobs)


def _run_task(job: tuple[EvaluationConfig, str]) -> TaskResult:
    config, task = job
    from robomamba_ros.policies.registry import load_chunk_policy
    from robomamba_ros.robots.arm import load_arm
    from robomamba_ros.simulation.metaworld import MetaWorldSim

    policy = load_chunk_policy(config.policy, config.load)
    arm = load_arm(config.arm)
    size = max((camera.height for camera in policy.spec.cameras), default=224)
    sim = MetaWorldSim(task, 0, camera_size=size)
    episodes = [
        run_episode(
            sim,
            policy,
            arm,
            seed,
            execute_steps=config.execute_steps,
            latency_steps=config.latency_steps,
        )
        for seed in range(config.first_seed, config.first_seed + config.episodes)
    ]
    sim.close()
    return task_result(task, episodes)


def task_result(task: str, episodes: Sequence[Episode]) -> TaskResult:
    """Return the result of a task from its episodes."""
    return TaskResult(
        task=task,
        success=SuccessRate(sum(e.success for e in episodes), len(episodes)),
        mean_steps=float(np.mean([e.steps for e in episodes])),
        mean_jerk=float(np.mean([e.mean_jerk for e in episodes])),
        failed_seeds=tuple(e.seed for e in episodes if not e.success),
    )


def table(results: Sequence[TaskResult]) -> str:
    """Return the results as a Markdown table, with 95 % Wilson intervals and the mean of tasks."""
    lines = [
        '| task | success | 95 % interval | mean steps | mean jerk [m/s^3] |',
        '|---|---|---|---|---|',
    ]
    for result in results:
        low, high = result.success.interval
        lines.append(
            f'| {result.task} | {result.success.successes}/{result.success.trials} '
            f'| {100 * low:.0f} .. {100 * high:.0f} % | {result.mean_steps:.0f} '
            f'| {result.mean_jerk:.0f} |'
        )
    total = SuccessRate(
        sum(r.success.successes for r in results), sum(r.success.trials for r in results)
    )
    low, high = total.interval
    lines.append(
        f'| **mean of tasks** | **{100 * mean_of_tasks(results):.1f} %** '
        f'| {100 * low:.1f} .. {100 * high:.1f} % | | |'
    )
    return '\n'.join(lines)


def mean_of_tasks(results: Sequence[TaskResult]) -> float:
    """Return the mean success rate over tasks, 0..1."""
    return float(np.mean([result.success.rate for result in results]))


def write_results(path: Path, config: EvaluationConfig, results: Sequence[TaskResult]) -> None:
    """Write settings and results as JSON."""
    document: dict[str, Any] = {
        'policy': config.policy,
        'execute_steps': config.execute_steps,
        'latency_steps': config.latency_steps,
        'seeds': [config.first_seed, config.first_seed + config.episodes - 1],
        'mean_of_tasks': mean_of_tasks(results),
        'tasks': {
            r.task: {
                'successes': r.success.successes,
                'trials': r.success.trials,
                'interval_95': list(r.success.interval),
                'mean_steps': r.mean_steps,
                'mean_jerk': r.mean_jerk,
                'failed_seeds': list(r.failed_seeds),
            }
            for r in results
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + '\n', encoding='utf-8')
