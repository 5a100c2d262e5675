"""The record in a run directory: how the run was made, and its losses over time.

run.json has an entry for each start of the run, metrics.jsonl a line for every few steps, and
tensorboard/ the same as events where the package `tensorboard` is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from robomamba_ros import __version__
from robomamba_ros.common.documents import parse_json, read_json
from robomamba_ros.common.files import all_written_whole, read_bounded
from robomamba_ros.common.machine import read_processor
from robomamba_ros.errors import DataError

RUN, METRICS, EVENTS = 'run.json', 'metrics.jsonl', 'tensorboard'
MEGABYTES = 1024  # of a record of millions of steps
PACKAGES = ('torch', 'numpy', 'transformers', 'tokenizers', 'numba', 'triton')


class Record:
    """The record of a run in `folder`, continued after `step`: what is later is taken back."""

    def __init__(self, folder: Path, step: int, start: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        run, self._path = folder / RUN, folder / METRICS
        # A run of before it kept a record goes on with one.
        starts = _starts(run) if step and run.is_file() else []
        document = {'starts': [*starts, {'step': step, **start, **_environment()}]}
        kept = _lines(self._path, step) if step and self._path.is_file() else []
        # Both are read before either is written, and a disk that is full leaves both.
        with all_written_whole(folder, RUN, METRICS) as (new_run, metrics):
            new_run.write_text(json.dumps(document, indent=1) + '\n', encoding='utf-8')
            metrics.write_text(''.join(kept), encoding='utf-8')
        self._events: Any = None
        if importlib.util.find_spec('tensorboard'):
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / EVENTS), purge_step=step + 1)
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Add the values of one step; what is written is the mean of those since the last line."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def write(self, step: int, stage: int) -> None:
        """Write a line, and events, of what was added, if anything was."""
        if self._count:
            means = {name: value / self._count for name, value in self._sums.items()}
            self.line(step, stage, means)
        self._sums, self._count = {}, 0

    def line(self, step: int, stage: int, values: Mapping[str, float]) -> None:
        """Write values that are not means of anything, such as those of a validation."""
        with self._path.open('a', encoding='utf-8') as file:
            file.write(json.dumps({'step': step, 'stage': stage, **values}) + '\n')
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)
            self._events.flush()


def _starts(run: Path) -> list[Any]:
    """Return the starts that run.json has; raises DataError."""
    document = read_json(run, megabytes=MEGABYTES, error=DataError)
    starts = document.get('starts') if isinstance(document, dict) else None
    if not isinstance(starts, list):
        raise DataError(f'{run} has no list of starts; move it away, and the run records anew')
    return starts


def _lines(metrics: Path, step: int) -> list[str]:
    """Return the lines up to a step; raises DataError for one that is none."""
    try:
        text = read_bounded(metrics, MEGABYTES).decode('utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'{metrics} cannot be read ({error}); move it away') from error
    kept = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith('\n'):
            continue  # the last line of a run that was killed may not be whole
        values = parse_json(line.rstrip(), f'{metrics}, entry {number}', error=DataError)
        if not isinstance(values, dict) or not isinstance(values.get('step'), int):
            raise DataError(f'{metrics}, line {number} has no step; remove the line')
        if values['step'] <= step:
            kept.append(line)
    return kept


def _environment() -> dict[str, Any]:
    return {
        'source': _source(),
        'software': {
            'robomamba_ros': __version__,
            'python': platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
        'machine': {
            'system': platform.platform(),
            'processor': read_processor().name,
            'cpus': os.cpu_count(),
            'gpus': [
                torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
            ],
        },
    }


def _source() -> dict[str, Any] | None:
    """Return the commit of the code and whether it was changed, where it lies in a repository."""
    here = Path(__file__)

    def git(*words: str) -> str:
        command = ['git', '-C', str(here.parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git('ls-files', '--error-unmatch', here.name)
        changed = git('status', '--porcelain', '--untracked-files=no', '.')
        return {'commit': git('rev-parse', 'HEAD'), 'changed': bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
