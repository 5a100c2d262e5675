"""What a check has found, and how a list of findings is shown."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum

WIDTH = 100


class Level(str, Enum):
    """ok: as it should be. note: look at it yourself. fault: the arm should not move."""

    OK = 'ok'
    NOTE = 'note'
    FAULT = 'fault'


@dataclass(frozen=True)
class Finding:
    """One check: its level, what it is about, what was found, and what to do where it is not ok."""

    level: Level
    about: str
    found: str
    remedy: str = ''


def ok(about: str, found: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(Level.OK, about, found)


def note(about: str, found: str, remedy: str) -> Finding:
    """Return a finding that somebody has to judge."""
    return Finding(Level.NOTE, about, found, remedy)


def fault(about: str, found: str, remedy: str) -> Finding:
    """Return a finding that keeps the arm from moving as it should."""
    return Finding(Level.FAULT, about, found, remedy)


def has_fault(findings: Sequence[Finding]) -> bool:
    """Return whether any finding is a fault."""
    return any(finding.level is Level.FAULT for finding in findings)


def as_table(findings: Sequence[Finding]) -> str:
    """Return the findings as lines of text, and how many there are of each level."""
    column = max((len(finding.about) for finding in findings), default=0)
    lines = [line for finding in findings for line in _lines(finding, column)]
    counts = Counter(finding.level for finding in findings)
    faults, notes = counts[Level.FAULT], counts[Level.NOTE]
    lines.append(f'{faults} fault(s), {notes} note(s), {counts[Level.OK]} ok')
    return '\n'.join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON list, level and all."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def _lines(finding: Finding, column: int) -> list[str]:
    head = f'{finding.level.value:<5}  {finding.about:<{column}}  '
    room = max(WIDTH - len(head), 40)
    lines = [line for part in finding.found.splitlines() for line in textwrap.wrap(part, room)]
    lines += textwrap.wrap(finding.remedy, room, initial_indent='-> ', subsequent_indent='   ')
    return [(head if index == 0 else ' ' * len(head)) + line for index, line in enumerate(lines)]
