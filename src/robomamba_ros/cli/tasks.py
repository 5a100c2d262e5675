"""The option that says which tasks of Meta-World a verb is about."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

# The tasks of the small benchmark: what the shipped checkpoint was trained on.
MT10_TASKS = (
    'reach',
    'drawer-open',
    'drawer-close',
    'button-press-topdown',
    'door-open',
    'window-open',
    'window-close',
    'push',
    'pick-place',
    'peg-insert-side',
)


def add_task_option(parser: argparse.ArgumentParser) -> None:
    """Add the option to a verb's parser."""
    parser.add_argument(
        '--tasks',
        nargs='+',
        default=list(MT10_TASKS),
        metavar='TASK',
        help='by name, or easy, medium, hard, very_hard, all (default: the ten of anolevla-mt10)',
    )


def choose_tasks(names: Sequence[str]) -> tuple[str, ...]:
    """Return the tasks of names and groups, each once; raises SimulationError for an unknown."""
    from robomamba_ros.errors import SimulationError, unknown_name
    from robomamba_ros.simulation.metaworld import load_tasks

    known = load_tasks()
    chosen: dict[str, None] = {}
    for name in names:
        members = [t.name for t in known.values() if name in (t.name, t.group, 'all')]
        if not members:
            groups = {task.group for task in known.values()}
            raise SimulationError(
                unknown_name('Meta-World task or group', name, {*known, *groups, 'all'})
            )
        chosen.update(dict.fromkeys(members))
    return tuple(chosen)
