"""Demonstrations from Meta-World's scripted experts, as a LeRobot data set of every frame."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from robomamba_ros.datasets.disturbance import plan_noise
from robomamba_ros.simulation.collect.collection import (
    FAILED,
    Collection,
    Demonstration,
    Part,
    SetLayout,
)
from robomamba_ros.simulation.collect.demonstrations import (
    ACTION_NAMES,
    CROP,
    FIRST_SEED,
    STATE_NAMES,
    CollectConfig,
    demonstrate,
)
from robomamba_ros.simulation.metaworld import CAMERA, DT_NS, MetaWorldSim
from robomamba_ros.simulation.tasks import known_tasks
from robomamba_ros.types import NANOSECONDS

__all__ = ['FAILED', 'FPS', 'LeRobotCollection', 'demonstration', 'episode_seeds']

FPS = NANOSECONDS // DT_NS


class LeRobotCollection(Collection):
    """A data set of the configuration's episodes in the making; video: images as H.264."""

    def __init__(self, folder: Path, config: CollectConfig, *, video: bool) -> None:
        layout = SetLayout(
            robot='sawyer',
            fps=FPS,
            cameras={CAMERA: (CROP.height, CROP.width)},
            state_names=STATE_NAMES,
            action_names=ACTION_NAMES,
            disturbed=config.clean_share < 1.0,
            video=video,
        )
        seeds = {task: episode_seeds(task, config) for task in config.tasks}
        make = partial(_expert, config)
        super().__init__(folder, layout, seeds, config.episodes_per_shard, make)


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
        {CAMERA: np.array(images)},
        np.array(states, dtype=np.float32),
        np.array(actions, dtype=np.float32),
        sim.instruction,
        np.array(disturbed),
    )
