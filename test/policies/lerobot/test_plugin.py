"""Our policy as LeRobot's: converted, trained by its loop, saved, loaded, and the same chunk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip('lerobot', reason='lerobot is not installed: it needs Python 3.12')
pytest.importorskip(
    'lerobot_policy_anolevla', reason='the plug-in is not: pip install src/lerobot_policy_anolevla'
)

import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.policies.factory import (
    get_policy_class,
    make_policy_config,
    make_pre_post_processors,
)
from lerobot.utils.import_utils import register_third_party_plugins
from lerobot_policy_anolevla.convert import from_lerobot, main, to_lerobot

from robomamba_ros.errors import CheckpointError, ObservationError
from robomamba_ros.policies.base import Policy, fake_observation
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.types import Observation

MODEL = 'anolevla-mt10'
IMAGE, STATE = 'observation.images.corner2', 'observation.state'


def test_lerobot_finds_the_plug_in_by_its_name() -> None:
    register_third_party_plugins()
    assert PreTrainedConfig.get_choice_class('anolevla').__name__ == 'AnolevlaConfig'
    assert get_policy_class('anolevla').__name__ == 'AnolevlaPolicy'


@pytest.fixture(scope='module')
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('theirs') / 'mt10'
    to_lerobot(MODEL, out)
    return out


@pytest.fixture
def observation() -> Observation:
    made = fake_observation(load_policy(MODEL).spec)
    step = np.array([0.01, -0.02, 0.005, 0.1], np.float32)
    return replace(made, previous_state=made.state - step)


def of(directory: Path) -> tuple[Any, Any, Any]:
    config = PreTrainedConfig.from_pretrained(directory)
    model = get_policy_class(config.type).from_pretrained(directory, config=config, strict=True)
    return model, *make_pre_post_processors(config, pretrained_path=str(directory))


def batch(observation: Observation, state: np.ndarray) -> dict[str, Any]:
    image = torch.from_numpy(observation.images['corner2']).permute(2, 0, 1) / 255.0
    return {IMAGE: image, STATE: torch.from_numpy(state), 'task': observation.instruction}


def same(chunk: np.ndarray, policy: Policy, observation: Observation) -> None:
    ours = policy.infer(observation).actions
    assert chunk.shape == ours.shape
    # Of a metre and a radian; the largest action is near 1.
    np.testing.assert_allclose(chunk, ours, atol=2e-5)


def test_lerobot_gives_the_chunk_that_we_give(converted: Path, observation: Observation) -> None:
    model, before, after = of(converted)
    earlier = before(batch(observation, observation.previous_state))[STATE]
    now = before(batch(observation, observation.state))
    both = now | {STATE: torch.stack([earlier, now[STATE]], dim=1)}
    chunk = after(model.predict_action_chunk(both))[0].numpy()
    same(chunk, load_policy(MODEL), observation)
    at_rest = after(model.predict_action_chunk(now))[0].numpy()
    assert np.abs(at_rest - chunk).max() > 1e-3, 'the step of the state counts'


def test_actions_are_taken_one_by_one_with_the_step_of_the_state(
    converted: Path, observation: Observation
) -> None:
    model, before, after = of(converted)
    executed = load_policy(MODEL).spec.execute_steps
    for _ in range(executed):
        model.select_action(before(batch(observation, observation.previous_state)))
    action = after(model.select_action(before(batch(observation, observation.state))))
    expected = load_policy(MODEL).infer(observation).actions[0]
    np.testing.assert_allclose(action[0].numpy(), expected, atol=2e-5)


def test_it_comes_back_and_runs_by_our_kind_lerobot(
    converted: Path, observation: Observation, tmp_path: Path
) -> None:
    from_lerobot(converted, tmp_path / 'mine')
    ours = load_policy(tmp_path / 'mine')
    same(ours.infer(observation).actions, load_policy(MODEL), observation)
    assert ours.spec.instructions == load_policy(MODEL).spec.instructions
    spec = ours.spec
    folder = tmp_path / 'behind'
    folder.mkdir()
    document = {
        'policy': 'lerobot',
        'directory': str(converted),
        'cameras': [{'name': 'corner2', 'height': 224, 'width': 224, 'key': IMAGE}],
        'state': [{'channels': list(spec.state_names)}],
        'actions': [{'channels': list(spec.action_names)}],
        'action_space': 'ee_delta',
        'horizon': spec.horizon,
        'dt_ns': spec.dt_ns,
        'execute_steps': spec.execute_steps,
        'earlier_images': 'repeat',
    }
    (folder / 'config.yaml').write_text(yaml.safe_dump(document))
    same(load_policy(folder).infer(observation).actions, load_policy(MODEL), observation)


def test_other_instructions_are_refused_as_we_refuse_them(
    converted: Path, observation: Observation
) -> None:
    _, before, _ = of(converted)
    with pytest.raises(ObservationError, match='trained on'):
        before(batch(observation, observation.state) | {'task': 'paint the fence'})


def test_a_directory_with_files_is_not_written_over(
    converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['to-lerobot', MODEL, str(converted)]) == 1
    assert 'is not an empty directory' in capsys.readouterr().err
    with pytest.raises(CheckpointError, match=r'lacks config\.json'):
        from_lerobot(converted.parent, converted.parent / 'new')


def test_two_steps_of_training_are_saved_and_loaded(tmp_path: Path) -> None:
    """As lerobot-train does: its processors, a batch with two observations, its optimizer."""
    sizes = {
        'vision': {'keypoints': {'image_size': 32, 'keypoints': 4, 'd_condition': 16}},
        'language': {'vocabulary': 300, 'length': 16},
        'backbone': {'d_model': 32, 'n_layer': 1},
    }
    config = make_policy_config(
        'anolevla',
        device='cpu',
        push_to_hub=False,
        chunk_size=8,
        n_action_steps=4,
        acceleration_weight=1.0,
        network=sizes,
        input_features={
            IMAGE: PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
            STATE: PolicyFeature(FeatureType.STATE, (6,)),
        },
        output_features={'action': PolicyFeature(FeatureType.ACTION, (6,))},
    )
    stats = {
        key: {'mean': torch.full((6,), 0.2), 'std': torch.full((6,), 0.5)}
        for key in (STATE, 'action')
    }

    class Meta:
        fps = 20
        tasks = type('Table', (), {'index': ['Open the drawer.', 'close it']})

    model = get_policy_class('anolevla')(config, dataset_meta=Meta)
    processors = make_pre_post_processors(config, dataset_stats=stats, dataset_meta=Meta)
    optimizer = config.get_optimizer_preset().build(model.get_optim_params())
    scheduler = config.get_scheduler_preset().build(optimizer, 2)
    frames = {
        IMAGE: torch.rand(3, 2, 3, 48, 64),
        STATE: torch.rand(3, 2, 6),
        'action': torch.rand(3, 8, 6),
        'action_is_pad': torch.zeros(3, 8, dtype=torch.bool),
        'task': ['open the drawer', 'Close it!', 'close it'],
    }
    model.train()
    losses = []
    for _ in range(2):
        loss, parts = model(processors[0](frames))
        losses.append(loss.item())
        assert set(parts) == {'velocity', 'acceleration'}
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    assert losses[1] != losses[0]
    folder = tmp_path / 'pretrained_model'
    for each in (model, *processors):
        each.save_pretrained(folder)
    again, before, after = of(folder)
    assert (again.config.dt_ns, again.config.type) == (50_000_000, 'anolevla')
    seen = {key: frames[key] for key in (IMAGE, STATE, 'task')}
    expected = processors[1](model.predict_action_chunk(processors[0](seen)))
    torch.testing.assert_close(after(again.predict_action_chunk(before(seen))), expected)
    from_lerobot(folder, tmp_path / 'mine')
    policy = load_policy(tmp_path / 'mine')
    image = (255.0 * frames[IMAGE][0, 1]).round().to(torch.uint8).permute(1, 2, 0).numpy()
    ours = Observation(
        stamp_ns=0,
        images={'corner2': image},
        state=frames[STATE][0, 1].numpy(),
        previous_state=frames[STATE][0, 0].numpy(),
        instruction='open the drawer',
    )
    same(expected[0].detach().numpy(), policy, ours)


def test_no_python_comes_with_a_directory(converted: Path, tmp_path: Path) -> None:
    text = (converted / 'policy_preprocessor.json').read_text()
    names = [step.get('registry_name') for step in json.loads(text)['steps']]
    assert None not in names
