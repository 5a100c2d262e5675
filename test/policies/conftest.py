"""Small policies of every kind on disk, for the tests of what all policies have in common.

A new kind of policy adds an entry to CASES, and the tests in test_contract.py run on it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from support.made_robomamba import WORDS, write_robomamba

from robomamba_ros.common.resources import share_directory
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.checkpoint import save
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.normalization import Affine, Normalization
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.policies.remote.connection import Connection

JOINTS = [f'joint_{number}' for number in range(11)]

SMALL = {
    'policy': 'anolevla',
    'cameras': [{'name': 'front', 'height': 64, 'width': 64}],
    'state_names': ['ee_x', 'ee_y', 'ee_z', 'gripper'],
    'action_space': 'ee_delta',
    'action_names': ['ee_dx', 'ee_dy', 'ee_dz', 'gripper'],
    'horizon': 50,
    'dt_ns': 12_500_000,
    'execute_steps': 10,
    'vision': {'keypoints': {'image_size': 32, 'keypoints': 4, 'd_condition': 8}},
    'language': {'vocabulary': 300, 'length': 16},
    'backbone': {'d_model': 32, 'n_layer': 2, 'd_state': 4},
}
LANGUAGE_FIRST = {**SMALL, 'token_order': ['language', 'state', 'delta_state', 'vision']}
# The paper's parts at a size for tests, on a mobile manipulator with three cameras.
PAPER = {
    **SMALL,
    'cameras': [
        {'name': 'external', 'height': 48, 'width': 64},
        {'name': 'head', 'height': 64, 'width': 48, 'left': 8, 'top': 0, 'side': 40},
        {'name': 'wrist', 'height': 32, 'width': 32},
    ],
    'state_names': JOINTS,
    'action_space': 'joint_delta',
    'action_names': JOINTS,
    'vision': {
        'siglip2': {
            'image_size': 32,
            'patch_size': 16,
            'hidden_size': 32,
            'intermediate_size': 64,
            'num_hidden_layers': 2,
            'num_attention_heads': 2,
        }
    },
    'language': {'vocabulary': 304, 'length': 16, 'project': True},
}


def write(folder: Path, document: dict[str, object]) -> AnoleVLA:
    """Write an AnoleVLA of random weights as `document` describes it; return its network."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'config.yaml'
    path.write_text(yaml.safe_dump(document))
    config = read_config(path, folder.name)
    torch.manual_seed(0)
    network = AnoleVLA(config)
    # The image encoder starts as an identity around its blocks; any weights will do here.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        # Steps large and forgetting slow, or nothing a stream remembers would reach the actions.
        for layer in network.backbone.layers:
            layer.mixer.dt_proj.bias.add_(2.0)
            layer.mixer.A_log.sub_(4.0)
    rng = np.random.default_rng(0)

    def scales(channels: int) -> Affine:
        return Affine.from_mean(rng.normal(0.5, 0.1, (8, channels)).astype(np.float32))

    count = len(config.spec.state_names)
    normalization = Normalization(
        scales(count), scales(count), scales(len(config.spec.action_names))
    )
    tokenizer = InstructionTokenizer.train(WORDS, vocabulary=300, length=config.language.length)
    save(folder, config, network.state_dict(), tokenizer, normalization)
    return network


@dataclass(frozen=True)
class Case:
    """A policy of a kind: writes a checkpoint into a directory; the caches that it can have.

    device: that it runs on. captured: every pass as a whole, as on CUDA, wherever it runs.
    broken: keys that make its config.yaml wrong; said: what the error says of them.
    """

    name: str
    kind: str
    write: Callable[[Path], object]
    caches: tuple[str, ...] = ('none', 'stream')
    needs: tuple[str, ...] = ()
    device: str = 'cpu'
    captured: bool = False
    broken: Mapping[str, object] = field(
        default_factory=lambda: {'horizon': 0, 'execute_steps': 'ten', 'dt_nss': 3}
    )
    said: tuple[str, ...] = ('horizon: found 0', "execute_steps: found 'ten'", "mean 'dt_ns'")


def _shipped(name: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copytree(share_directory() / 'models' / name, folder)


# Ended with the session.
servers = contextlib.ExitStack()


@pytest.fixture(scope='session', autouse=True)
def _end_servers() -> Iterator[None]:
    with servers:
        yield


@pytest.fixture(autouse=True)
def _hang_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what policies on a server opened: its threads would be there to the end."""
    opened: list[Connection] = []
    real = Connection._open

    def note(self: Connection) -> Any:
        opened.append(self)
        return real(self)

    monkeypatch.setattr(Connection, '_open', note)
    yield
    for each in opened:
        each.close()


def write_remote(folder: Path) -> None:
    """Write a policy that asks a server, and start that."""
    from support.policy_servers import document, serving

    folder.mkdir(parents=True)
    url = servers.enter_context(serving())
    (folder / 'config.yaml').write_text(yaml.safe_dump(document(url)))


CASES = (
    Case('small', 'anolevla', lambda folder: write(folder, SMALL)),
    Case(
        'language_first',
        'anolevla',
        lambda folder: write(folder, LANGUAGE_FIRST),
        caches=('none', 'prefix', 'stream'),
    ),
    Case('paper', 'anolevla', lambda folder: write(folder, PAPER), needs=('transformers',)),
    Case(
        'robomamba',
        'robomamba',
        write_robomamba,
        caches=('none', 'prefix'),
        needs=('transformers',),
        broken={'head': {'widths': [0.5, 2]}, 'approach': {'contact_m': 'far'}, 'visoin': {}},
        said=('widths: found [0.5, 2.0]', "contact_m: found 'far'", "mean 'vision'"),
    ),
    Case('hold', 'scripted', _shipped('hold'), caches=('none', 'prefix', 'stream')),
    Case('scripted', 'scripted', _shipped('scripted'), caches=('none', 'prefix', 'stream')),
    Case(
        'remote',
        'remote',
        write_remote,
        caches=('none', 'prefix', 'stream'),
        needs=('websockets', 'msgpack'),
    ),
)

WITH_WEIGHTS = [case for case in CASES if case.kind in ('anolevla', 'robomamba')]
# What CUDA graphs hold, step by step: the same code in front of them and around them.
CASES += tuple(
    replace(case, name=f'{case.name}_captured', captured=True)
    for case in WITH_WEIGHTS
    if case.name in ('language_first', 'robomamba')
)
if torch.cuda.is_available():
    CASES += tuple(replace(case, name=f'{case.name}_cuda', device='cuda') for case in WITH_WEIGHTS)


@pytest.fixture(scope='session')
def write_anolevla() -> Callable[[Path, dict[str, object]], AnoleVLA]:
    """Write an AnoleVLA of random weights as a document describes it; return its network."""
    return write


@pytest.fixture(scope='session')
def documents() -> dict[str, dict[str, object]]:
    """Descriptions of small AnoleVLAs."""
    return {'small': SMALL, 'language_first': LANGUAGE_FIRST, 'paper': PAPER}


@pytest.fixture
def kinds() -> set[str]:
    """The kinds that have a case, and `lerobot`, whose Python is another: it has its own tests."""
    return {case.kind for case in CASES} | {'lerobot'}


@pytest.fixture(scope='session', params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    missing = [name for name in request.param.needs if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f'not installed: {", ".join(missing)}')
    return request.param


@pytest.fixture(scope='session')
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a case; not to be written to."""
    path = tmp_path_factory.mktemp(case.name) / case.name
    case.write(path)
    return path


@pytest.fixture
def load(case: Case, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Load a policy of the case, on its device, as `load_policy` does."""
    if case.captured:
        for kind in ('anolevla', 'robomamba'):
            name = f'robomamba_ros.policies.{kind}.policy.where_possible'
            monkeypatch.setattr(name, lambda capture, device: capture())
    return partial(load_policy, device=case.device)
