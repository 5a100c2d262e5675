"""AnoleVLA: its sequence, its units, its stream, and what it refuses to be made of."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import BackendError, CheckpointError, ConfigError, ObservationError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.config import TOKEN_ORDER, read_config, write_config
from robomamba_ros.policies.anolevla.network import images_to_tensor
from robomamba_ros.policies.base import fake_observation
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.policies.registry import load_policy


@pytest.fixture
def small(tmp_path, write_anolevla, documents):
    return write_anolevla(tmp_path / 'small', documents['small']), tmp_path / 'small'


@pytest.fixture
def paper(tmp_path, write_anolevla, documents):
    pytest.importorskip('transformers', reason='SigLIP needs transformers')
    return write_anolevla(tmp_path / 'paper', documents['paper']), tmp_path / 'paper'


def observe(spec, seed=0, **changes):
    seen = fake_observation(spec, seed)
    return replace(seen, previous_state=fake_observation(spec, seed + 99).state, **changes)


def network_inputs(network, folder, seen):
    """What the network is to get for an observation, put together from its parts."""
    config = network.config
    scales = Normalization.load(folder / 'normalization.json')
    tokenizer = InstructionTokenizer.load(folder / 'tokenizer.json', config.language.length)
    images = [
        crop(seen.images[camera.name])
        for camera, crop in zip(config.spec.cameras, config.crops, strict=True)
    ]
    return (
        images_to_tensor(torch.from_numpy(np.stack(images)))[None],
        torch.from_numpy(scales.state.normalize(seen.state))[None],
        torch.from_numpy(scales.delta_state.normalize(seen.state - seen.previous_state))[None],
        torch.from_numpy(tokenizer.encode(seen.instruction))[None],
    )


@pytest.mark.parametrize('kind', ['small', 'paper'])
def test_a_chunk_is_the_networks_output_in_physical_units(request, kind):
    network, folder = request.getfixturevalue(kind)
    network.eval()
    seen = observe(network.config.spec)
    with torch.no_grad():
        unit_scale = network(*network_inputs(network, folder, seen)).actions[0].numpy()
    expected = Normalization.load(folder / 'normalization.json').action.restore(unit_scale)
    chunk = load_policy(folder).infer(seen)
    np.testing.assert_allclose(chunk.actions, expected, rtol=1e-4, atol=1e-5)
    assert unit_scale.std() > 0.01


def test_the_sequence_is_the_papers(paper):
    network, folder = paper
    config = network.config
    assert config.tokens == {'state': 1, 'delta_state': 1, 'vision': 3 * 4, 'language': 16}
    images, state, delta_state, words = network_inputs(network, folder, observe(config.spec))
    prefix, sequence, _ = network.tokens(images, state, delta_state, words)
    assert prefix is None
    assert sequence.shape == (1, 30, 32)
    assert torch.equal(sequence[:, 0], network.state(state))
    assert torch.equal(sequence[:, 1], network.delta_state(delta_state))
    for number in range(3):
        seen = network.vision.tower(images[:, number]).last_hidden_state
        found = sequence[:, 2 + 4 * number : 6 + 4 * number]
        torch.testing.assert_close(found, network.vision.project(seen))
    assert torch.equal(sequence[:, 14:], network.project(network.language(words)))
    hidden, _ = network.backbone(sequence)
    output = network(images, state, delta_state, words)
    assert torch.equal(output.actions.flatten(1), network.head(hidden[:, -1]))
    assert output.localization is None


def test_the_token_of_the_state_can_say_where_things_are_seen(tmp_path, write_anolevla, documents):
    order = ['language', 'vision', 'delta_state', 'state']
    document = {**documents['small'], 'token_order': order, 'places': True}
    network = write_anolevla(tmp_path / 'small', document)
    assert read_config(tmp_path / 'small/config.yaml', 'small') == network.config
    network.vision.expect(torch.full((3, 3), 0.5))
    inputs = network_inputs(network, tmp_path / 'small', observe(network.config.spec))
    _, rest, where = network.tokens(*inputs)
    off = (where.points - 0.5) / 0.1
    expected = network.state(inputs[1]) + network.places(off.flatten(1))
    torch.testing.assert_close(rest[:, -1], expected)
    assert off.abs().max() > 0.01
    # Trained without the loss on places they are places that the actions need.
    network(*inputs).actions.sum().backward()
    assert network.vision.localization.weight.grad.abs().max() > 0.0
    path = tmp_path / 'paper.yaml'
    path.write_text(yaml.safe_dump({**documents['paper'], 'places': True}))
    with pytest.raises(ConfigError, match='leave out places'):
        read_config(path, 'paper')


@pytest.mark.parametrize('kind', ['small', 'paper'])
def test_every_input_reaches_the_action_head(request, kind):
    _, folder = request.getfixturevalue(kind)
    policy = load_policy(folder)
    seen = observe(policy.spec)
    before = policy.infer(seen).actions
    changes = [
        {'instruction': 'push the puck'},
        {'state': seen.state + np.float32(0.1)},
        {'previous_state': seen.state},
    ]
    changes += [
        {'images': {**seen.images, camera.name: np.zeros_like(seen.images[camera.name])}}
        for camera in policy.spec.cameras
    ]
    for change in changes:
        assert not np.array_equal(policy.infer(replace(seen, **change)).actions, before), change


def test_only_the_crop_of_an_image_is_seen(paper):
    _, folder = paper
    policy = load_policy(folder)
    seen = observe(policy.spec)
    image = seen.images['head'].copy()
    image[40:], image[:, :8] = 0, 0
    outside = replace(seen, images={**seen.images, 'head': image})
    assert np.array_equal(policy.infer(outside).actions, policy.infer(seen).actions)


def test_the_token_order_is_configuration(tmp_path, write_anolevla, documents):
    results = []
    for order in (TOKEN_ORDER, ('language', *TOKEN_ORDER[:3])):
        folder = tmp_path / order[0]
        write_anolevla(folder, {**documents['small'], 'token_order': list(order)})
        policy = load_policy(folder)
        results.append(policy.infer(observe(policy.spec)).actions)
    assert not np.array_equal(*results)


@pytest.mark.parametrize('first', ['state', 'language'])
def test_a_stream_is_one_pass_over_all_that_was_seen(tmp_path, write_anolevla, documents, first):
    order = [first, *(name for name in TOKEN_ORDER if name != first)]
    folder = tmp_path / first
    network = write_anolevla(folder, {**documents['small'], 'token_order': order}).eval()
    policy = load_policy(folder, cache='stream')
    action = Normalization.load(folder / 'normalization.json').action
    sequence, said = [], None
    for tick, words in enumerate(['open it', 'open it', 'push it', 'push it']):
        seen = observe(policy.spec, tick, instruction=words)
        prefix, rest, _ = network.tokens(*network_inputs(network, folder, seen))
        # The instruction is read once, and again where it changes.
        sequence += [prefix] if prefix is not None and words != said else []
        sequence.append(rest)
        said = words
        with torch.no_grad():
            hidden, _ = network.backbone(torch.cat(sequence, dim=1))
            expected = action.restore(network.actions(hidden)[0].numpy())
        streamed = policy.infer(seen).actions
        np.testing.assert_allclose(streamed, expected, rtol=0, atol=1e-5)
    single = load_policy(folder).infer(seen).actions
    assert np.abs(streamed - single).max() > 1e-3


def test_only_large_weights_are_rounded_to_bfloat16(paper):
    network, _ = paper
    network.compute_in(torch.bfloat16)
    exact = {name for name, p in network.named_parameters() if p.dtype == torch.float32}
    assert {'state.weight', 'head.bias', 'backbone.layers.1.mixer.A_log'} <= exact
    for name in ('vision.tower.post_layernorm.weight', 'backbone.layers.0.mixer.in_proj.weight'):
        assert name not in exact
    for name in ('language.weight', 'project.weight', 'backbone.norm_f.weight'):
        assert name not in exact


def test_an_instruction_that_is_too_long_is_refused(small):
    policy = load_policy(small[1])
    with pytest.raises(ObservationError, match='Say it in fewer words'):
        policy.infer(observe(policy.spec, instruction='really ' * 20))


def test_names_every_tensor_that_does_not_fit_at_once(small):
    path = small[1] / 'model.safetensors'
    weights = load_file(path)
    weights['head.weight'] = weights['head.weight'][:-1].clone()
    del weights['head.bias']
    weights['extra'] = torch.zeros(1)
    save_file(weights, path)
    with pytest.raises(CheckpointError) as caught:
        load_policy(path.parent)
    message = str(caught.value)
    assert 'head.weight: shape (199, 32), expected (200, 32)' in message
    assert 'head.bias: missing' in message
    assert 'extra: not part of this model' in message


def test_refuses_truncated_weights(small):
    path = small[1] / 'model.safetensors'
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='cannot be read'):
        load_policy(path.parent)


def test_refuses_a_tokenizer_with_more_tokens_than_the_embedding_has_rows(small):
    many = [f'{number:x}' for number in range(2000)]
    tokenizer = InstructionTokenizer.train(many, vocabulary=301, length=16)
    tokenizer.save(small[1] / 'tokenizer.json')
    with pytest.raises(CheckpointError, match=r'language\.vocabulary of config\.yaml'):
        load_policy(small[1])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'action': {'offset': [0] * 3, 'scale': [1] * 3}}, 'the 4 channels ee_dx, ee_dy'),
        ({'state': {'offset': [0] * 4, 'scale': [1, 0, 1, 1]}}, 'scales that are 0'),
    ],
)
def test_refuses_scales_that_are_not_those_of_its_channels(small, change, message):
    path = small[1] / 'normalization.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message):
        load_policy(small[1])


def test_names_every_error_of_a_configuration_at_once(tmp_path, documents):
    document = {
        **documents['small'],
        'cameras': [{'name': 'front', 'height': 64, 'width': 'wide', 'lefft': 50}],
        'action_names': ['ee_dx', 'ee_forward'],
        'execute_steps': 51,
        'vision': {'siglip2': {'image_size': 32, 'patch_size': 15, 'hiden_size': 3}},
        'language': {'vocabulary': 300, 'length': 16, 'project': 'yes please'},
        'backbone': {'d_model': 32},
        'token_order': ['state', 'vision', 'language'],
    }
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError) as caught:
        read_config(path, 'wrong')
    for part in (
        "cameras[0].width: found 'wide', allowed: a whole number from 1 to 8192 [px]",
        'cameras[0].lefft: found an unknown key',
        'vision.siglip2.hiden_size: found an unknown key, allowed: image_size',
        "did you mean 'hidden_size'?",
        'vision.siglip2: image_size 32 is no multiple of patch_size 15',
        "language.project: found 'yes please', allowed: true or false",
        'backbone.n_layer: found nothing, allowed: a whole number from 1',
        'token_order: found',
    ):
        assert part in str(caught.value), part


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'execute_steps': 51}, 'execute_steps: found 51, allowed: 1..50, the horizon'),
        ({'action_names': ['ee_dx', 'ee_forward']}, 'action_names: found .*ee_forward'),
        ({'action_names': []}, 'action_names: found .*, allowed: at least one channel'),
        ({'action_space': 'ee_pose'}, 'allowed: all of ee_x, .* ee_qw'),
        ({'action_space': 'velocity'}, "action_space: found 'velocity', allowed: ee_delta"),
        ({'state_names': ['ee_x', 'ee_x']}, 'state_names: .*each once'),
        (
            {'cameras': [{'name': 'front', 'height': 64, 'width': 64, 'left': 50, 'side': 32}]},
            r'cameras\[0\]: image crop \(left 50, top 0, side 32\) to 32 px does not fit',
        ),
        ({'cameras': [{'name': 'front', 'height': 16, 'width': 16}]}, 'side of at least 32 px'),
        (
            {'cameras': [{'name': 'front', 'height': 64, 'width': 64}] * 2},
            'cameras: found front, front, allowed: each name once',
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, documents, change, message):
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump({**documents['small'], **change}))
    with pytest.raises(ConfigError, match=message):
        read_config(path, 'wrong')


@pytest.mark.parametrize('vision', [{}, {'siglip2': {}, 'keypoints': {}}, {'resnet': {}}])
def test_a_policy_sees_in_one_way(tmp_path, documents, vision):
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump({**documents['small'], 'vision': vision}))
    with pytest.raises(ConfigError, match=r'vision.*allowed: .*keypoints, siglip2'):
        read_config(path, 'blind')


CONFIGS = [
    *sorted((share_directory() / 'config/policies').glob('anolevla*.yaml')),
    *sorted((share_directory() / 'models').glob('anolevla*/config.yaml')),
]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_a_configuration_survives_writing(path, tmp_path):
    config = read_config(path, 'name')
    write_config(config, tmp_path / 'config.yaml')
    if config.spec.instructions.trained:
        config.spec.instructions.save(tmp_path / 'instructions.json')
    assert read_config(tmp_path / 'config.yaml', 'name') == config


def test_without_transformers_it_says_how_to_install_it(paper, monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(BackendError, match=r"pip install 'robomamba_ros\[vlm\]'"):
        load_policy(paper[1])


def test_a_device_that_is_not_there_is_refused_not_replaced(small):
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="'cuda' was asked for"):
            load_policy(small[1], device='cuda')
    with pytest.raises(BackendError, match="'gpu' is not a device"):
        load_policy(small[1], device='gpu')
