"""The tasks of the simulation: Meta-World's fifty, and those that need a memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.common.resources import share_directory

PARAPHRASES = 10  # of each task
MEMORY = 'memory'


@dataclass(frozen=True)
class Task:
    """A task: its name ('drawer-open'), instruction in words, and group.

    base: the task of Meta-World whose scene it has, and by default whose expert and success.
    """

    name: str
    instruction: str
    group: str
    base: str = ''


# What they are made of and when they succeed: memory_trial.py.
MEMORY_TASKS = {
    task.name: task
    for task in (
        Task('reach-hidden', 'Reach the goal that was shown', MEMORY, 'reach'),
        Task('push-hidden', 'Push the puck to the goal that was shown', MEMORY, 'push'),
        Task(
            'pick-place-hidden', 'Bring the puck to the goal that was shown', MEMORY, 'pick-place'
        ),
        Task('button-lit', 'Press the button that lit up', MEMORY, 'reach'),
    )
}


def load_tasks() -> dict[str, Task]:
    """Return Meta-World's 50 tasks by name, from config/metaworld_mt50.json."""
    path = share_directory() / 'config' / 'metaworld_mt50.json'
    entries = json.loads(path.read_text(encoding='utf-8'))['tasks']
    named = ((e['task'].removesuffix('-v3'), e) for e in entries)
    tasks = (Task(name, e['instruction'], e['group'], name) for name, e in named)
    return {task.name: task for task in tasks}


def known_tasks() -> dict[str, Task]:
    """Return all tasks by name: Meta-World's 50, then MEMORY_TASKS."""
    return {**load_tasks(), **MEMORY_TASKS}


@cache
def load_paraphrases() -> dict[str, tuple[str, ...]]:
    """Return PARAPHRASES other ways to say each task, from config/metaworld_paraphrases.yaml.

    They are for evaluation: no policy is trained on them. Raises ConfigError.
    """
    path = share_directory() / 'config' / 'metaworld_paraphrases.yaml'
    document, errors = read_yaml(path)
    tasks = tuple(known_tasks())
    root = Section(document, '', errors, tasks)
    found = {task: root.texts(task, f'{PARAPHRASES} texts') for task in tasks}
    errors += [f'{task}: not {PARAPHRASES}' for task in tasks if len(found[task]) != PARAPHRASES]
    refuse(f'the paraphrases {path}', errors)
    return found
