"""Small demonstration stores and training runs, for the tests of several folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robomamba_ros.datasets.demonstrations import DatasetMeta, sample_dtype, write_shard
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.vision.preprocess import CropResize

META = DatasetMeta(
    cameras=('front',),
    crops=(CropResize(source=32, left=0, top=0, side=32, target=32),),
    state_names=('ee_x', 'gripper'),
    action_space='ee_delta',
    action_names=('ee_dx', 'gripper'),
    horizon=8,
    dt_ns=100_000_000,
    instructions=('go left', 'go right'),
)

# Height and width by name.
CAMERAS = {'front': (40, 48), 'wrist': (32, 32)}

POLICY = """
policy: anolevla
cameras: [{name: any, height: 32, width: 32}]
state_names: [ee_x]
action_space: ee_delta
action_names: [ee_dx]
horizon: 50
dt_ns: 50000000
execute_steps: 2
vision: {keypoints: {image_size: 32, keypoints: 4}}
language: {vocabulary: 300, length: 16}
backbone: {d_model: 32, n_layer: 1, d_state: 4}
"""


def write_store(folder: Path, *, episodes: int, steps: int, meta: DatasetMeta = META) -> Path:
    """Write episodes in which the instruction and a bright square's side say which way to go."""
    rng = np.random.default_rng(0)
    samples = np.zeros(episodes * steps, sample_dtype(meta))
    for number, sample in enumerate(samples):
        episode, step = divmod(number, steps)
        right, bright = episode % 2, (episode // 2) % 2
        sample['images'] = rng.integers(0, 60, (len(meta.cameras), 32, 32, 3))
        sample['images'][:, 8:24, 4 + 16 * bright : 12 + 16 * bright] = 220
        sample['state'] = [0.1 * number, 1.0]
        sample['previous_state'] = [0.1 * number - 0.01, 1.0]
        sample['actions'][:, 0] = (0.01 if right else -0.01) * (2 if bright else 1)
        sample['actions'][:, 1] = np.linspace(0, 1, 8) if bright else 0.5
        sample['valid'] = np.arange(8) < 8 - step
        sample['instruction'], sample['episode'], sample['step'] = right, episode, step
    meta.save(folder)
    write_shard(folder, 'a', samples)
    return folder


def small_run(data: Path, output: Path, **changes: Any) -> TrainConfig:
    """Return a run of a few steps, with changes to its settings."""
    policy = output / 'small.yaml'
    policy.parent.mkdir(exist_ok=True, parents=True)
    policy.write_text(POLICY)
    config = TrainConfig(
        policy=str(policy),
        data=str(data),
        output=str(output),
        stage1_steps=3,
        stage2_steps=2,
        batch_size=4,
        warmup_steps=1,
        save_every=100,
        dtype='float32',
        threads=1,
        # The made-up data does not say where anything is.
        localization_weight=0.0,
    )
    return replace(config, **changes)


def write_dataset(
    root: Path,
    lengths: Sequence[int],
    *,
    names: tuple[str, ...] = ('ee_dx', 'gripper'),
    cameras: Mapping[str, tuple[int, int]] = CAMERAS,
) -> Path:
    """Write a LeRobot data set of episodes of given lengths, noise of left and right in turn."""
    from robomamba_ros.datasets.lerobot.layout import ACTION, STATE, Feature, camera_feature
    from robomamba_ros.datasets.lerobot.writer import LeRobotWriter

    rng = np.random.default_rng(len(lengths))
    keys = {f'observation.images.{name}': size for name, size in cameras.items()}
    features = {
        STATE: Feature('float32', (3,), ('ee_x', 'ee_y', 'gripper')),
        ACTION: Feature('float32', (2,), names),
        **{key: camera_feature(*size, video=False) for key, size in keys.items()},
    }
    with LeRobotWriter(root, fps=10, features=features, robot_type='test') as writer:
        for number, length in enumerate(lengths):
            for _ in range(length):
                frame = {
                    STATE: rng.normal(size=3).astype(np.float32),
                    ACTION: rng.normal(size=2).astype(np.float32),
                    **{k: rng.integers(0, 256, (*s, 3), dtype=np.uint8) for k, s in keys.items()},
                }
                writer.add_frame(frame, META.instructions[number % 2])
            writer.save_episode()
    return root
