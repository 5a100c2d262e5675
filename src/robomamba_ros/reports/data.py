"""What a run was and did, as data."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from robomamba_ros.common.machine import read_processor
from robomamba_ros.errors import DataError
from robomamba_ros.evaluation.statistics import SuccessRate, rates_by_name
from robomamba_ros.types import Float64Array, UInt8Array

REPORTED_PACKAGES = ('robomamba_ros', 'numpy', 'torch', 'numba', 'mujoco', 'metaworld', 'ros-rclpy')


@dataclass(frozen=True)
class Machine:
    """The computer a run was measured on; versions by package name."""

    cpu: str
    cores: int
    system: str
    versions: Mapping[str, str]


def this_machine() -> Machine:
    """Return the computer this runs on: cores are those this process may use."""
    versions = {'python': platform.python_version()}
    for name in REPORTED_PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    cpu = read_processor().name
    return Machine(
        cpu, len(os.sched_getaffinity(0)), f'{platform.system()} {platform.machine()}', versions
    )


@dataclass(frozen=True)
class EpisodeReport:
    """One episode.

    images: (label, RGB (h, w, 3) uint8) of a filmstrip, in order; video: a file that browsers play.
    time: (T,) [s] from the start of the episode. commanded, measured: (T, 3) end-effector position
    [m], base frame. gripper: (T,) commanded opening 0..1. chunk_times: (C,) [s], when each chunk
    took over. Raises DataError where the lengths differ.
    """

    task: str
    instruction: str
    seed: int
    success: bool
    steps: int
    sim_seconds: float
    images: tuple[tuple[str, UInt8Array], ...] = ()
    video: Path | None = None
    time: Float64Array = field(default_factory=lambda: np.zeros(0))
    commanded: Float64Array = field(default_factory=lambda: np.zeros((0, 3)))
    measured: Float64Array = field(default_factory=lambda: np.zeros((0, 3)))
    gripper: Float64Array = field(default_factory=lambda: np.zeros(0))
    chunk_times: Float64Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        count = len(self.time)
        for name, values, shape in (
            ('commanded', self.commanded, (count, 3)),
            ('measured', self.measured, (count, 3)),
            ('gripper', self.gripper, (count,)),
        ):
            if values.shape != shape:
                raise DataError(
                    f"episode '{self.task}' seed {self.seed}: {name} has shape {values.shape}, "
                    f'{count} times need {shape}'
                )


@dataclass(frozen=True)
class RunReport:
    """A run: what ran where, its episodes, and its latencies.

    created: ISO 8601. parameters: name -> value as text. inference_ms: (n,) duration of one
    inference; observation_to_command_ms: (m,) age of the observation when its first command left.
    start_s: name -> how long each stage of the start took, up to the first motion, in order [s].
    """

    title: str
    machine: Machine
    command: str
    created: str
    policy: str
    parameters: Mapping[str, str]
    episodes: tuple[EpisodeReport, ...]
    inference_ms: Float64Array = field(default_factory=lambda: np.zeros(0))
    observation_to_command_ms: Float64Array = field(default_factory=lambda: np.zeros(0))
    start_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def start(self) -> str:
        """How long the start took, and what took it; empty where that was not measured."""
        if not self.start_s:
            return ''
        stages = ', '.join(f'{name} {took_s:.1f} s' for name, took_s in self.start_s.items())
        return f'{sum(self.start_s.values()):.1f} s ({stages})'

    @property
    def total(self) -> SuccessRate:
        """Success over all episodes."""
        return SuccessRate(sum(e.success for e in self.episodes), len(self.episodes))

    @property
    def by_task(self) -> dict[str, SuccessRate]:
        """Success by task, in the order of the run."""
        return rates_by_name((e.task, e.success) for e in self.episodes)

    @property
    def latencies(self) -> dict[str, Float64Array]:
        """The latencies that were measured, by name [ms]."""
        both = {
            'inference': self.inference_ms,
            'observation_to_command': self.observation_to_command_ms,
        }
        return {name: samples for name, samples in both.items() if len(samples)}
