"""A file like that of the published EfficientNet-Lite0, with weights drawn at random."""

from __future__ import annotations

from pathlib import Path

import torch

from robomamba_ros.vision.efficientnet import Trunk, convolution_names


def write_published(path: Path) -> Path:
    """Write weights that keep what goes through them at a size, under the published names."""
    torch.manual_seed(0)
    trunk, found = Trunk(), {}
    for name, convolution, norm in convolution_names(trunk):
        weight = trunk.get_parameter(f'{name}.weight')
        found[f'{convolution}.weight'] = torch.randn(weight.shape) / weight[0].numel() ** 0.5
        channels = len(weight)
        found[f'{norm}.weight'] = 0.5 + torch.rand(channels)
        found[f'{norm}.bias'] = 0.3 * torch.randn(channels)
        found[f'{norm}.running_mean'] = 0.1 * torch.randn(channels)
        found[f'{norm}.running_var'] = 0.5 + torch.rand(channels)
        found[f'{norm}.num_batches_tracked'] = torch.tensor(1)
    torch.save(found, path)
    return path
