"""Rows of a run on a device: each measured on its own, and kept whatever happens after it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

# Characters of an error that are kept.
LONGEST = 400


@dataclass(frozen=True)
class Row:
    """One figure. value: a number, a fact in words, or None where `error` says why there is none.

    kind: 'fact', 'parity', 'time', 'test' or 'profile'. target: what the value should be at most;
    limit: what no program for this device can be below. Both None where nobody has said so.
    """

    part: str
    kind: str
    name: str
    value: float | str | None
    unit: str = ''
    target: float | None = None
    limit: float | None = None
    error: str = ''

    @property
    def verdict(self) -> str:
        """'failed' without a value, 'ok' or 'missed' where there is a target, else nothing."""
        if self.value is None:
            return 'failed'
        if self.target is None or isinstance(self.value, str):
            return ''
        return 'ok' if self.value <= self.target else 'missed'

    def line(self) -> str:
        """Return the row for a terminal."""
        value = self.error if self.value is None else _shown(self.value)
        goal = '' if self.target is None else f'  at most {_shown(self.target)}'
        return f'  {self.verdict:7}{self.name:56} {value} {self.unit}{goal}'.rstrip()


class Rows:
    """Writes the rows of a part to a file (JSON, one a line), each as soon as it is known.

    So a process that is killed by its device loses what it was measuring, and nothing before that.
    """

    def __init__(self, part: str, path: Path) -> None:
        self._part = part
        self._path = path

    def add(
        self,
        kind: str,
        name: str,
        measure: Callable[[], float | str],
        unit: str = '',
        *,
        target: float | None = None,
        limit: float | None = None,
    ) -> None:
        """Measure a row; an error of any kind becomes the row, and the part goes on."""
        try:
            value = measure()
            row = Row(self._part, kind, name, value, unit, target, limit)
        except Exception as error:  # whatever a device, its driver or a library has to say
            text = f'{type(error).__name__}: {" ".join(str(error).split())}'[:LONGEST]
            row = Row(self._part, kind, name, None, unit, target, limit, text)
        with self._path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(asdict(row)) + '\n')


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file; a last line that was cut off is left out."""
    rows = []
    for line in path.read_text(encoding='utf-8').splitlines() if path.exists() else []:
        try:
            rows.append(Row(**json.loads(line)))
        except ValueError:
            break
    return rows


def median_ms(run: Callable[[], object], wait: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call [ms] after warm-ups; wait: until the device has done it."""
    times = []
    for turn in range(repeats + 3):
        start = time.perf_counter()
        run()
        wait()
        if turn >= 3:
            times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)[len(times) // 2]


def table(rows: list[Row]) -> str:
    """Return the rows of kind 'time' that have a target as the table of docs/performance.md."""
    lines = ['| | ms | target | limit |', '|---|---|---|---|']
    for row in rows:
        if row.kind == 'time' and row.unit == 'ms' and row.target is not None:
            value = 'failed' if row.value is None else f'**{_shown(row.value)}**'
            limit = '' if row.limit is None else _shown(row.limit)
            lines.append(f'| {row.name} | {value} | {_shown(row.target)} | {limit} |')
    return '\n'.join(lines)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f'{value:.4g}'
