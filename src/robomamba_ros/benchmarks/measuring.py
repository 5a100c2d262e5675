"""What benchmarks measure with: turns, tables, the most memory taken, and the machine's name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from robomamba_ros.common.machine import read_processor

Runs = Mapping[str, Callable[[], object]]
Times = np.ndarray[Any, np.dtype[np.float64]]  # ms


def machine(threads: int) -> str:
    """Return the line that every table begins with."""
    return f'{read_processor().name}, {threads} thread(s), torch {torch.__version__}'


def take_turns(runs: Runs, repeats: int) -> dict[str, Times]:
    """Return the times [ms] of each of `runs`, called in turns `repeats` times after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: np.array(values) for name, values in times.items()}


def report(title: str, runs: Runs, repeats: int) -> None:
    """Let `runs` take turns, and print their times."""
    print_table(title, take_turns(runs, repeats))


def print_table(title: str, times: Mapping[str, Times]) -> None:
    """Print a row per name: the median, the spread, and the median over that of the first row."""
    first = np.median(next(iter(times.values())))
    print(f'\n{title}\n{"ms":36}{"p50":>10}{"p10":>10}{"p90":>10}{"ratio":>9}')
    for name, values in times.items():
        low, middle, high = np.percentile(values, (10, 50, 90))
        print(f'  {name:34}{middle:10.3f}{low:10.3f}{high:10.3f}{middle / first:9.2f}')


class PeakMemory(threading.Thread):
    """Samples how much memory this process takes while the context lasts, as Linux counts it.

    every_s: between samples; each takes the interpreter from what is measured for a moment.
    """

    FIELDS: ClassVar = {'RssAnon': 'allocated', 'RssFile': 'mapped from files, reclaimable'}

    def __init__(self, every_s: float = 0.002) -> None:
        super().__init__(daemon=True)
        self._every_s = every_s
        self.sizes = dict.fromkeys(self.FIELDS.values(), 0)
        self._before = self._read()
        self._end = threading.Event()

    def __enter__(self) -> PeakMemory:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self.join()

    def run(self) -> None:
        """Keep the largest sample of each kind until the context ends."""
        while not self._end.wait(self._every_s):
            for name, size in self._read().items():
                self.sizes[name] = max(self.sizes[name], size - self._before[name])

    def _read(self) -> dict[str, int]:
        lines = (x.split() for x in Path('/proc/self/status').read_text().splitlines())
        kept = {x[0].rstrip(':'): int(x[1]) * 1024 for x in lines if x[0].startswith('Rss')}
        return {name: kept[field] for field, name in self.FIELDS.items()}
