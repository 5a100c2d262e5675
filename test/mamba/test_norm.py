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
    if backend == 'cpu' and stream == torch.float64:
        pytest.skip('cpu computes in float32 alone')
    norm = RMSNorm(shape[-1], 1e-2, backend).to(weight)
    norm.weight.normal_()
    x = torch.randn(shape, dtype=stream)
    found = norm(x)
    expected = F.rms_norm(x.double(), shape[-1:], norm.weight.double(), 1e-2)
    assert found.dtype == weight
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ('weight', 'stream', 'tolerance'),
    [
        (torch.float32, torch.float32, 1e-5),
        (torch.float64, torch.float64, 1e-13),
        (torch.bfloat16, torch.float32, 1e-2),
    ],
)
@pytest.mark.parametrize('shape', [(1, 7), (2, 19, 48), (40, 256)])
def test_gradients_are_those_of_torch(weight, stream, tolerance, shape):
    norm = RMSNorm(shape[-1], 1e-2, 'auto').to(weight)
    norm.weight.data.normal_()
    x = torch.randn(shape, dtype=stream, requires_grad=True)
    upstream = torch.randn(shape, dtype=weight)
    norm(x).backward(upstream)
    exact = x.detach().double().requires_grad_()
    exact_weight = norm.weight.detach().double().requires_grad_()
    F.rms_norm(exact, shape[-1:], exact_weight, 1e-2).backward(upstream.double())
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=tolerance, atol=tolerance)
    scale = exact_weight.grad.abs().max()
    torch.testing.assert_close(
        norm.weight.grad.double() / scale, exact_weight.grad / scale, rtol=0.0, atol=tolerance
    )


def test_autocast_rounds_once():
    norm = RMSNorm(12, 1e-5, 'cpu')
    x = torch.randn(3, 12)
    with torch.autocast('cpu', torch.bfloat16):
        found = norm(x)
    assert found.dtype == torch.bfloat16
    assert found.equal(norm(x).bfloat16())
