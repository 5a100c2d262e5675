"""What benchmarks compare with: all products of a pass and no others, and products in int8."""

import pytest
import torch
from torch import nn

from robomamba_ros.benchmarks.speeds import dtypes, int8_layer, product_shapes
from robomamba_ros.common.machine import ComputeDevice
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig


def test_the_products_are_those_of_all_linear_layers():
    config = MambaConfig(d_model=40, n_layer=3, d_state=5)
    layers = [m for m in MambaBackbone(config).modules() if isinstance(m, nn.Linear)]
    shapes = product_shapes(config, 7)
    assert sum(shapes.values()) == len(layers)
    found = sum(count * inputs * outputs for (_, inputs, outputs), count in shapes.items())
    assert found == sum(layer.weight.numel() for layer in layers)
    assert {rows for rows, _, _ in shapes} == {7}


def test_a_product_in_int8_is_that_of_the_weight_within_its_steps():
    torch.manual_seed(0)
    x, weight = torch.randn(5, 64), torch.randn(32, 64)
    layer = int8_layer(weight)
    if layer is None:
        pytest.skip('this build of torch multiplies no int8')
    expected = x @ weight.T
    error = (layer(x) - expected).norm() / expected.norm()
    assert 1e-4 < error < 0.05


@pytest.mark.parametrize(
    ('fast', 'types'), [(True, (torch.bfloat16, torch.float32)), (False, (torch.float32,))]
)
def test_tables_are_for_the_types_that_are_fast(monkeypatch, fast, types):
    device = ComputeDevice('x', fast)
    monkeypatch.setattr('robomamba_ros.benchmarks.speeds.compute_device', lambda _: device)
    assert dtypes() == types
