"""docs/safety.md: its messages are those of the code, and every message of the code is in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = REPOSITORY / 'src' / 'robomamba_ros'
PAGE = (REPOSITORY / 'docs' / 'safety.md').read_text()
# Where messages of stops and refusals are made.
PARTS = ('control', 'messages', 'nodes', 'robots')
# What controller_node says comes out of these.
SAYING = (
    'control/*.py',
    'control/motion/*.py',
    'control/setpoints/*.py',
    'messages/joints.py',
    'messages/state.py',
    'nodes/common/chunk_messages.py',
    'nodes/common/publishers_watch.py',
    'nodes/common/robot_description.py',
    'nodes/controller/**/*.py',
    'robots/collisions.py',
    'robots/controller_settings.py',
)
# What the page need not say, by how it begins.
ELSEWHERE = {
    # Parameters and contracts by which the node is not configured.
    'crossfade_steps is',
    'ensemble_decay is',
    'mode lockstep needs',
    ', which the interlock ',
    "' is commanded by poses, which say nothing about its part",
    "the gripper of arm '",
    # Of policy_node: targets that become no chunk; and defects of this code.
    "the pose target is in the frame '",
    "' of the pose target, ",
    'a pose cannot be mixed',
    'a pose cannot be compared',
    # Goals of a planner: docs/running.md.
    ' s were over: ',
    'the arm has stopped, and somebody has to look',
    'the arm moves already',
    'time_limit must be positive',
    'policy_node did not take',
    'policy_node refuses the instruction',
    "policy_node follows '",
    'another goal runs',
    # Remedies after a message, and texts that are put into one.
    'name another action',
    'write `kind: ',
    ': true` under `',
    ', in the same order',
    ', and the pose is',
    'give the controller and the arm',
    'name the topic that tells it',
    'no joints',
    'the link of ',
    'start the joint_trajectory_controller, or',
    '; the description from before stays',
    # What is not looked at, or drawn; what is read later.
    "interlocks and speed scaling of arm '",
    ' is not looked at',
    ' says where the controller holds',
    ' cannot be asked whether controllers',
    'cannot draw markers',
    'another description was taken',
    'another text came and is read once',
    # The answer of ~/stop where nothing moves.
    'the node is not configured: nothing moves',
}
# Calls whose first argument is why an arm stops.
STOPS = {'fault', 'want_chunk', 'stop', 'give_up', 'withdraw_chunk', '_on_withdrawal'}


@cache
def expressions() -> list[ast.expr]:
    """Return every expression of the sources; read by the first test that looks, once."""
    paths = [path for part in PARTS for path in sorted((SOURCES / part).rglob('*.py'))]
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    return [node for node in nodes if isinstance(node, ast.expr)]


@cache
def constants() -> dict[str, str]:
    """Return the texts of the sources that have a name, by it."""
    paths = (path for part in PARTS for path in (SOURCES / part).rglob('*.py'))
    nodes = (node for path in paths for node in ast.parse(path.read_text()).body)
    return {
        node.targets[0].id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def fixed(node: ast.expr, *, joined: bool = True) -> list[str]:
    """Return the fixed parts of a text, in order; none of what is no text.

    joined: whether a constant is a part of the text around it.
    """
    if isinstance(node, ast.JoinedStr):
        parts = ['']
        for value in node.values:
            inner = value.value if isinstance(value, ast.FormattedValue) and joined else None
            text = constants().get(inner.id) if isinstance(inner, ast.Name) else None
            text = value.value if isinstance(value, ast.Constant) else text
            if text is None:
                parts.append('')
            else:
                parts[-1] += str(text)
        return [part for part in parts if part]
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


def texts(path: Path) -> Iterator[list[str]]:
    """Yield the fixed parts of each text of a module that is a sentence, without docstrings."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    inner = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    inner |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in inner:
            parts = [
                text for text in fixed(node, joined=False) if ' ' in text.strip() and len(text) > 8
            ]
            if parts:
                yield parts


def test_every_message_of_the_controller_is_in_the_page() -> None:
    paths = sorted({path for pattern in SAYING for path in SOURCES.glob(pattern)})
    unused, missing = set(ELSEWHERE), []
    for path in paths:
        for parts in texts(path):
            begins = {known for known in ELSEWHERE if any(p.startswith(known) for p in parts)}
            unused -= begins
            # A quotation mark around a name is left out in the page.
            said = parts[0].strip(" ;:,'.")
            if not begins and said not in PAGE:
                missing.append(f'{path.name}: {said}')
    assert missing == []
    assert not unused
