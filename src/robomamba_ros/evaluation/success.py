"""What outcomes add up to: success by task and group, as tables and as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.evaluation.metaworld import Outcome
from robomamba_ros.evaluation.perturbations import NONE
from robomamba_ros.evaluation.statistics import SuccessRate, mean_interval
from robomamba_ros.simulation.catalog import all_tasks
from robomamba_ros.simulation.tasks import load_tasks

# Success of AnoleVLA over all fifty tasks, in %, and where it is from.
PAPER = {'easy': 89.29, 'medium': 45.45, 'hard': 66.67, 'very_hard': 70.00}
PAPER_MEAN = 67.85
PAPER_SOURCE = 'Takagi et al. 2026 (arXiv 2603.15046), table II'


@dataclass(frozen=True)
class Part:
    """A task or a group of tasks: its success, and means over its episodes.

    mean_jerk: of the measured end effector [m/s^3]. failed: task and seed, to look at.
    """

    name: str
    tasks: tuple[str, ...]
    success: SuccessRate
    mean_steps: float
    mean_jerk: float
    failed: tuple[tuple[str, int], ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """What a table shows of it: success, interval, steps, jerk."""
        low, high = self.success.interval
        return (
            f'{self.success.successes}/{self.success.trials}',
            f'{100 * low:.0f} .. {100 * high:.0f} %',
            f'{self.mean_steps:.0f}',
            f'{self.mean_jerk:.0f}',
        )


def by_task(outcomes: Sequence[Outcome]) -> list[Part]:
    """Return the figures of every task, in the order in which they first appear."""
    names = dict.fromkeys(each.task for each in outcomes)
    return [_part(name, [each for each in outcomes if each.task == name]) for name in names]


def by_group(outcomes: Sequence[Outcome]) -> list[Part]:
    """Return the figures of every group, in the benchmark's order."""
    tasks = all_tasks()
    groups = dict.fromkeys(task.group for task in tasks.values())
    members = {g: [each for each in outcomes if tasks[each.task].group == g] for g in groups}
    return [_part(group, found) for group, found in members.items() if found]


def _part(name: str, outcomes: Sequence[Outcome]) -> Part:
    return Part(
        name=name,
        tasks=tuple(dict.fromkeys(each.task for each in outcomes)),
        success=SuccessRate(sum(each.success for each in outcomes), len(outcomes)),
        mean_steps=float(np.mean([each.steps for each in outcomes])),
        mean_jerk=float(np.mean([each.mean_jerk for each in outcomes])),
        failed=tuple((each.task, each.seed) for each in outcomes if not each.success),
    )


def mean(parts: Iterable[Part]) -> float:
    """Return the mean of the success rates, 0..1, each part counting once."""
    return float(np.mean([part.success.rate for part in parts]))


def tables(outcomes: Sequence[Outcome]) -> str:
    """Return Markdown tables by task and by group, with 95 % intervals and both means.

    Where all fifty tasks are there the paper's figures stand beside the groups.
    """
    tasks, groups = by_task(outcomes), by_group(outcomes)
    known = all_tasks()
    total = SuccessRate(sum(each.success for each in outcomes), len(outcomes))
    columns = ('success', '95 % interval', 'mean steps', 'mean jerk [m/s^3]')
    first = [
        ('task', 'group', *columns),
        *((part.name, known[part.name].group, *part.cells) for part in tasks),
        ('**mean of tasks**', '', *_mean_cells(mean(tasks), total.interval), '', ''),
    ]
    interval = mean_interval([part.success for part in groups])
    second = [
        ('group', 'tasks', *columns),
        *((part.name, str(len(part.tasks)), *part.cells) for part in groups),
        ('**mean of groups**', '', *_mean_cells(mean(groups), interval), '', ''),
    ]
    if not _whole_benchmark(tasks):
        return f'{_markdown(first)}\n\n{_markdown(second)}'
    theirs = (
        "the paper's AnoleVLA",
        *(f'{PAPER[part.name]:.2f} %' for part in groups),
        f'**{PAPER_MEAN} %**',
    )
    second = [(*row, cell) for row, cell in zip(second, theirs, strict=True)]
    return f'{_markdown(first)}\n\n{_markdown(second)}\n\nThe paper: {PAPER_SOURCE}.'


def perturbation_table(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Return a Markdown table of the success under each perturbation, with 95 % intervals.

    The last row is the mean over those that change anything, each counting once.
    """
    rates = {
        name: SuccessRate(sum(each.success for each in outcomes), len(outcomes))
        for name, outcomes in found.items()
    }
    rows = [('perturbation', 'success', 'rate', '95 % interval')]
    for name, rate in rates.items():
        low, high = rate.interval
        count, interval = (
            f'{rate.successes}/{rate.trials}',
            f'{100 * low:.1f} .. {100 * high:.1f} %',
        )
        rows.append((name, count, f'{100 * rate.rate:.1f} %', interval))
    changed = [rate for name, rate in rates.items() if name != NONE]
    if changed:
        total = float(np.mean([rate.rate for rate in changed]))
        rows.append(('**mean of perturbations**', '', *_mean_cells(total, mean_interval(changed))))
    return _markdown(rows)


def _mean_cells(rate: float, interval: tuple[float, float]) -> tuple[str, str]:
    low, high = interval
    return f'**{100 * rate:.1f} %**', f'{100 * low:.1f} .. {100 * high:.1f} %'


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *others = (f'| {" | ".join(row)} |' for row in rows)
    return '\n'.join([head, '|---' * len(rows[0]) + '|', *others])


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the figures as plain values."""
    tasks, groups = by_task(outcomes), by_group(outcomes)
    figures: dict[str, Any] = {
        'tasks': {part.name: _values(part) for part in tasks},
        'groups': {part.name: _values(part) for part in groups},
    }
    if outcomes:
        figures |= {'mean_of_tasks': mean(tasks), 'mean_of_groups': mean(groups)}
    if _whole_benchmark(tasks):
        figures['paper'] = {'source': PAPER_SOURCE, 'groups': PAPER, 'mean_of_groups': PAPER_MEAN}
    return figures


def _whole_benchmark(tasks: Sequence[Part]) -> bool:
    return {part.name for part in tasks} == set(load_tasks())


def _values(part: Part) -> dict[str, Any]:
    return {
        'successes': part.success.successes,
        'trials': part.success.trials,
        'rate': part.success.rate,
        'interval_95': list(part.success.interval),
        'mean_steps': part.mean_steps,
        'mean_jerk': part.mean_jerk,
        'failed': [list(each) for each in part.failed],
    }
