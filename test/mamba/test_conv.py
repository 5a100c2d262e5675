import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.scan.dispatch import CPU, REFERENCE, available_backends

BACKENDS = [
    REFERENCE,
    pytest.param(
        CPU,
        marks=pytest.mark.skipif(CPU not in available_backends(), reason='numba is not installed'),
    ),
]
shapes = st.tuples(
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 7, 63]),
    st.sampled_from([1, 5, 16, 33, 257]),
    st.integers(1, 5),
)
examples = settings(deadline=None, max_examples=15, derandomize=True)


def make_inputs(shape, dtype=torch.float64):
    b, length, d, k = shape
    generator = torch.Generator().manual_seed(0)
    sizes = ((b, length, d), (d, k), (d,), (b, k - 1, d))
    return [torch.randn(size, generator=generator, dtype=dtype) for size in sizes]


@pytest.mark.parametrize('backend', BACKENDS)
@given(shape=shapes)
@examples
def test_the_first_tokens_see_zeros_before_them(backend, shape):
    x, weight, bias, _ = make_inputs(shape)
    y, _ = causal_conv1d(x, weight, bias, backend=backend)
    padded = F.pad(x.transpose(1, 2), (shape[3] - 1, 0))
    expected = F.silu(F.conv1d(padded, weight[:, None], bias, groups=shape[2])).transpose(1, 2)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('backend', BACKENDS)
@given(shape=shapes, data=st.data())
@examples
def test_a_split_anywhere_with_the_state_carried_changes_nothing(backend, shape, data):
    x, weight, bias, initial = make_inputs(shape)
    at = data.draw(st.integers(1, shape[1]))
    y, final = causal_conv1d(x, weight, bias, initial, backend=backend)
    first, carried = causal_conv1d(x[:, :at], weight, bias, initial, backend=backend)
    assert torch.equal(carried, torch.cat((initial, x[:, :at]), 1)[:, at:])
    torch.testing.assert_close(first, y[:, :at], rtol=1e-12, atol=1e-12)
    if at < shape[1]:
        second, carried = causal_conv1d(x[:, at:], weight, bias, carried, backend=backend)
        torch.testing.assert_close(second, y[:, at:], rtol=1e-12, atol=1e-12)
    assert torch.equal(carried, final)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('length', [1, 2, 6])
def test_gradients_are_those_of_finite_differences(backend, length):
    leaves = [x.requires_grad_() for x in make_inputs((2, length, 5, 4))]

    def function(*tensors):
        return causal_conv1d(*tensors, backend=backend)

    assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.skipif(CPU not in available_backends(), reason='numba is not installed')
def test_cpu_equals_reference_in_float32_on_several_blocks_of_channels():
    found, expected = [], []
    for results, backend, dtype in (
        (found, CPU, torch.float32),
        (expected, REFERENCE, torch.float64),
    ):
        leaves = [x.to(dtype).requires_grad_() for x in make_inputs((2, 40, 600, 4))]
        y, final = causal_conv1d(*leaves, backend=backend)
        results += [y, final, *torch.autograd.grad(y.square().sum() + final.sum(), leaves)]
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_half_of_a_wider_tensor_is_computed_in_float32_and_keeps_its_type(backend, dtype):
    x, weight, bias, initial = make_inputs((2, 9, 40, 4))
    half, weight = x.to(dtype).chunk(2, dim=-1)[1], weight[20:].bfloat16()
    arguments = (bias[20:].float(), initial[..., 20:].float())
    y, final = causal_conv1d(half, weight, *arguments, backend=backend)
    computed = torch.float64 if dtype == torch.float64 else torch.float32
    exact = (half.to(computed), weight.to(computed), *(a.to(computed) for a in arguments))
    expected, expected_final = causal_conv1d(*exact, backend=backend)
    assert y.dtype == dtype
    assert torch.equal(y, expected.to(dtype))
    assert final.dtype == computed
    assert torch.equal(final, expected_final)


def test_the_state_shares_no_memory_with_the_input():
    x, weight, bias, initial = make_inputs((1, 6, 5, 4))
    for backend in available_backends():
        _, final = causal_conv1d(x, weight, bias, initial, backend=backend)
        kept = final.clone()
        x += 1
        assert torch.equal(final, kept)


def test_a_state_that_does_not_fit_is_refused():
    x, weight, bias, initial = make_inputs((2, 6, 5, 4))
    with pytest.raises(ValueError, match=r'is \(1, 3, 5\), expected \(2, 3, 5\)'):
        causal_conv1d(x, weight, bias, initial[:1])
    with pytest.raises(ValueError, match='has 5 channels, x has 4'):
        causal_conv1d(x[..., :4], weight, bias)
