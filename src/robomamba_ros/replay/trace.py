"""The record of a replay as plain values."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from robomamba_ros.errors import without_numbers
from robomamba_ros.types import NANOSECONDS, Float64Array


@dataclass
class Stall:
    """A time in which the arm did not follow a chunk though it had before; reasons in order."""

    start_ns: int
    end_ns: int
    reasons: list[str]


@dataclass
class Problem:
    """What went wrong first, and how often something of the kind did."""

    text: str
    count: int = 0

    def __str__(self) -> str:
        return f'{self.text} ({self.count} times)' if self.count > 1 else self.text


class Problems:
    """Counts problems by kind: texts that differ in numbers only are of one kind."""

    def __init__(self) -> None:
        self._by_kind: dict[str, Problem] = {}

    def add(self, text: str) -> None:
        """Count a problem."""
        self._by_kind.setdefault(without_numbers(text), Problem(text)).count += 1

    @property
    def count(self) -> int:
        """Number of problems of all kinds."""
        return sum(problem.count for problem in self._by_kind.values())

    def most_common(self, most: int | None = None) -> list[Problem]:
        """Return the kinds by how often they were met, at most `most`."""
        ordered = sorted(self._by_kind.values(), key=lambda problem: -problem.count)
        return ordered[:most]


class Trace:
    """What was seen of a replay; the lists grow by chunk or by tick.

    chunk_stamps; latency_ns, simulated; inference_s, in wall time: by chunk. seam_jumps_m,
    trimmed_steps, and command_age_s, the age of the observation at its first command: by followed
    chunk. ages_s: stream -> its age at every tick. limited, followed: setpoints that the limits
    changed, of all that followed a chunk. restarts: how often the clock jumped. problems: of
    messages and observations; refused: of chunks; remarks: on instructions that the policy was not
    trained on. recorded: stamp [ns], x, y, z, opening, flat.
    """

    def __init__(self, streams: Iterable[str]) -> None:
        self.start_ns = self.end_ns = 0
        self.first_chunk_ns: int | None = None
        self.chunk_stamps: list[int] = []
        self.latency_ns: list[int] = []
        self.inference_s = array('d')
        self.seam_jumps_m = array('d')
        self.trimmed_steps = array('d')
        self.command_age_s = array('d')
        self.ages_s = {stream: array('d') for stream in streams}
        self.limited = self.followed = self.restarts = 0
        self.stalls: list[Stall] = []
        self.problems, self.refused, self.remarks = Problems(), Problems(), Problems()
        self.recorded = array('d')

    def states(self) -> Float64Array:
        """Return the recorded states (n, 5): time since the start [s], x, y, z [m], opening."""
        rows = np.array(self.recorded).reshape(-1, 5)
        rows[:, 0] = (rows[:, 0] - self.start_ns) / NANOSECONDS
        return rows
