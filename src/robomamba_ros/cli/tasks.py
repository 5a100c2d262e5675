"""The options that say which robot and which of its tasks a verb is about."""

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

# Named here too: a command line is read without a simulator.
ROBOTS = ('sawyer', 'fr3', 'hsr')


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a verb's parser."""
    parser.add_argument(
        '--robot',
        choices=ROBOTS,
        default='sawyer',
        help="Meta-World's Sawyer, or with masses, motors and friction an FR3 at a table or an HSR "
        'in a room (default: sawyer)',
    )
    parser.add_argument(
        '--tasks',
        nargs='+',
        metavar='TASK',
        help='by name. sawyer: or easy, medium, hard, very_hard, all (of these), memory (default: '
        'the ten of anolevla-mt10). fr3, hsr: move, pick, open, close, push (default: all five)',
    )


def choose_tasks(names: Sequence[str] | None, robot: str = 'sawyer') -> tuple[str, ...]:
    """Return a robot's tasks of names and groups, each once; None: those it does by default.

    Raises SimulationError for an unknown one.
    """
    from robomamba_ros.errors import SimulationError, unknown_name
    from robomamba_ros.simulation.catalog import TITLES, all_tasks, robot_of
    from robomamba_ros.simulation.tasks import MEMORY

    known = {name: task for name, task in all_tasks().items() if robot_of(name) == robot}
    if names is None:
        names = MT10_TASKS if robot == 'sawyer' else list(known)
    chosen: dict[str, None] = {}
    for name in names:
        # The groups and `all` are those of the benchmark; what needs a memory is asked for by name.
        called = (name, f'{robot}/{name}')
        members = [t.name for t in known.values() if t.name in called or t.group == name]
        if name == 'all':
            members = [t.name for t in known.values() if t.group != MEMORY]
        if not members:
            groups = {task.group for task in known.values()}
            raise SimulationError(
                unknown_name(f'{TITLES[robot]} task or group', name, {*known, *groups, 'all'})
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
    from robomamba_ros.simulation.catalog import all_tasks

    spec = describe_policy(policy).spec.allowing(instructions)
    known = all_tasks()
    words = spec.instructions
    # Where they change with the scene, an episode begins with the policy looking at them.
    texts = {task: known[task].instruction for task in tasks if task in known}
    texts = {task: text for task, text in texts.items() if text}
    remarks = {task: remark for task, text in texts.items() if (remark := words.remark(text))}
    refused = [f'{task}: {remarks[task]}' for task in remarks if words.refuses(texts[task])]
    if refused:
        raise ConfigError(
            '\n'.join(['the policy refuses the instructions of tasks:', *refused])
            + f'\nGive other tasks by --tasks{remedy}'
        )
    for task, remark in remarks.items():
        print(f'warning: {task}: {remark}', file=sys.stderr)
