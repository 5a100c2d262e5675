"""Demonstrations of scripted experts as a LeRobot data set of every frame, whatever the robot.

Workers simulate and render, this process writes. An episode is known by its seed, which says its
task too: that is how an interrupted collection knows what is there. Of an episode in which the
expert fails the seed is kept, in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.common.processes import Work, run_jobs
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
from robomamba_ros.types import Float32Array, UInt8Array

SEED = 'seed'
FAILED = 'meta/failed_seeds.txt'

# A task, and which part of its episodes.
Part = tuple[str, int]


@dataclass(frozen=True)
class Collected:
    """What there is of a task; failed: episodes that are left out because the expert failed."""

    task: str
    episodes: int = 0
    frames: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Demonstration:
    """Every frame of an episode.

    images: by camera (n, h, w, 3). states: (n, d_s). actions: (n, d_a). instruction: in words.
    disturbed: (n,), where noise was executed instead of the action; None for an expert that
    nothing disturbs.
    """

    images: Mapping[str, UInt8Array]
    states: Float32Array
    actions: Float32Array
    instruction: str
    disturbed: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class SetLayout:
    """What a data set holds. cameras: height and width by name [px]. disturbed: whether it says so.

    video: images as H.264, instead of PNG.
    """

    robot: str
    fps: int
    cameras: Mapping[str, tuple[int, int]]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    disturbed: bool
    video: bool

    @property
    def features(self) -> dict[str, Feature]:
        """What each frame has."""
        return {
            STATE: Feature('float32', (len(self.state_names),), self.state_names),
            ACTION: Feature('float32', (len(self.action_names),), self.action_names),
            **{
                f'{CAMERA_PREFIX}{name}': camera_feature(*size, video=self.video)
                for name, size in self.cameras.items()
            },
            SEED: Feature('int64', (1,)),
            **({DISTURBED: Feature('bool', (1,))} if self.disturbed else {}),
        }


class Collection:
    """A data set in the making, new or continued; use it with `with`.

    seeds: of the episodes of each task. part: how many episodes of a task come before those of the
    next. make: gives what runs an episode, see run_jobs. Raises DataError where the folder holds
    something else, or a set that was collected otherwise.
    """

    def __init__(
        self,
        folder: Path,
        layout: SetLayout,
        seeds: Mapping[str, Sequence[int]],
        part: int,
        make: Callable[[], Work[Part, int, Demonstration | None]],
    ) -> None:
        self._layout, self._seeds, self._part, self._make = layout, seeds, part, make
        self._writer = LeRobotWriter(
            folder, fps=layout.fps, features=layout.features, robot_type=layout.robot
        )
        self._lengths: dict[int, int] = {}
        self._failed_file = folder / FAILED
        if self._writer.episodes:
            dataset = LeRobotDataset(folder)
            known = dataset.values(SEED)
            self._lengths = {int(known[each.first]): each.length for each in dataset.episodes}
        failed = self._failed_file.read_text() if self._failed_file.is_file() else ''
        self._failed = {int(seed) for seed in failed.split()}

    @property
    def missing(self) -> list[tuple[Part, int]]:
        """The part and seed of every episode that is to be run, part by part of every task."""
        most = max(map(len, self._seeds.values()))
        return [
            ((task, number), seed)
            for number in range(-(-most // self._part))
            for task, seeds in self._seeds.items()
            for seed in seeds[number * self._part : (number + 1) * self._part]
            if seed not in self._lengths and seed not in self._failed
        ]

    @property
    def present(self) -> int:
        """How many episodes were run before, failed ones too."""
        return sum(map(len, self._seeds.values())) - len(self.missing)

    def run(self, workers: int) -> Iterator[int]:
        """Add what is missing; yields the frames of each episode, 0 where the expert failed."""
        for _, seed, demonstration in run_jobs(self._make, self.missing, workers):
            if demonstration is None:
                self._failed.add(seed)
                with self._failed_file.open('a') as file:
                    file.write(f'{seed}\n')
                yield 0
                continue
            self._write(demonstration, seed)
            self._lengths[seed] = len(demonstration.states)
            yield self._lengths[seed]

    def summarize(self) -> list[Collected]:
        """Return what there is of each task."""
        found = []
        for task, seeds in self._seeds.items():
            lengths = [self._lengths[seed] for seed in seeds if seed in self._lengths]
            failed = sum(seed in self._failed for seed in seeds)
            found.append(Collected(task, len(lengths), sum(lengths), failed))
        return found

    def _write(self, episode: Demonstration, seed: int) -> None:
        for number, state in enumerate(episode.states):
            frame = {
                STATE: state,
                ACTION: episode.actions[number],
                **{
                    f'{CAMERA_PREFIX}{name}': images[number]
                    for name, images in episode.images.items()
                },
                SEED: np.array([seed]),
            }
            if episode.disturbed is not None and self._layout.disturbed:
                frame[DISTURBED] = episode.disturbed[number : number + 1]
            self._writer.add_frame(frame, episode.instruction)
        self._writer.save_episode()

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)
