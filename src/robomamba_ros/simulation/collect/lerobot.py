"""Demonstrations from Meta-World's scripted experts, as a LeRobot data set of every frame.

Workers simulate and render, this process writes. An episode is known by its seed, which says its
task too: that is how an interrupted collection knows what is there. Of an episode in which the
expert fails the seed is kept, in a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.common.processes import run_jobs
from robomamba_ros.datasets.disturbance import plan_noise
from robomamba_ros.datasets.lerobot.layout import (
    ACTION,
    CAMERA_PREFIX,
    DISTURBED,
    STATE,
    Feature,
    camera_feature,
)
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.datasets.lerobot.writer import LeRobotWriter
from robomamba_ros.simulation.collect.demonstrations import (
    ACTION_NAMES,
    CROP,
    FIRST_SEED,
    STATE_NAMES,
    CollectConfig,
    Collected,
    demonstrate,
)
from robomamba_ros.simulation.metaworld import CAMERA, DT_NS, MetaWorldSim
from robomamba_ros.simulation.tasks import known_tasks
from robomamba_ros.types import NANOSECONDS, Float32Array, UInt8Array

FPS = NANOSECONDS // DT_NS
SEED = 'seed'
FAILED = 'meta/failed_seeds.txt'

# A task, and which part of its episodes.
Part = tuple[str, int]


@dataclass(frozen=True)
class Demonstration:
    """Every step of an episode.

    images: (n, h, w, 3). states: (n, 4), of STATE_NAMES. actions: (n, 4), of ACTION_NAMES.
    disturbed: (n,), where noise was executed instead of the action.
    """

    images: UInt8Array
    states: Float32Array
    actions: Float32Array
    disturbed: NDArray[np.bool_]


class LeRobotCollection:
    """A data set in the making, new or continued; use it with `with`.

    video: images as H.264, instead of PNG. Raises DataError where the folder holds something else,
    or a set that was collected otherwise.
    """

    def __init__(self, folder: Path, config: CollectConfig, *, video: bool) -> None:
        self._config = config
        self._disturbed = config.clean_share < 1.0
        features = {
            STATE: Feature('float32', (len(STATE_NAMES),), STATE_NAMES),
            ACTION: Feature('float32', (len(ACTION_NAMES),), ACTION_NAMES),
            f'{CAMERA_PREFIX}{CAMERA}': camera_feature(CROP.height, CROP.width, video=video),
            SEED: Feature('int64', (1,)),
            **({DISTURBED: Feature('bool', (1,))} if self._disturbed else {}),
        }
        self._writer = LeRobotWriter(folder, fps=FPS, features=features, robot_type='sawyer')
        self._lengths: dict[int, int] = {}
        self._failed_file = folder / FAILED
        if self._writer.episodes:
            dataset = LeRobotDataset(folder)
            seeds = dataset.values(SEED)
            self._lengths = {int(seeds[each.first]): each.length for each in dataset.episodes}
        known = self._failed_file.read_text() if self._failed_file.is_file() else ''
        self._failed = {int(seed) for seed in known.split()}

    @property
    def missing(self) -> list[tuple[Part, int]]:
        """The part and seed of every episode that is to be run, part by part of every task."""
        size = self._config.episodes_per_shard
        return [
            ((task, number), seed)
            for number in range(self._config.episodes_per_task // size)
            for task in self._config.tasks
            for seed in episode_seeds(task, self._config)[number * size : (number + 1) * size]
            if seed not in self._lengths and seed not in self._failed
        ]

    def run(self, workers: int) -> Iterator[int]:
        """Add what is missing; yields the frames of each episode, 0 where the expert failed."""
        instructions = {task.name: task.instruction for task in known_tasks().values()}
        make = partial(_expert, self._config)
        for (task, _), seed, demonstration in run_jobs(make, self.missing, workers):
            if demonstration is None:
                self._failed.add(seed)
                with self._failed_file.open('a') as file:
                    file.write(f'{seed}\n')
                yield 0
                continue
            self._write(demonstration, seed, instructions[task])
            self._lengths[seed] = len(demonstration.states)
            yield self._lengths[seed]

    def summarize(self) -> list[Collected]:
        """Return what there is of each task."""
        found = []
        for task in self._config.tasks:
            seeds = episode_seeds(task, self._config)
            lengths = [self._lengths[seed] for seed in seeds if seed in self._lengths]
            failed = sum(seed in self._failed for seed in seeds)
            found.append(Collected(task, len(lengths), sum(lengths), failed))
        return found

    def _write(self, episode: Demonstration, seed: int, instruction: str) -> None:
        for number, image in enumerate(episode.images):
            frame = {
                STATE: episode.states[number],
                ACTION: episode.actions[number],
                f'{CAMERA_PREFIX}{CAMERA}': image,
                SEED: np.array([seed]),
            }
            if self._disturbed:
                frame[DISTURBED] = episode.disturbed[number : number + 1]
            self._writer.add_frame(frame, instruction)
        self._writer.save_episode()

    def __enter__(self) -> LeRobotCollection:
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)


def episode_seeds(task: str, config: CollectConfig) -> range:
    """Return the seeds of a task's episodes: FIRST_SEED for each task of the benchmark."""
    first = FIRST_SEED * (1 + list(known_tasks()).index(task)) + config.seed
    return range(first, first + config.episodes_per_task)


class _Expert:
    """Demonstrates, with the simulation made once for each task."""

    def __init__(self, config: CollectConfig) -> None:
        self._clean_share = config.clean_share
        self._sim: MetaWorldSim | None = None

    def __call__(self, part: Part, seed: int) -> Demonstration | None:
        task, _ = part
        if self._sim is None:
            self._sim = MetaWorldSim(task, seed, camera_size=CROP.height)
        elif self._sim.task != task:
            self._sim.reset(task, seed)
        return demonstration(self._sim, seed, self._clean_share)

    def close(self) -> None:
        """Close the simulation."""
        if self._sim is not None:
            self._sim.close()


def _expert(config: CollectConfig) -> closing[_Expert]:
    return closing(_Expert(config))


def demonstration(sim: MetaWorldSim, seed: int, clean_share: float) -> Demonstration | None:
    """Run one disturbed expert episode; returns all of it, None where the expert failed."""
    noise = plan_noise(np.random.default_rng(seed), clean_share)
    # Rendering takes over ten times as long as simulating, and failures have the most steps.
    for _ in demonstrate(sim, seed, noise):
        pass
    if not sim.success:
        return None
    images, states, actions, disturbed = [], [], [], []
    for step in demonstrate(sim, seed, noise):
        images.append(sim.render())
        states.append(step.state.vector(STATE_NAMES))
        actions.append(step.action)
        disturbed.append(step.disturbed)
    return Demonstration(
        np.array(images),
        np.array(states, dtype=np.float32),
        np.array(actions, dtype=np.float32),
        np.array(disturbed),
    )
