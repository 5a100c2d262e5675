"""Corrections of a policy: it drives, and where it strays the expert does the rest.

Only what the expert does is recorded, so that a data set of demonstrations grows by what the policy
does not know yet (DAgger, Ross et al. 2011, with the expert in control as in HG-DAgger, Kelly et
al. 2019).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.common.processes import run_jobs
from robomamba_ros.datasets.demonstrations import DatasetMeta, sample_dtype, shard_path, write_shard
from robomamba_ros.errors import ConfigError, DataError
from robomamba_ros.evaluation.results import checkpoint_digest
from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.registry import describe_policy, load_chunk_policy
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.collect.demonstrations import (
    CROP,
    FIRST_SEED,
    CollectConfig,
    go_on,
    metadata,
    record_steps,
)
from robomamba_ros.simulation.metaworld import CAMERA, STEP_M, MetaWorldSim
from robomamba_ros.simulation.tasks import known_tasks
from robomamba_ros.types import Float64Array

# A policy has strayed when over STRAY_PERIODS control periods in a row its motion of the last
# WINDOW periods differs by more than STRAY_SHARE from what the expert wanted. Where a policy fails
# it goes on like that for hundreds of them; the expert has to come before things are out of reach.
WINDOW = 20
STRAY_PERIODS = 20
STRAY_SHARE = 0.5
# The least motion that the share is of [m]; both at rest are of one mind.
LEAST_M = 0.02


@dataclass(frozen=True)
class CorrectionConfig:
    """What is corrected. Raises ConfigError where a count or a share is out of its range."""

    # A directory.
    checkpoint: str
    # Of Meta-World, by name.
    tasks: tuple[str, ...]
    # Episodes of each task that the policy begins.
    episodes: int = 10
    # Which frames of the corrections are kept, as CollectConfig says: all.
    image_share: float = 1.0
    image_every: int = 0
    # How the policy runs.
    load: LoadOptions = field(default_factory=LoadOptions)

    def __post_init__(self) -> None:
        if not 1 <= self.episodes <= FIRST_SEED // 4:
            raise ConfigError(f'{self.episodes} episodes a task; give 1 to {FIRST_SEED // 4}')
        self.frames(self.tasks[0])
        for camera in describe_policy(self.checkpoint).spec.cameras:
            if camera.name == CAMERA and (camera.height, camera.width) != (CROP.height, CROP.width):
                raise ConfigError(
                    f'{self.checkpoint} sees {camera.width} x {camera.height} px of {CAMERA}, '
                    f'demonstrations {CROP.width} x {CROP.height}; train one on those'
                )

    def frames(self, task: str) -> CollectConfig:
        """Return the episodes of a task, and which of its frames are kept.

        Their seeds follow from the checkpoint: each round has its own, and one that was
        interrupted goes on with the same. Demonstrations have those of the lower half.
        """
        half = FIRST_SEED // 2
        digest = int(checkpoint_digest(Path(self.checkpoint))[:8], 16)
        return CollectConfig(
            (task,),
            self.episodes,
            self.episodes,
            image_share=self.image_share,
            image_every=self.image_every,
            seed=half + digest % (half - self.episodes),
        )

    def shard(self, task: str) -> str:
        """Return the name of what is added to a task."""
        return f'{task}-corrected-{checkpoint_digest(Path(self.checkpoint))[:8]}'


@dataclass(frozen=True)
class Corrected:
    """What was added to a task: episodes in which the expert took over, and their samples.

    failed: episodes that are left out because the expert could not do the rest either.
    """

    task: str
    episodes: int
    samples: int
    failed: int


class Straying:
    """Whether a policy has gone elsewhere than the expert would; asked in every control period."""

    def __init__(self, sim: MetaWorldSim) -> None:
        self._sim = sim
        # Where the policy led the hand less where the expert wanted it, and the expert's way.
        self._apart: deque[Float64Array] = deque(maxlen=WINDOW + 1)
        self._wanted: deque[Float64Array] = deque([np.zeros(3)], maxlen=WINDOW + 1)
        self._periods = 0

    def __call__(self) -> bool:
        """Return whether it has strayed by now."""
        sim = self._sim
        self._apart.append(sim.target_position - self._wanted[-1])
        self._wanted.append(self._wanted[-1] + sim.expert_action()[:3] * STEP_M)
        if len(self._apart) <= WINDOW:
            return False
        apart = np.linalg.norm(self._apart[-1] - self._apart[0])
        wanted = float(np.linalg.norm(self._wanted[-2] - self._wanted[0]))
        strays = bool(apart > STRAY_SHARE * max(wanted, LEAST_M))
        self._periods = self._periods + 1 if strays else 0
        return self._periods >= STRAY_PERIODS


def correct(folder: Path, config: CorrectionConfig, workers: int) -> Iterator[Corrected]:
    """Add corrections to the store in `folder`; yields what was added, task by task.

    A task that this checkpoint was corrected in already is left alone, so that an interrupted run
    is continued by the same call. Raises DataError where `folder` is no store of these tasks.
    """
    meta = DatasetMeta.load(folder)
    if meta != metadata(meta.instructions):
        raise DataError(f"{folder} is no store of Meta-World's tasks; robomamba collect makes one")
    known = known_tasks()
    strange = [task for task in config.tasks if known[task].instruction not in meta.instructions]
    if strange:
        raise DataError(
            f'{folder} has no demonstrations of {", ".join(strange)}; corrections are added to '
            'what a policy was trained on: give its data set, or other --tasks'
        )
    jobs = [(task, folder) for task in missing_tasks(folder, config)]
    for _, _, corrected in run_jobs(partial(_corrector, config, meta), jobs, workers):
        yield corrected


def missing_tasks(folder: Path, config: CorrectionConfig) -> list[str]:
    """Return the tasks to which corrections of this checkpoint have not been added yet."""
    return [task for task in config.tasks if not shard_path(folder, config.shard(task)).is_file()]


class _Corrector:
    """Corrects a policy, loaded once, task by task."""

    def __init__(self, config: CorrectionConfig, meta: DatasetMeta) -> None:
        self._config, self._meta = config, meta
        # Before the simulator: transformers brings triton, which must not come after Mesa's LLVM.
        self._policy = load_chunk_policy(config.checkpoint, config.load)
        self._arm = load_arm('sawyer_sim')

    def __call__(self, task: str, folder: Path) -> Corrected:
        frames = self._config.frames(task)
        first = FIRST_SEED + frames.seed
        none = np.empty(0, sample_dtype(self._meta))
        parts: list[NDArray[Any]] = []
        with closing(MetaWorldSim(task, 0, camera_size=CROP.height)) as sim:
            for seed in range(first, first + frames.episodes_per_task):
                if self._strays(sim, seed):
                    parts.append(self._rest(sim, frames))
        samples = np.concatenate([none, *parts])
        write_shard(folder, self._config.shard(task), samples)
        corrected = sum(len(part) > 0 for part in parts)
        return Corrected(task, corrected, len(samples), len(parts) - corrected)

    def _strays(self, sim: MetaWorldSim, seed: int) -> bool:
        """Let the policy do an episode; returns whether it strays, and stays there."""
        straying = Straying(sim)
        steps = self._policy.spec.execute_steps
        run_episode(sim, self._policy, self._arm, seed, execute_steps=steps, ends=straying)
        return not sim.done

    def _rest(self, sim: MetaWorldSim, frames: CollectConfig) -> NDArray[Any]:
        """Let the expert do the rest; returns its samples, none where it fails."""
        rng = np.random.default_rng(sim.seed)
        taken_over = sim.steps
        instruction = self._meta.instructions.index(sim.instruction)

        def keeps(step: int) -> bool:
            # How the hand moved is known from the second step on.
            return step > taken_over and frames.keeps(step, rng)

        return record_steps(sim, go_on(sim, {}), keeps, self._meta, instruction)

    def close(self) -> None:
        """Nothing is held between tasks."""


def _corrector(config: CorrectionConfig, meta: DatasetMeta) -> closing[_Corrector]:
    return closing(_Corrector(config, meta))
