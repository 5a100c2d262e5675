"""Policies that LeRobot saved, of random weights, behind our contract; lerobot runs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from robomamba_ros.errors import BackendError, CheckpointError, ConfigError
from robomamba_ros.policies.base import fake_observation
from robomamba_ros.policies.registry import describe_policy, load_policy

SIDE, CHANNELS = 96, 7
JOINTS = [f'joint{i}' for i in range(1, CHANNELS)]
IMAGES, STATE = 'observation.images.front', 'observation.state'
# Their joints are in degrees, their gripper is closed at 100.
DEGREES = 57.29577951308232


def write(folder: Path, horizon: int = 8, **changes: Any) -> Path:
    channels = [
        {'channels': JOINTS, 'scale': DEGREES},
        {'channels': ['gripper'], 'scale': -100.0, 'offset': 100.0},
    ]
    document = {
        'policy': 'lerobot',
        'directory': 'pretrained_model',
        'cameras': [{'name': 'front', 'height': SIDE, 'width': SIDE, 'key': IMAGES}],
        'state': channels,
        'actions': channels,
        'action_space': 'joint_position',
        'horizon': horizon,
        'dt_ns': 50_000_000,
        'execute_steps': 4,
        **changes,
    }
    folder.mkdir(exist_ok=True)
    (folder / 'config.yaml').write_text(yaml.safe_dump(document), encoding='utf-8')
    return folder


def test_a_configuration_says_what_the_policy_needs_and_gives(tmp_path: Path) -> None:
    described = describe_policy(str(write(tmp_path / 'mine')))
    assert (described.kind, described.spec.state_names) == ('lerobot', (*JOINTS, 'gripper'))
    assert described.spec.action_names == (*JOINTS, 'gripper')
    assert described.facts['directory'] == str(tmp_path / 'mine' / 'pretrained_model')


def test_every_error_of_a_configuration_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / 'mine', horizon=0, earlier_images='guess', speed=1)
    with pytest.raises(ConfigError) as caught:
        describe_policy(str(folder))
    for part in ('horizon', 'earlier_images', 'speed'):
        assert part in str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / 'mine')
    with pytest.raises(CheckpointError, match=r'pretrained_model lacks config\.json'):
        load_policy(folder)
    (folder / 'pretrained_model').mkdir()
    (folder / 'pretrained_model' / 'config.json').write_text('{}')
    monkeypatch.setitem(sys.modules, 'lerobot.configs', None)
    with pytest.raises(BackendError, match='pip install lerobot'):
        load_policy(folder)


KINDS = {
    'act': {'chunk_size': 20, 'dim_model': 32, 'dim_feedforward': 64, 'n_heads': 4},
    'diffusion': {
        'horizon': 16,
        'n_obs_steps': 2,
        'down_dims': (32, 64),
        'num_inference_steps': 2,
    },
}


def save(folder: Path, kind: str) -> Any:
    """Write a policy of random weights as LeRobot does; return it with its processors."""
    import torch
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies.factory import (
        get_policy_class,
        make_policy_config,
        make_pre_post_processors,
    )

    torch.manual_seed(3)
    config = make_policy_config(
        kind,
        input_features={
            IMAGES: PolicyFeature(FeatureType.VISUAL, (3, SIDE, SIDE)),
            STATE: PolicyFeature(FeatureType.STATE, (CHANNELS,)),
        },
        output_features={'action': PolicyFeature(FeatureType.ACTION, (CHANNELS,))},
        device='cpu',
        push_to_hub=False,
        n_action_steps=8,
        pretrained_backbone_weights=None,
        **KINDS[kind],
    )
    model = get_policy_class(kind)(config).eval()
    scale = {
        name: torch.full((CHANNELS,), value)
        for name, value in (('mean', 10.0), ('std', 20.0), ('min', -50.0), ('max', 90.0))
    }
    pixels = {
        name: torch.full((3, 1, 1), value)
        for name, value in (('mean', 0.5), ('std', 0.25), ('min', 0.0), ('max', 1.0))
    }
    stats = {IMAGES: pixels, STATE: scale, 'action': scale}
    processors = make_pre_post_processors(config, dataset_stats=stats)
    for each in (model, *processors):
        each.save_pretrained(folder / 'pretrained_model')
    return model, *processors


@pytest.mark.parametrize('kind', KINDS)
def test_a_chunk_is_what_lerobot_gives_in_our_units(tmp_path: Path, kind: str) -> None:
    pytest.importorskip('lerobot', reason='lerobot is not installed: it needs Python 3.12')
    import torch

    folder = write(tmp_path / 'mine', earlier_images='repeat')
    model, before, after = save(folder, kind)
    policy = load_policy(folder)
    observation = fake_observation(policy.spec)
    observation.state[-1] = 0.25
    chunk = policy.infer(observation)
    theirs = np.append(DEGREES * observation.state[:-1], 75.0).astype(np.float32)
    image = torch.from_numpy(observation.images['front']).permute(2, 0, 1) / 255.0
    batch = before({IMAGES: image, STATE: torch.from_numpy(theirs), 'task': 'open it'})
    with torch.inference_mode():
        if kind == 'diffusion':
            batch = {k: torch.stack([batch[k]] * 2, dim=1) for k in (IMAGES, STATE)}
        model.reset()
        torch.manual_seed(0)
        expected = after(model.predict_action_chunk(batch))[0, :8].numpy()
    np.testing.assert_allclose(chunk.actions[:, :-1], expected[:, :-1] / DEGREES, atol=1e-5)
    np.testing.assert_allclose(chunk.actions[:, -1], (100.0 - expected[:, -1]) / 100.0, atol=1e-5)
    policy.reset()
    np.testing.assert_array_equal(policy.infer(observation).actions, chunk.actions)


def test_a_policy_of_other_sizes_is_refused(tmp_path: Path) -> None:
    pytest.importorskip('lerobot', reason='lerobot is not installed: it needs Python 3.12')
    folder = write(tmp_path / 'mine')
    save(folder, 'diffusion')
    with pytest.raises(CheckpointError, match='it sees the images of 2 steps'):
        load_policy(folder)
    write(folder, cameras=[{'name': 'front', 'height': 48, 'width': 64, 'key': IMAGES}])
    with pytest.raises(CheckpointError, match=r'front: config.yaml gives \(3, 48, 64\)'):
        load_policy(folder)


HOSTILE = {
    'a class of any module': (
        {'class': 'pathlib.Path.touch', 'config': {}},
        'is not in the registry',
    ),
    'a call with arguments': (
        {'class': 'subprocess.Popen', 'config': {'args': ['touch', 'HERE']}},
        'is not in the registry',
    ),
    'a name beside a class': (
        {'registry_name': None, 'class': 'subprocess.Popen', 'config': {'args': ['touch', 'HERE']}},
        'is not in the registry',
    ),
    'a tokenizer with code': (
        {'registry_name': 'action_tokenizer_processor', 'config': {'action_tokenizer_name': '.'}},
        'runs code of the tokenizer',
    ),
}


@pytest.mark.parametrize('case', HOSTILE)
def test_nothing_that_a_directory_names_is_run(tmp_path: Path, case: str) -> None:
    pytest.importorskip('lerobot', reason='lerobot is not installed: it needs Python 3.12')
    step, reason = HOSTILE[case]
    folder = write(tmp_path / 'mine')
    save(folder, 'act')
    touched = tmp_path / 'touched'
    path = folder / 'pretrained_model' / 'policy_postprocessor.json'
    document = json.loads(path.read_text())
    document['steps'].append(json.loads(json.dumps(step).replace('HERE', str(touched))))
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=reason):
        load_policy(folder)
    assert not touched.exists()


def test_a_policy_that_may_run_code_of_its_files_is_refused(tmp_path: Path) -> None:
    pytest.importorskip('lerobot', reason='lerobot is not installed: it needs Python 3.12')
    folder = write(tmp_path / 'mine')
    save(folder, 'act')
    path = folder / 'pretrained_model' / 'config.json'
    path.write_text(json.dumps({'type': 'pi0_fast', 'device': 'cpu'}))
    with pytest.raises(CheckpointError, match="of the type 'pi0_fast' may run code"):
        load_policy(folder)
