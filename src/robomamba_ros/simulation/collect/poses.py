"""Pose data from simulated scenes: images, contacts, directions, and questions with true answers.

A shard is some scenes of one task. It counts when its poses are written, which is done last, so an
interrupted collection goes on with the shards that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from robomamba_ros.common.processes import run_jobs
from robomamba_ros.datasets.conversations import Conversation, Turn, conversations_document
from robomamba_ros.datasets.poses import (
    CONVERSATIONS,
    DEPTH,
    IMAGES,
    POSES,
    Camera,
    PoseSample,
    write_depth,
    write_image,
    write_samples,
    write_whole,
)
from robomamba_ros.errors import ConfigError
from robomamba_ros.simulation.handles import HANDLES, Handle, HandleSim, Scene

# Evaluation uses seeds below this number, training from it on.
FIRST_SEED = 1_000_000
DOWN_COSINE = 0.7


@dataclass(frozen=True)
class PoseCollection:
    """How much to collect: `scenes` of each task, with seeds from `first_seed` on.

    size: side of the images [px]. Raises ConfigError for numbers that make no shards.
    """

    tasks: tuple[str, ...] = tuple(HANDLES)
    scenes: int = 300
    first_seed: int = FIRST_SEED
    shard: int = 50
    size: int = 224

    def __post_init__(self) -> None:
        if min(self.scenes, self.shard, self.size) < 1 or self.scenes % self.shard:
            raise ConfigError(
                f'{self.scenes} scenes do not fill shards of {self.shard}; give a multiple'
            )

    @property
    def shards(self) -> list[tuple[str, int]]:
        """The task and first seed of each shard, task by task in turn."""
        starts = range(self.first_seed, self.first_seed + self.scenes, self.shard)
        return [(task, start) for start in starts for task in self.tasks]


def collect_poses(
    folder: Path, config: PoseCollection, workers: int
) -> Iterator[tuple[str, int, int]]:
    """Fill `folder`; yields (shard, samples, scenes whose contact is out of sight) as they end."""
    jobs = [job for job in config.shards if not _shard_file(folder, *job).is_file()]
    for _, _, found in run_jobs(partial(_collector, folder, config), jobs, workers):
        yield found


def questions(
    handle: Handle, instruction: str, scene: Scene, rng: np.random.Generator
) -> tuple[Turn, ...]:
    """Return what can be asked about a scene, with the simulator's answers, in random order."""
    height, width = scene.depth.shape
    column, row = scene.pixel
    side = ('on the left', 'in the middle', 'on the right')[int(3 * column / width)]
    down = -(scene.camera_pose[:3, :3] @ scene.directions[:3])[2]
    way = 'from above' if down > DOWN_COSINE else 'from the side'
    task = instruction[0].lower() + instruction[1:]
    things = sorted({other.thing for other in HANDLES.values()})
    asked = handle.thing if rng.random() < 0.5 else str(rng.choice(things))
    at = f'column {100 * (column + 0.5) / width:.0f}, row {100 * (row + 0.5) / height:.0f}'
    turns = [
        Turn('what is on the table?', f'a {handle.thing}'),
        Turn(f'is there a {asked}?', 'yes' if asked == handle.thing else 'no'),
        Turn(f'where is the {handle.part} of the {handle.thing}?', side),
        Turn(
            f'what should the robot do first to {task}?',
            f'move to the {handle.part} of the {handle.thing}, {way}',
        ),
        Turn(f'where does the gripper touch to {task}?', at),
    ]
    return tuple(turns[index] for index in rng.permutation(len(turns)))


def _shard_file(folder: Path, task: str, start: int) -> Path:
    return folder / POSES / f'{task}-{start:07d}.jsonl'


def _collector(
    folder: Path, config: PoseCollection
) -> nullcontext[Callable[[str, int], tuple[str, int, int]]]:
    return nullcontext(partial(_collect_shard, folder, config))


def _collect_shard(
    folder: Path, config: PoseCollection, task: str, start: int
) -> tuple[str, int, int]:
    seeds = range(start, start + config.shard)
    samples: list[PoseSample] = []
    talks: list[Conversation] = []
    with closing(HandleSim(task, start, camera_size=config.size)) as sim:
        for seed in seeds:
            sim.arrange(task, seed)
            scene = sim.look()
            if scene is None:
                continue
            samples.append(_write_scene(folder, sim, scene))
            rng = np.random.default_rng((seed, *task.encode()))
            turns = questions(sim.handle, sim.instruction, scene, rng)
            talks.append(Conversation(samples[-1].image, turns))
    path = _shard_file(folder, task, start)
    _write_conversations(folder, path.stem, talks)
    write_samples(path, samples, folder)
    return path.stem, len(samples), len(seeds) - len(samples)


def _write_conversations(folder: Path, name: str, talks: Sequence[Conversation]) -> None:
    text = conversations_document(talks, folder)
    write_whole(folder / CONVERSATIONS / f'{name}.json', text)


def _write_scene(folder: Path, sim: HandleSim, scene: Scene) -> PoseSample:
    name = f'{sim.task}-{sim.seed:07d}.png'
    image, depth = folder / IMAGES / name, folder / DEPTH / name
    write_image(image, scene.image)
    write_depth(depth, scene.depth)
    return PoseSample(
        image=image,
        instruction=sim.instruction,
        contact=scene.pixel,
        directions=scene.directions,
        camera=Camera(depth, scene.intrinsics, scene.camera_pose, scene.point),
        task=sim.task,
        seed=sim.seed,
    )
