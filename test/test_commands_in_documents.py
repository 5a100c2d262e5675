"""Commands in README and docs: what they say in YAML is YAML, and fits the type that is named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
# The words before the type, and what the type is called in the modules of a package.
SAID = {('topic', 'pub'): 'msg', ('service', 'call'): 'srv', ('action', 'send_goal'): 'action'}

# Built in few places: held against its definition instead.
OURS = 'robomamba_interfaces/'


def lines() -> Iterator[tuple[str, str]]:
    """Return the place and the text of each line of README and docs."""
    for path in (REPOSITORY / 'README.md', *sorted((REPOSITORY / 'docs').rglob('*.md'))):
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
            yield f'{path.name}:{number}', line


def commands() -> list[tuple[str, list[str]]]:
    """Return the place and the words of each `ros2` command that sends something."""
    found = []
    for place, line in lines():
        for text in re.findall(r'ros2 (?:topic pub|service call|action send_goal)[^`]*', line):
            words = shlex.split(text, comments=True)
            if '/' in ' '.join(words[3:]):  # else it only names the command
                found.append((place, words))
    return found


def message(words: list[str]) -> Any:
    """Return what a command sends, filled into a message of the type that it names."""
    kind = SAID[(words[1], words[2])]
    position = next(i for i, word in enumerate(words) if f'/{kind}/' in word)
    package, _, name = words[position].split('/')
    made = getattr(import_module(f'{package}.{kind}'), name)
    made = made() if kind == 'msg' else (made.Request if kind == 'srv' else made.Goal)()
    for field, value in (yaml.safe_load(' '.join(words[position + 1 :])) or {}).items():
        assert isinstance(getattr(made, field), type(value)), (field, value)
        setattr(made, field, value)
    return made


def test_what_commands_of_the_documents_send_is_yaml_of_their_type() -> None:
    pytest.importorskip('rclpy')
    found = commands()
    sent = {place: message(words) for place, words in found if OURS not in ' '.join(words)}
    texts = {str(each.data) for each in sent.values() if hasattr(each, 'data')}
    assert {'True', 'False', 'is the drawer open?'} <= texts


def test_a_goal_in_the_documents_has_the_fields_of_our_action() -> None:
    definition = (REPOSITORY / 'src/interfaces/action/RunPolicy.action').read_text()
    lines = definition.split('---')[0].splitlines()
    fields = dict(reversed(line.split()) for line in lines if line and line[0] != '#')
    goals = [words for _, words in commands() if OURS in ' '.join(words)]
    assert goals
    for words in goals:
        goal = yaml.safe_load(words[-1])
        assert goal.keys() == fields.keys()
        assert isinstance(goal['instruction'], str)
        assert goal['time_limit'].keys() <= {'sec', 'nanosec'}


def test_a_motion_to_be_seen_has_the_instruction_that_starts_it() -> None:
    moving = [(place, line) for place, line in lines() if '--enable ' in line]
    assert len(moving) >= 3
    assert [place for place, line in moving if '--instruction ' not in line] == []


def test_extras_are_installed_from_the_checkout() -> None:
    # pip finds the package by its name only where it is installed already.
    installed = [(place, line) for place, line in lines() if 'pip install' in line]
    assert any("'.[policy,bags]'" in line for _, line in installed)
    assert [place for place, line in installed if 'robomamba_ros[' in line] == []


def test_an_arm_of_ones_own_is_given_by_its_path() -> None:
    # A bare name is one of config/arms, where theirs is not.
    given = [
        (place, name)
        for place, line in lines()
        for name in re.findall(r'(?:--arm |arm:=)(my_\w+(?:\.\w+)?)', line)
    ]
    assert len(given) >= 5
    assert [place for place, name in given if not name.endswith('.yaml')] == []
