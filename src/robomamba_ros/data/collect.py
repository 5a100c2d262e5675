"""Demonstrations from Meta-World's scripted experts, disturbed in execution.

The expert's clean action is what is recorded; what is executed is, now and then, a burst of
noise. The samples after a burst show how to recover, which clean episodes never show (DART,
Laskey et al. 2017). A chunk is valid up to the next burst: beyond it the recorded actions no
longer follow from what the image shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.data.demonstrations import DatasetMeta, sample_dtype, shard_path, write_shard
from robomamba_ros.errors import ConfigError
from robomamba_ros.simulation.metaworld import CAMERA, DT_NS, MAX_STEPS, STEP_M, MetaWorldSim
from robomamba_ros.types import ActionSpace, Float64Array
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

    tasks: tuple[str, ...]
    episodes_per_task: int = 500
    episodes_per_shard: int = 25
    clean_share: float = 0.4
    image_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.image_share <= 1.0:
            raise ConfigError(f'image_share is {self.image_share}; it is a share, 0 to 1')
        if self.episodes_per_task % self.episodes_per_shard:
            raise ConfigError(
                f'episodes_per_task ({self.episodes_per_task}) must be a multiple of '
                f'episodes_per_shard ({self.episodes_per_shard})'
            )


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
    jobs = [shard for shard in _shards(config) if not shard_path(folder, shard.name).is_file()]
    with get_context('spawn').Pool(workers) as pool:
        yield from pool.imap_unordered(_run, [(folder, config, meta, shard) for shard in jobs])


def _shards(config: CollectConfig) -> Iterator[Shard]:
    """Yield the shards task by task in turn, so that a partial data set holds every task."""
    for part in range(config.episodes_per_task // config.episodes_per_shard):
        for number, task in enumerate(config.tasks):
            first = FIRST_SEED + config.seed + part * config.episodes_per_shard
            yield Shard(f'{task}-{part:04d}', task, number, first)


def _run(job: tuple[Path, CollectConfig, DatasetMeta, Shard]) -> tuple[str, int, int]:
    folder, config, meta, shard = job
    sim = MetaWorldSim(shard.task, 0, camera_size=CROP.height)
    recorded = []
    failed = 0
    for seed in range(shard.first_seed, shard.first_seed + config.episodes_per_shard):
        samples = record_episode(sim, seed, config, meta, shard.instruction)
        if len(samples):
            recorded.append(samples)
        else:
            failed += 1
    sim.close()
    samples = np.concatenate(recorded) if recorded else np.empty(0, sample_dtype(meta))
    write_shard(folder, shard.name, samples)
    return shard.name, len(samples), failed


def record_episode(
    sim: MetaWorldSim, seed: int, config: CollectConfig, meta: DatasetMeta, instruction: int
) -> NDArray[Any]:
    """Run one disturbed expert episode; returns its samples, none where the expert failed."""
    rng = np.random.default_rng(seed)
    sim.reset(None, seed)
    noise = _plan_noise(rng, config.clean_share)
    samples: list[NDArray[Any]] = []
    clean: list[Float64Array] = []
    disturbed: list[bool] = []
    state = sim.state(0)
    last_step = MAX_STEPS
    step = 0
    while step < last_step:
        previous, state = state, sim.state(step * DT_NS)
        if step == 0 or rng.random() < config.image_share:
            sample = np.zeros((), sample_dtype(meta))
            sample['images'] = CROP(sim.render())[None]
            sample['state'] = state.vector(meta.state_names)
            sample['previous_state'] = previous.vector(meta.state_names)
            points = np.vstack([sim.object_positions.reshape(2, 3), state.pose.position[None]])
            sample['points'] = points
            sample['pixels'] = CROP.normalized(sim.project(points))
            sample['instruction'], sample['episode'], sample['step'] = instruction, seed, step
            samples.append(sample)
        action = sim.expert_action()
        clean.append(action)
        burst = noise.get(step)
        disturbed.append(burst is not None)
        sim.step_action(action if burst is None else burst)
        step += 1
        if sim.success and last_step == MAX_STEPS:
            last_step = min(step + STEPS_AFTER_SUCCESS, MAX_STEPS)
    if not sim.success:
        return np.empty(0, sample_dtype(meta))
    return _label(np.array(samples), np.array(clean), np.array(disturbed), meta.horizon)


def _plan_noise(rng: np.random.Generator, clean_share: float) -> dict[int, Float64Array]:
    """Return the disturbance by step: up to three bursts of a constant push with jitter."""
    if rng.random() < clean_share:
        return {}
    noise: dict[int, Float64Array] = {}
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(0, 90))
        push = rng.uniform(-1.0, 1.0, 3) * rng.uniform(0.3, 1.0)
        grip = rng.uniform(-1.0, 1.0)
        for step in range(start, start + int(rng.integers(4, 20))):
            noise[step] = np.array([*(push + rng.normal(0.0, 0.3, 3)), grip]).clip(-1.0, 1.0)
    return noise


def _label(
    samples: NDArray[Any], clean: Float64Array, disturbed: NDArray[np.bool_], horizon: int
) -> NDArray[Any]:
    """Fill each sample's chunk: the clean actions that follow it, valid up to the next burst.

    The action chosen at the first disturbed step still follows from clean motion, so it counts.
    """
    physical = np.empty_like(clean)
    physical[:, :3] = clean[:, :3] * STEP_M
    physical[:, 3] = 0.5 * (1.0 - clean[:, 3])
    for sample in samples:
        first = int(sample['step'])
        window = slice(first, min(first + horizon, len(clean)))
        count = window.stop - window.start
        sample['actions'][:count] = physical[window]
        broken: NDArray[np.int64] = np.cumsum(disturbed[window]) - disturbed[window]
        sample['valid'][:count] = broken == 0
    return samples
