"""The SigLIP image tower, held to transformers' own model."""

import pytest
import torch

from robomamba_ros.errors import ConfigError
from robomamba_ros.vision.siglip import SiglipConfig, SiglipVision

transformers = pytest.importorskip('transformers', reason='SigLIP needs transformers')

SMALL = SiglipConfig(
    image_size=32,
    patch_size=8,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
)


@pytest.fixture
def vision():
    torch.manual_seed(0)
    return SiglipVision(SMALL, d_model=24).eval()


def test_tokens_are_the_projected_patches_of_every_camera_in_order(vision):
    images = torch.randn(2, 3, 3, 32, 32)
    model = transformers.SiglipVisionModel(vision.tower.config)
    tower = model.base_model
    tower.load_state_dict(vision.tower.state_dict())
    with torch.no_grad():
        tokens, localization = vision(images, torch.zeros(2, 5, 24))
        expected = model.eval()(images.flatten(0, 1)).last_hidden_state
        expected = vision.project(expected).reshape(2, 3 * SMALL.tokens, 24)
    assert SMALL.tokens == 16
    assert localization is None
    torch.testing.assert_close(tokens, expected)


def test_the_whole_tower_can_learn_but_for_the_head_that_is_not_read(vision):
    vision.train()
    vision(torch.randn(1, 1, 3, 32, 32), torch.zeros(1, 5, 24)).tokens.square().sum().backward()
    without = {name for name, p in vision.named_parameters() if p.grad is None}
    assert without
    assert all(name.startswith('tower.head.') for name in without)


def test_the_defaults_are_base_16_at_224():
    assert SiglipConfig().tokens == 196
    assert sum(p.numel() for p in SiglipVision(SiglipConfig(), 8).tower.parameters()) == 92_884_224


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [
        ({'image_size': 225}, 'image_size 225 is no multiple of patch_size 16'),
        ({'num_attention_heads': 7}, 'hidden_size 768 is no multiple of num_attention_heads 7'),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, message):
    with pytest.raises(ConfigError, match=message):
        SiglipConfig(**sizes)
