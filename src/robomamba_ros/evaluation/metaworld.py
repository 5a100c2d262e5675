"""Episodes of a policy in simulated tasks, on seeds never trained on, on several cores.

Every episode follows from its task and seed alone, whatever ran before it: that makes evaluations
resumable, and lets an episode be run again to be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from robomamba_ros.common.processes import run_jobs
from robomamba_ros.errors import ConfigError, ObservationError, SimulationError
from robomamba_ros.evaluation.perturbations import NONE, PERTURBATIONS
from robomamba_ros.evaluation.rollout import Episode, run_episode
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.catalog import all_tasks, make_simulation
from robomamba_ros.simulation.collect.demonstrations import FIRST_SEED
from robomamba_ros.simulation.simulation import Simulation
from robomamba_ros.types import UInt8Array

# Seeds of evaluation; collection uses seeds from FIRST_SEED on.
EVALUATION_SEED = 5_000
VIDEO_STEPS, VIDEO_FPS = 4, 20.0

Job = tuple[str, int]


@dataclass(frozen=True)
class EvaluationConfig:
    """What is run. Raises ConfigError where a count or a seed is out of its range."""

    # Checkpoint: a directory, or a name in models/.
    policy: str
    # Tasks by name, of one robot: Meta-World's, or fr3/pick.
    tasks: tuple[str, ...]
    # Actions to run per inference, 1 or more.
    execute_steps: int
    # Of each task, 1 or more.
    episodes: int = 20
    # Control periods that an inference takes, 0 or more; the arm moves on meanwhile.
    latency_steps: int = 0
    # Of the first episode; the others follow. Below the seeds of training data.
    first_seed: int = EVALUATION_SEED
    # Arm contract whose limits hold.
    arm: str = 'sawyer_sim'
    # What is changed, by its name in perturbations.py.
    perturbation: str = NONE
    # How the policy runs.
    load: LoadOptions = field(default_factory=LoadOptions)

    def __post_init__(self) -> None:
        if min(self.episodes, self.execute_steps) < 1 or self.latency_steps < 0:
            raise ConfigError(
                f'{self.episodes} episodes a task, {self.execute_steps} actions per inference and '
                f'a latency of {self.latency_steps} control periods: the first two must be 1 or '
                'more, the last 0 or more'
            )
        if self.first_seed < 0 or self.first_seed + self.episodes > FIRST_SEED:
            raise ConfigError(
                f'evaluation seeds begin at 0 and stay below {FIRST_SEED}, where the seeds of '
                f'training data begin; got {self.first_seed} .. {self.first_seed + self.episodes}'
            )

    @property
    def jobs(self) -> list[Job]:
        """The task and seed of every episode."""
        seeds = range(self.first_seed, self.first_seed + self.episodes)
        return [(task, seed) for task in self.tasks for seed in seeds]


@dataclass(frozen=True)
class Outcome:
    """How an episode went. mean_jerk: of the measured end effector [m/s^3]."""

    task: str
    seed: int
    success: bool
    steps: int
    mean_jerk: float

    @classmethod
    def of(cls, episode: Episode) -> Outcome:
        """Return what is kept of an episode."""
        each = episode
        return cls(each.task, each.seed, each.success, each.steps, each.mean_jerk)


def evaluate(config: EvaluationConfig, jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
    """Yield the outcome of each of `jobs` as it is there."""
    for _, _, outcome in run_jobs(partial(_rollout, config), jobs, workers):
        yield outcome


def episodes_to_film(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the first failure of every task, and the first success of every group of tasks."""
    tasks = all_tasks()
    chosen: dict[tuple[str, bool], Outcome] = {}
    for each in outcomes:
        what = tasks[each.task].group if each.success else each.task
        chosen.setdefault((what, each.success), each)
    return list(chosen.values())


def film(
    config: EvaluationConfig, outcomes: Sequence[Outcome], folder: Path, workers: int
) -> Iterator[Path]:
    """Run episodes again and write a video of each; yields them as they are there.

    Raises SimulationError where one goes otherwise than it went.
    """
    jobs = ((outcome.task, outcome) for outcome in outcomes)
    for _, _, path in run_jobs(partial(_camera, config, folder), jobs, workers):
        yield path


class _Rollout:
    """Runs episodes, with the policy loaded once, and the simulation made once for each task."""

    def __init__(self, config: EvaluationConfig) -> None:
        from robomamba_ros.policies.registry import load_chunk_policy

        self._config = config
        # Before the simulator: transformers brings triton, which must not come after Mesa's LLVM.
        self._policy = load_chunk_policy(config.policy, config.load)
        self._arm = load_arm(config.arm)
        self._sim: Simulation | None = None

    def __call__(self, task: str, seed: int) -> Outcome:
        return Outcome.of(self.run(task, seed))

    def simulate(self, task: str) -> Simulation:
        """Return the simulation, of a task."""
        if self._sim is None:
            cameras = self._policy.spec.cameras
            sizes = {camera.name: (camera.height, camera.width) for camera in cameras}
            self._sim = make_simulation(task, 0, sizes)
        elif self._sim.task != task:
            self._sim.reset(task, 0)
        return self._sim

    def run(self, task: str, seed: int, watch: Callable[[], None] | None = None) -> Episode:
        """Run an episode; see run_episode."""
        sim = self.simulate(task)
        change = PERTURBATIONS[self._config.perturbation]
        other_words = change.instruction(task, seed)
        try:
            return run_episode(
                sim,
                self._policy,
                self._arm,
                seed,
                execute_steps=self._config.execute_steps,
                latency_steps=self._config.latency_steps + change.latency_steps,
                instruction=other_words,
                view=change.prepare(sim, seed),
                watch=watch,
            )
        except ObservationError:
            # A policy that refuses its instruction leaves the arm where it is. Words that are the
            # same in every episode were looked at before.
            if other_words is None and all_tasks()[task].instruction:
                raise
            still = np.empty((0, 3))
            return Episode(task, seed, False, 0, still, still, sim.dt_ns)

    def close(self) -> None:
        """Close the simulation."""
        if self._sim is not None:
            self._sim.close()


def _rollout(config: EvaluationConfig) -> closing[_Rollout]:
    return closing(_Rollout(config))


class _Camera:
    """Runs episodes again, and writes a video of each."""

    def __init__(self, config: EvaluationConfig, folder: Path) -> None:
        self._rollout, self._folder = _Rollout(config), folder

    def __call__(self, task: str, outcome: Outcome) -> Path:
        from robomamba_ros.evaluation.video import SUFFIX, write_video

        sim = self._rollout.simulate(task)
        images: list[UInt8Array] = []

        def watch() -> None:
            if sim.steps % VIDEO_STEPS == 0:
                images.append(sim.render(sim.cameras[0]))

        again = self._rollout.run(task, outcome.seed, watch)
        if (again.success, again.steps) != (outcome.success, outcome.steps):
            raise SimulationError(
                f'{task}, seed {outcome.seed}: run again, the episode ends after {again.steps} '
                f'steps, success {again.success}; it ended after {outcome.steps}, success '
                f'{outcome.success}. Results and videos have to be made on one machine, with one '
                'version of everything: evaluate anew'
            )
        end = 'success' if outcome.success else 'failure'
        group = all_tasks()[task].group
        path = self._folder / f'{group}_{task.replace("/", "_")}_{outcome.seed}_{end}{SUFFIX}'
        # The end stays for half a second.
        write_video(path, [*images, *[sim.render(sim.cameras[0])] * int(VIDEO_FPS / 2)], VIDEO_FPS)
        return path

    def close(self) -> None:
        """Close the simulation."""
        self._rollout.close()


def _camera(config: EvaluationConfig, folder: Path) -> closing[_Camera]:
    return closing(_Camera(config, folder))
