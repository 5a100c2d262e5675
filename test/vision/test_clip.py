"""CLIP's image tower against its equations in plain torch, and what is done to an image before."""

import sys

import numpy as np
import pytest
import torch

from robomamba_ros.errors import BackendError, ConfigError, ObservationError
from robomamba_ros.vision.clip import MEAN, STD, ClipConfig, ClipVision, Square, clip_image

SMALL = ClipConfig(
    image_size=28,
    patch_size=14,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=2,
)


def make_vision():
    pytest.importorskip('transformers', reason='CLIP needs transformers: pip install transformers')
    torch.manual_seed(0)
    vision = ClipVision(SMALL).eval()
    with torch.no_grad():
        for parameter in vision.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return vision


@torch.no_grad()
def test_tokens_are_those_of_the_equations():
    vision = make_vision()
    images = torch.randn(2, 3, 28, 28)
    w = {name.removeprefix('tower.'): value for name, value in vision.state_dict().items()}

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * w[f'{name}.weight'] + w[f'{name}.bias']

    def linear(x, name):
        return x @ w[f'{name}.weight'].T + w[f'{name}.bias']

    patches = images.unfold(2, 14, 14).unfold(3, 14, 14).permute(0, 2, 3, 1, 4, 5).reshape(2, 4, -1)
    tokens = patches @ w['embeddings.patch_embedding.weight'].flatten(1).T
    first = w['embeddings.class_embedding'].expand(2, 1, 32)
    x = torch.cat((first, tokens), dim=1) + w['embeddings.position_embedding.weight']
    x = norm(x, 'pre_layrnorm')
    for index in range(3):
        block = f'encoder.layers.{index}'
        h = norm(x, f'{block}.layer_norm1')
        q, k, v = (
            linear(h, f'{block}.self_attn.{p}_proj').reshape(2, 5, 2, 16).transpose(1, 2)
            for p in 'qkv'
        )
        mixed = ((q @ k.transpose(2, 3)) / 4.0).softmax(-1) @ v
        x = x + linear(mixed.transpose(1, 2).reshape(2, 5, 32), f'{block}.self_attn.out_proj')
        h = linear(norm(x, f'{block}.layer_norm2'), f'{block}.mlp.fc1')
        x = x + linear(h * torch.sigmoid(1.702 * h), f'{block}.mlp.fc2')
    found = vision(images)
    assert found.shape == (2, SMALL.tokens, 32)
    torch.testing.assert_close(found, x[:, 1:], atol=1e-5, rtol=1e-5)


def test_it_can_be_made_without_its_weights():
    weights = make_vision().state_dict()
    with torch.device('meta'):
        empty = ClipVision(SMALL).eval()
    empty.load_state_dict(weights, assign=True)
    images = torch.randn(1, 3, 28, 28)
    assert torch.equal(empty(images), make_vision()(images))


def test_the_image_is_the_middle_square_on_clips_scale():
    image = np.full((40, 60, 3), 255, np.uint8)
    image[:, 10:50] = (255, 0, 102)
    assert Square.of(40, 60) == Square(10, 0, 40)
    assert Square.of(61, 40) == Square(0, 10, 40)
    seen = clip_image(image, 28)
    expected = (np.array([1.0, 0.0, 0.4]) - MEAN) / STD
    np.testing.assert_allclose(seen.flatten(1).T.numpy(), np.tile(expected, (784, 1)), atol=1e-6)


@pytest.mark.parametrize('shape', [(90, 120), (112, 112), (20, 31)])
def test_resizing_is_pillows_bicubic(shape):
    pil = pytest.importorskip('PIL.Image', reason='the reference is Pillow: pip install pillow')
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    square = Square.of(*shape)
    cut = image[square.top :, square.left :][: square.side, : square.side]
    expected = np.asarray(pil.fromarray(cut).resize((28, 28), pil.Resampling.BICUBIC), np.float32)
    found = clip_image(image, 28).permute(1, 2, 0).numpy() * STD + MEAN
    assert np.abs(255.0 * found - expected).max() < 1.01


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=lambda image: str(image.shape),
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ObservationError, match=r'\(height, width, 3\) uint8 RGB is needed'):
        clip_image(image, 28)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match='image_size 225 is no multiple of patch_size 14'):
        ClipConfig(image_size=225)
    with pytest.raises(ConfigError, match='hidden_size 1024 is no multiple of num_attention_hea'):
        ClipConfig(num_attention_heads=15)


def test_without_transformers_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(BackendError, match=r"pip install 'robomamba_ros\[vlm\]'"):
        ClipVision(SMALL)
