"""Demonstrations of the experts of robots at a table: episodes like those of a policy, recorded.

They go through the same controls as a policy later, so they are collected where policies are
evaluated.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.simulation.collect.collection import (
    Collection,
    Demonstration,
    Part,
    SetLayout,
)
from robomamba_ros.simulation.collect.demonstrations import FIRST_SEED
from robomamba_ros.simulation.robots.expert import DT_NS
from robomamba_ros.simulation.robots.roster import robot_with
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.simulation.robots.tasks import TASKS
from robomamba_ros.simulation.robots.whole_body import expert_for
from robomamba_ros.types import (
    NANOSECONDS,
    ActionChunk,
    Float32Array,
    Observation,
    UInt8Array,
)

FPS = NANOSECONDS // DT_NS
IMAGE_SIZE = (128, 128)


@dataclass(frozen=True)
class ExpertConfig:
    """What is collected: tasks of one robot by name, episodes of each.

    part: how many of a task come before those of the next one.
    """

    tasks: tuple[str, ...]
    episodes: int = 50
    part: int = 10


def expert_collection(folder: Path, config: ExpertConfig, *, video: bool) -> Collection:
    """Return a data set of the configuration's episodes in the making; video: images as H.264."""
    robot = robot_with(config.tasks[0])
    layout = SetLayout(
        robot=robot.model,
        fps=FPS,
        cameras=dict.fromkeys(robot.cameras, IMAGE_SIZE),
        state_names=robot.state_names,
        action_names=robot.action_names,
        disturbed=False,
        video=video,
    )
    seeds = {task: episode_seeds(task, config.episodes) for task in config.tasks}
    return Collection(folder, layout, seeds, config.part, _demonstrator)


def episode_seeds(task: str, episodes: int) -> range:
    """Return the seeds of a task's episodes; those of evaluation lie below."""
    first = FIRST_SEED * (1 + list(TASKS).index(task))
    return range(first, first + episodes)


class RecordedExpert:
    """An expert that keeps what a policy would have seen, and what it did, inference by inference.

    images: of each camera. states, actions: of the names that the robot has for them.
    """

    def __init__(self, sim: TableSim) -> None:
        self._sim, self._expert = sim, expert_for(sim)
        self.reset()

    @property
    def spec(self) -> PolicySpec:
        """What the expert gives."""
        return self._expert.spec

    def reset(self) -> None:
        """Forget the episode, and plan the one that the simulation is at."""
        self.images: dict[str, list[UInt8Array]] = {camera: [] for camera in self._sim.cameras}
        self.states: list[Float32Array] = []
        self.actions: list[Float32Array] = []
        self._expert.reset()

    def infer(self, observation: Observation) -> ActionChunk:
        """Return what the expert does."""
        chunk = self._expert.infer(observation)
        for camera, images in self.images.items():
            images.append(self._sim.render(camera))
        self.states.append(observation.state)
        self.actions.append(chunk.actions[0])
        return chunk


class _Demonstrator:
    """Demonstrates, with one simulation."""

    def __init__(self) -> None:
        self._sim: TableSim | None = None

    def __call__(self, part: Part, seed: int) -> Demonstration | None:
        task, _ = part
        if self._sim is None:
            self._sim = TableSim(task, seed, camera_size=IMAGE_SIZE)
        sim = self._sim
        sim.reset(task, seed)
        expert = RecordedExpert(sim)
        episode = run_episode(sim, expert, sim.arm, seed, execute_steps=1)
        if not episode.success:
            return None
        return Demonstration(
            {camera: np.array(images) for camera, images in expert.images.items()},
            np.array(expert.states),
            np.array(expert.actions),
            sim.instruction,
        )

    def close(self) -> None:
        """Close the simulation."""
        if self._sim is not None:
            self._sim.close()


def _demonstrator() -> closing[_Demonstrator]:
    return closing(_Demonstrator())
