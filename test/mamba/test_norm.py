import pytest
import torch
import torch.nn.functional as F

from robomamba_ros.mamba.norm import RMSNorm
from robomamba_ros.mamba.scan import available_backends


@pytest.mark.parametrize('backend', available_backends())
@pytest.mark.parametrize(
    ('weight', 'stream', 'tolerance'),
    [
        (torch.float32, torch.float32, 1e-6),
        (torch.float64, torch.float64, 1e-14),
        (torch.bfloat16, torch.float32, 4e-3),
    ],
)
@pytest.mark.parametrize('shape', [(1, 1, 7), (2, 19, 48), (3, 1024)])
@torch.no_grad()
def test_values(backend, weight, stream, tolerance, shape):
    norm = RMSNorm(shape[-1], 1e-2, backend).to(weight)
    norm.weight.normal_()
    x = torch.randn(shape, dtype=stream)
    found = norm(x)
    expected = F.rms_norm(x.double(), shape[-1:], norm.weight.double(), 1e-2)
    assert found.dtype == weight
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_gradients_are_those_of_torch():
    norm = RMSNorm(12, 1e-5, 'auto')
    x = torch.randn(3, 12, requires_grad=True)
    norm(x).square().sum().backward()
    found, norm.weight.grad = norm.weight.grad, None
    again = x.detach().clone().requires_grad_()
    F.rms_norm(again, (12,), norm.weight, 1e-5).square().sum().backward()
    torch.testing.assert_close(found, norm.weight.grad)
    torch.testing.assert_close(x.grad, again.grad)
