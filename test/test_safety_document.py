"""docs/safety.md: its messages are those of the code, and every stop of the code is in it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = REPOSITORY / 'src' / 'robomamba_ros'
PAGE = (REPOSITORY / 'docs' / 'safety.md').read_text()
# Where messages of stops and refusals are made.
PARTS = ('actions', 'control', 'nodes', 'robots')
# Calls whose first argument is why an arm stops.
STOPS = {'fault', 'want_chunk', 'stop', 'give_up', 'withdraw_chunk', '_on_withdrawal'}


@cache
def expressions() -> list[ast.expr]:
    """Return every expression of the sources; read by the first test that looks, once."""
    paths = [path for part in PARTS for path in sorted((SOURCES / part).rglob('*.py'))]
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    return [node for node in nodes if isinstance(node, ast.expr)]


def fixed(node: ast.expr) -> list[str]:
    """Return the fixed parts of a text, in order; none of what is no text."""
    if isinstance(node, ast.JoinedStr):
        return [text for value in node.values for text in fixed(value)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def messages() -> list[str]:
    """Return the messages that the tables of faults quote."""
    begin = PAGE.index('## Every fault')
    tables = PAGE[begin : PAGE.index('\n## ', begin + 5)]
    rows = [line.split(' | ') for line in tables.splitlines() if line.startswith('| ')]
    return [cells[1].strip('` |') for cells in rows if cells[1].startswith('`')]


@cache
def known() -> list[str]:
    """Return the fixed parts of all texts."""
    return [text for node in expressions() for text in fixed(node)]


def test_there_are_messages() -> None:
    assert len(messages()) > 40


@pytest.mark.parametrize('message', messages())
def test_a_message_is_one_of_the_code(message: str) -> None:
    # Messages are put together at colons; and the page has the numbers of constants.
    parts = [part.strip() for part in re.split(r'<\w+>|\b\d[\d.]*\b|[:;] ', message)]
    said = [part for part in parts if re.search(r'\w{2}', part)]
    assert said
    for part in said:
        assert any(part in text for text in known()), part


def test_every_reason_to_stop_is_in_the_page() -> None:
    reasons = [
        fixed(node.args[0])
        for node in expressions()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in STOPS
        and node.args
    ]
    said = [[text.strip(' ;') for text in parts if len(text) > 5] for parts in reasons]
    assert sum(map(bool, said)) >= 6
    for parts in said:
        for text in parts:
            assert text in PAGE or text == 'reset', text
