"""What outcomes add up to, by task and by group."""

from __future__ import annotations

import pytest

from robomamba_ros.evaluation.metaworld import Outcome
from robomamba_ros.evaluation.success import PAPER, PAPER_MEAN, by_group, document, mean, tables
from robomamba_ros.simulation.tasks import load_tasks


def outcome(task: str, seed: int, success: bool, steps: int = 100, jerk: float = 10.0) -> Outcome:
    return Outcome(task, seed, success, steps, jerk)


# Of ten episodes a task: every easy one succeeds, half of the medium ones, none of the others.
ALL = [
    outcome(task.name, seed, task.group == 'easy' or (task.group == 'medium' and seed < 5))
    for task in load_tasks().values()
    for seed in range(10)
]


def test_the_two_means_differ_as_the_groups_have_different_numbers_of_tasks() -> None:
    figures = document(ALL)
    assert figures['mean_of_tasks'] == pytest.approx((28 + 11 / 2) / 50)
    assert figures['mean_of_groups'] == pytest.approx((1 + 1 / 2) / 4)
    assert {name: (g['successes'], g['trials']) for name, g in figures['groups'].items()} == {
        'easy': (280, 280),
        'medium': (55, 110),
        'hard': (0, 60),
        'very_hard': (0, 50),
    }


def test_the_papers_figures_stand_beside_all_tasks_only() -> None:
    whole = tables(ALL)
    for figure in (*PAPER.values(), PAPER_MEAN):
        assert f'{figure} %' in whole or f'{figure:.2f} %' in whole
    assert 'arXiv 2603.15046' in whole
    assert document(ALL)['paper']['mean_of_groups'] == PAPER_MEAN
    part = [each for each in ALL if each.task != 'reach']
    assert 'paper' not in tables(part)
    assert 'paper' not in document(part)


def test_the_papers_average_is_the_mean_of_its_groups() -> None:
    assert sum(PAPER.values()) / len(PAPER) == pytest.approx(PAPER_MEAN, abs=0.005)


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for outcomes in (ALL, ALL[:10]):
        for table in tables(outcomes).split('\n\n')[:2]:
            widths = {line.count('|') for line in table.splitlines()}
            assert len(widths) == 1


def test_a_row_says_how_a_task_went() -> None:
    outcomes = [outcome('push', 1, True, 40, 30.0), outcome('push', 2, False, 500, 10.0)]
    assert '| push | hard | 1/2 | 9 .. 91 % | 270 | 20 |' in tables(outcomes)
    (group,) = by_group(outcomes)
    assert group.failed == (('push', 2),)
    assert group.mean_jerk == 20.0
    assert mean([group]) == 0.5
