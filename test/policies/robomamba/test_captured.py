"""Captured passes give the poses and answers that single passes give."""

import numpy as np
import pytest
import torch

from robomamba_ros.mamba.generation import TopP
from robomamba_ros.policies.base import fake_observation
from robomamba_ros.policies.robomamba.captured import LENGTHS, CapturedPasses
from robomamba_ros.policies.robomamba.network import RoboMamba
from robomamba_ros.policies.robomamba.policy import RoboMambaPolicy

QUESTIONS = ('what is in the picture?', 'open ' * LENGTHS[-1])


@pytest.fixture
def network(config):
    torch.manual_seed(0)
    network = RoboMamba(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    network.language.embedding.weight.mul_(0.3)
    return network


@pytest.fixture
def policies(network, tokenizer):
    return [
        RoboMambaPolicy(network, tokenizer, cache='prefix', captured=captured)
        for captured in (False, True)
    ]


def test_poses_and_answers_of_short_and_long_texts_with_and_without_an_image(policies, config):
    first, second = (fake_observation(config.spec, seed).images['front'] for seed in (0, 1))
    stepwise, whole = policies
    for image in (first, first, second):
        for text in QUESTIONS:
            expected, found = (policy.contact(image, text) for policy in policies)
            np.testing.assert_allclose(found.pixel, expected.pixel, rtol=1e-4)
            np.testing.assert_allclose(found.rotation, expected.rotation, atol=1e-4)
    for image in (second, None, first):
        for text in QUESTIONS:
            assert whole.answer(image, text, max_tokens=6) == stepwise.answer(
                image, text, max_tokens=6
            )
    draws = [
        policy.answer(first, QUESTIONS[0], max_tokens=12, choose=TopP(0.9, temperature=4, seed=3))
        for policy in policies
    ]
    assert draws[0] == draws[1] != whole.answer(first, QUESTIONS[0], max_tokens=12)


def test_an_answer_does_not_go_on_behind_another_text(policies, config):
    image = fake_observation(config.spec).images['front']
    pieces = policies[1].answer_pieces(image, 'what?', max_tokens=50)
    next(pieces)
    policies[1].contact(image, 'open the drawer')
    with pytest.raises(RuntimeError, match='another text was read'):
        list(pieces)


def test_an_image_that_is_the_last_one_is_not_seen_again(network, tokenizer, config):
    seen = []
    network.vision.register_forward_hook(lambda *args: seen.append(1))
    image = fake_observation(config.spec).images['front']
    for cache, images in (('prefix', 1), ('none', 2)):
        policy = RoboMambaPolicy(network, tokenizer, cache=cache, captured=True)
        seen.clear()
        first, second = (policy.contact(image, text) for text in ('open', 'open'))
        assert len(seen) == images
        assert np.array_equal(first.pixel, second.pixel)
        policy.reset()
        policy.contact(image, 'open')
        assert len(seen) == images + 1


def test_a_text_in_pieces_of_any_length_leaves_the_state_of_the_whole(network):
    passes = CapturedPasses(network, [1, 2])
    for count in (1, 15, 16, 17, 64, 65, 81):
        ids = torch.arange(count) % 300
        passes.see(None)
        passes.read(ids.tolist())
        embedding = network.language.embedding
        _, opened = network.language.backbone(embedding(torch.tensor([[1, 2]])))
        hidden, state = network.language.backbone(embedding(ids[None]), opened)
        torch.testing.assert_close(passes._last, hidden[:, -1], rtol=1e-4, atol=1e-5)
        for found, expected in zip(passes._state.layers, state.layers, strict=True):
            torch.testing.assert_close(found.ssm, expected.ssm, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found.conv, expected.conv, rtol=1e-4, atol=1e-5)
