"""The option that says which tasks of Meta-World a verb is about."""

from __future__ import annotations

import argparse
import sys
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
        help='by name, or easy, medium, hard, very_hard, all (of these), memory (default: the ten '
        'of anolevla-mt10)',
    )


def choose_tasks(names: Sequence[str]) -> tuple[str, ...]:
    """Return the tasks of names and groups, each once; raises SimulationError for an unknown."""
    from robomamba_ros.errors import SimulationError, unknown_name
    from robomamba_ros.simulation.tasks import MEMORY, known_tasks

    known = known_tasks()
    chosen: dict[str, None] = {}
    for name in names:
        # The groups and `all` are those of the benchmark; what needs a memory is asked for by name.
        members = [t.name for t in known.values() if name in (t.name, t.group)]
        if name == 'all':
            members = [t.name for t in known.values() if t.group != MEMORY]
        if not members:
            groups = {task.group for task in known.values()}
            raise SimulationError(
                unknown_name('Meta-World task or group', name, {*known, *groups, 'all'})
            )
        chosen.update(dict.fromkeys(members))
    return tuple(chosen)


def check_instructions(
    policy: str, tasks: Sequence[str], instructions: str = 'auto', remedy: str = ''
) -> None:
    """Warn of tasks that a policy was not trained on; raises ConfigError where it refuses any.

    policy: a checkpoint directory or a name in models/; instructions: of LoadOptions; remedy: what
    a user can do beside giving other tasks. No weights are read.
    """
    from robomamba_ros.errors import ConfigError
    from robomamba_ros.policies.registry import describe_policy
    from robomamba_ros.simulation.tasks import known_tasks

    spec = describe_policy(policy).spec.allowing(instructions)
    known = known_tasks()
    words = spec.instructions
    texts = {task: known[task].instruction for task in tasks if task in known}
    remarks = {task: remark for task, text in texts.items() if (remark := words.remark(text))}
    refused = [f'{task}: {remarks[task]}' for task in remarks if words.refuses(texts[task])]
    if refused:
        raise ConfigError(
            '\n'.join(['the policy refuses the instructions of tasks:', *refused])
            + f'\nGive other tasks by --tasks{remedy}'
        )
    for task, remark in remarks.items():
        print(f'warning: {task}: {remark}', file=sys.stderr)
