"""Demonstrations from Meta-World's scripted experts, as a store of samples.

The experts are disturbed in execution (disturbance.py); a chunk is valid up to the next burst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.common.processes import run_jobs
from robomamba_ros.datasets.demonstrations import DatasetMeta, sample_dtype, shard_path, write_shard
from robomamba_ros.datasets.disturbance import plan_noise, valid_actions
from robomamba_ros.errors import ConfigError
from robomamba_ros.simulation.collect.collection import Collected
from robomamba_ros.simulation.metaworld import CAMERA, DT_NS, MAX_STEPS, STEP_M, MetaWorldSim
from robomamba_ros.types import ActionSpace, Float64Array, RobotState
from robomamba_ros.vision.preprocess import CropResize

STATE_NAMES = ('ee_x', 'ee_y', 'ee_z', 'gripper')
ACTION_NAMES = ('ee_dx', 'ee_dy', 'ee_dz', 'gripper')
CROP = CropResize(source=224, left=48, top=32, side=160, target=96)
HORIZON = 50
# Evaluation uses seeds below this number, collection only seeds from it on.
FIRST_SEED = 1_000_000
# After success the expert goes on for a while, so that the last chunks have a valid beginning.
STEPS_AFTER_SUCCESS = 25


@dataclass(frozen=True)
class CollectConfig:
    """How much to collect and how much to disturb."""

    # Tasks of Meta-World by name.
    tasks: tuple[str, ...]
    # Episodes of each task, a multiple of those in a shard.
    episodes_per_task: int = 500
    # Episodes in one file of the store.
    episodes_per_shard: int = 25
    # Share of the episodes without bursts of noise, 0 .. 1.
    clean_share: float = 0.4
    # Share of the samples that are kept, drawn at random, 0 .. 1.
    image_share: float = 0.2
    # n: every n-th frame is kept instead, from the first on, which is what a policy sees that
    # infers every n control periods; 0: as image_share says.
    image_every: int = 0
    # Offset of the seeds, which begin at FIRST_SEED.
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.image_share <= 1.0:
            raise ConfigError(f'image_share is {self.image_share}; it is a share, 0 to 1')
        if self.image_every < 0:
            raise ConfigError(f'image_every is {self.image_every}; give 1 or more, or 0')
        if self.episodes_per_task % self.episodes_per_shard:
            raise ConfigError(
                f'episodes_per_task ({self.episodes_per_task}) must be a multiple of '
                f'episodes_per_shard ({self.episodes_per_shard})'
            )
        if self.seed < 0 or self.seed + self.episodes_per_task > FIRST_SEED:
            raise ConfigError(
                f'seed {self.seed} and {self.episodes_per_task} episodes a task: the seeds 0 to '
                f'{FIRST_SEED - 1} can be given'
            )

    def keeps(self, step: int, rng: np.random.Generator) -> bool:
        """Return whether the frame of a step is kept; the first always is."""
        if self.image_every:
            return step % self.image_every == 0
        return step == 0 or rng.random() < self.image_share


@dataclass(frozen=True)
class Step:
    """A step of an expert: what it measures before, and its clean action.

    action: (4,), physical: displacement in base axes [m], opening 0..1. disturbed: whether noise
    is executed instead.
    """

    number: int
    state: RobotState
    action: Float64Array
    disturbed: bool


@dataclass(frozen=True)
class Shard:
    """A unit of work: some episodes of one task."""

    name: str
    task: str
    instruction: int
    first_seed: int


def metadata(instructions: tuple[str, ...]) -> DatasetMeta:
    """Return the description of a Meta-World data set."""
    return DatasetMeta(
        cameras=(CAMERA,),
        crops=(CROP,),
        state_names=STATE_NAMES,
        action_space=ActionSpace.EE_DELTA.value,
        action_names=ACTION_NAMES,
        horizon=HORIZON,
        dt_ns=DT_NS,
        instructions=instructions,
    )


def collect(
    folder: Path, config: CollectConfig, instructions: dict[str, str], workers: int
) -> Iterator[tuple[str, int, int]]:
    """Fill `folder`; yields (shard name, samples, failed episodes) as shards are finished.

    Shards that are already there are left alone, so an interrupted run is continued by the same
    call. Failed episodes of the expert are not recorded.
    """
    meta = metadata(tuple(instructions[task] for task in config.tasks))
    meta.save(folder)
    # Each a group of its own, so that they are taken in their order.
    jobs = [(shard, folder) for shard in missing_shards(folder, config)]
    for shard, _, (samples, failed) in run_jobs(partial(_collector, config, meta), jobs, workers):
        yield shard.name, samples, failed


def missing_shards(folder: Path, config: CollectConfig) -> list[Shard]:
    """Return the shards that are not there yet."""
    return [each for each in _shards(config) if not shard_path(folder, each.name).is_file()]


def summarize(folder: Path, config: CollectConfig) -> list[Collected]:
    """Return what the shards that are there hold of each task."""
    found = {task: Collected(task) for task in config.tasks}
    missing = set(missing_shards(folder, config))
    for shard in _shards(config):
        if shard in missing:
            continue
        samples = np.load(shard_path(folder, shard.name), mmap_mode='r')
        episodes = len(np.unique(samples['episode']))
        before = found[shard.task]
        found[shard.task] = Collected(
            shard.task,
            before.episodes + episodes,
            before.frames + len(samples),
            before.failed + config.episodes_per_shard - episodes,
        )
    return list(found.values())


def _shards(config: CollectConfig) -> Iterator[Shard]:
    """Yield the shards task by task in turn, so that a partial data set holds every task."""
    for part in range(config.episodes_per_task // config.episodes_per_shard):
        for number, task in enumerate(config.tasks):
            first = FIRST_SEED + config.seed + part * config.episodes_per_shard
            yield Shard(f'{task}-{part:04d}', task, number, first)


def _collector(
    config: CollectConfig, meta: DatasetMeta
) -> nullcontext[Callable[[Shard, Path], tuple[int, int]]]:
    return nullcontext(partial(_collect_shard, config, meta))


def _collect_shard(
    config: CollectConfig, meta: DatasetMeta, shard: Shard, folder: Path
) -> tuple[int, int]:
    """Make a shard; returns its samples and the failures of the expert."""
    seeds = range(shard.first_seed, shard.first_seed + config.episodes_per_shard)
    with closing(MetaWorldSim(shard.task, 0, camera_size=CROP.height)) as sim:
        episodes = [record_episode(sim, seed, config, meta, shard.instruction) for seed in seeds]
    samples = np.concatenate(episodes)
    write_shard(folder, shard.name, samples)
    return len(samples), sum(len(each) == 0 for each in episodes)


def demonstrate(sim: MetaWorldSim, seed: int, noise: dict[int, Float64Array]) -> Iterator[Step]:
    """Run an episode of the simulation's task from a seed, disturbed by `noise` (plan_noise).

    The simulation stands at a step, and can be rendered, until the next one is taken. When they
    end, `sim.success` says whether the expert did the task.
    """
    sim.reset(None, seed)
    yield from go_on(sim, noise)


def go_on(sim: MetaWorldSim, noise: dict[int, Float64Array]) -> Iterator[Step]:
    """Let the expert do the rest of an episode that the simulation is in; see demonstrate."""
    last_step = MAX_STEPS
    while sim.steps < last_step:
        clean = sim.expert_action()
        # What would disturb a rest that the task asks for comes after it.
        moment = sim.steps - sim.rest_steps
        executed = noise.get(moment, clean)
        action = np.array([*(clean[:3] * STEP_M), 0.5 * (1.0 - clean[3])])
        state = sim.state(sim.steps * DT_NS)
        yield Step(sim.steps, state, action, moment in noise)
        sim.step_action(executed)
        if sim.success and last_step == MAX_STEPS:
            last_step = min(sim.steps + STEPS_AFTER_SUCCESS, MAX_STEPS)


def record_episode(
    sim: MetaWorldSim, seed: int, config: CollectConfig, meta: DatasetMeta, instruction: int
) -> NDArray[Any]:
    """Run one disturbed expert episode; returns its samples, none where the expert failed."""
    rng = np.random.default_rng(seed)
    steps = demonstrate(sim, seed, plan_noise(rng, config.clean_share))
    return record_steps(sim, steps, lambda number: config.keeps(number, rng), meta, instruction)


def record_steps(
    sim: MetaWorldSim,
    demonstrated: Iterator[Step],
    keeps: Callable[[int], bool],
    meta: DatasetMeta,
    instruction: int,
) -> NDArray[Any]:
    """Return the samples of an expert's steps, none where it failed; keeps: by their numbers."""
    samples: list[NDArray[Any]] = []
    steps: list[Step] = []
    for step in demonstrated:
        steps.append(step)
        if not keeps(step.number):
            continue
        sample = np.zeros((), sample_dtype(meta))
        sample['images'] = CROP(sim.render())[None]
        sample['state'] = step.state.vector(meta.state_names)
        sample['previous_state'] = steps[-2:][0].state.vector(meta.state_names)
        points = np.vstack([sim.object_positions.reshape(2, 3), step.state.pose.position[None]])
        sample['points'] = points
        sample['pixels'] = CROP.normalized(sim.project(points))
        if not sim.goal_is_shown:
            sample['points'][1] = sample['pixels'][1] = np.nan
        sample['instruction'], sample['episode'] = instruction, sim.seed
        sample['step'] = step.number
        samples.append(sample)
    if not sim.success:
        return np.empty(0, sample_dtype(meta))
    return _label(np.array(samples), steps, meta.horizon)


def _label(samples: NDArray[Any], steps: list[Step], horizon: int) -> NDArray[Any]:
    """Fill each sample's chunk: the clean actions that follow it, as far as they are valid."""
    actions = np.array([step.action for step in steps])
    disturbed = np.array([step.disturbed for step in steps])
    for sample in samples:
        first = int(sample['step']) - steps[0].number
        window = slice(first, min(first + horizon, len(steps)))
        count = window.stop - window.start
        sample['actions'][:count] = actions[window]
        sample['valid'][:count] = valid_actions(disturbed[window])
    return samples
