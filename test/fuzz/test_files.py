"""Every reader of a file takes any bent one for what it is: see test/support/fuzzing.py.

ROBOMAMBA_FUZZ=20000 pytest test/fuzz tries so many of each.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fuzzing import bend, hold

from robomamba_ros.common.resources import share_directory
from robomamba_ros.common.weights import read_pickle, read_safetensors
from robomamba_ros.datasets.lerobot.checks import check_numbers
from robomamba_ros.datasets.lerobot.layout import Feature, camera_feature
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.datasets.lerobot.writer import LeRobotWriter
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla import config as anolevla
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.policies.robomamba import config as robomamba
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.training.anolevla.settings import is_robomamba, load_train_config
from robomamba_ros.training.robomamba.config import load_robomamba_training
from robomamba_ros.types import Observation

SHARE = share_directory()
MODEL = SHARE / 'models/anolevla-mt10'
SIDE = 16


def load_run(path: Path) -> None:
    if is_robomamba(path):
        load_robomamba_training(path, {})
    else:
        load_train_config(path, {})


def load_config(path: Path) -> None:
    kind = robomamba if 'robomamba' in path.read_text(errors='replace') else anolevla
    kind.read_config(path, 'x')


def load_tokenizer(path: Path) -> None:
    InstructionTokenizer.load(path, 16).encode('open the drawer')


@pytest.mark.parametrize(
    ('paths', 'read', 'count'),
    [
        (sorted(SHARE.glob('config/arms/*.yaml')), lambda path: load_arm(str(path)), 60),
        (sorted(SHARE.glob('config/training/*.yaml')), load_run, 60),
        (
            [*SHARE.glob('models/*/config.yaml'), *SHARE.glob('config/policies/*.yaml')],
            load_config,
            60,
        ),
        ([MODEL / 'normalization.json'], Normalization.load, 60),
        ([MODEL / 'tokenizer.json'], load_tokenizer, 40),
    ],
    ids=['arm contract', 'training run', 'policy', 'scales', 'tokenizer'],
)
def test_a_bent_file_is_read_or_refused(
    tmp_path: Path, paths: Sequence[Path], read: Callable[[Path], object], count: int
) -> None:
    whole = [path.read_bytes() for path in sorted(paths)]
    path = tmp_path / f'bent{paths[0].suffix}'

    def one(rng: np.random.Generator) -> None:
        path.write_bytes(bend(whole[int(rng.integers(len(whole)))], rng))
        read(path)

    hold(one, count)


@pytest.mark.parametrize('packed', [False, True])
def test_bent_weights_are_read_or_refused(tmp_path: Path, packed: bool) -> None:
    from safetensors.torch import save

    weights = {'a': torch.arange(12.0).reshape(3, 4), 'b': torch.zeros(5)}
    path = tmp_path / 'weights'
    torch.save(weights, path)
    whole = path.read_bytes() if packed else save(weights)

    def one(rng: np.random.Generator) -> None:
        path.write_bytes(bend(whole, rng))
        with warnings.catch_warnings():
            # torch warns of what it refuses a moment later.
            warnings.simplefilter('ignore')
            found = read_pickle(path) if packed else read_safetensors(path)
            [float(tensor.double().sum()) for tensor in found.values()]

    hold(one, 60)


def test_a_bent_checkpoint_is_used_or_refused(tmp_path: Path) -> None:
    names = ('config.yaml', 'normalization.json', 'tokenizer.json')
    folder = tmp_path / 'policy'
    folder.mkdir()
    (folder / 'model.safetensors').symlink_to(MODEL / 'model.safetensors')
    whole = {name: (MODEL / name).read_bytes() for name in names}

    def one(rng: np.random.Generator) -> None:
        bent = names[int(rng.integers(len(names)))]
        for name, content in whole.items():
            (folder / name).write_bytes(bend(content, rng) if name == bent else content)
        policy = load_policy(folder)
        spec = policy.spec
        images = {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in spec.cameras}
        state = np.zeros(len(spec.state_names), np.float32)
        with np.errstate(over='ignore', invalid='ignore'):
            policy.infer(Observation(10**18, images, state, state, 'open the drawer'))

    hold(one, 8)


@pytest.mark.parametrize('video', [False, True])
def test_a_bent_data_set_is_read_or_refused(tmp_path: Path, video: bool) -> None:
    features = {
        'observation.state': Feature('float32', (2,), ('a', 'b')),
        'action': Feature('float32', (2,), ('a', 'b')),
        'observation.images.cam': camera_feature(SIDE, SIDE, video=video),
    }
    whole = tmp_path / 'whole'
    with LeRobotWriter(whole, fps=10, features=features, robot_type='x') as writer:
        for _ in range(2):
            for number in range(4):
                values = dict.fromkeys(
                    ('observation.state', 'action'), np.full(2, number, np.float32)
                )
                image = np.full((SIDE, SIDE, 3), 40 * number, np.uint8)
                writer.add_frame({**values, 'observation.images.cam': image}, 'lift')
            writer.save_episode()
    files = sorted(path.relative_to(whole) for path in whole.rglob('*.*') if path.is_file())
    bent = tmp_path / 'bent'
    shutil.copytree(whole, bent)

    def one(rng: np.random.Generator) -> None:
        file = files[int(rng.integers(len(files)))]
        (bent / file).write_bytes(bend((whole / file).read_bytes(), rng))
        try:
            dataset = LeRobotDataset(bent)
            check_numbers(dataset)
            for index in (0, len(dataset) - 1, 3):
                dataset.window(index, 3)
            assert isinstance(dataset.notes, tuple)
        finally:
            shutil.copy(whole / file, bent / file)

    hold(one, 30)
