"""What is built around the authors' scan, with the paper's recurrence in its place."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.errors import BackendError
from robomamba_ros.mamba.scan import reference
from robomamba_ros.mamba.scan.mamba_ssm import causal_conv1d, scan_from_any_state

shapes = st.tuples(
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 17, 63]),
    st.sampled_from([1, 5, 33]),
    st.sampled_from([1, 3, 16]),
)


def zero_scan(u, delta, A, B, C):
    """Scan from zero as mamba_ssm does: channels before time, and no last state."""
    sequences = [x.transpose(1, 2) for x in (u, delta)]
    readers = [x.transpose(1, 2) for x in (B, C)]
    start = u.new_zeros(u.shape[0], *A.shape)
    y, _ = reference.selective_scan(*sequences, A, *readers, None, None, None, False, start)
    return y.transpose(1, 2)


def make_inputs(shape, dtype=torch.float64):
    b, length, d, n = shape
    sequence, vectors = (b, length, d), (b, length, n)
    generator = torch.Generator().manual_seed(0)
    sizes = (sequence, sequence, (d, n), vectors, vectors, (d,), sequence, (d,), (b, d, n))
    inputs = [torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]
    inputs[2] = -inputs[2].exp()
    return [tensor.to(dtype).requires_grad_() for tensor in inputs]


def around(*inputs, softplus=True):
    return scan_from_any_state(zero_scan, *inputs[:8], softplus, inputs[8])


def recurrence(*inputs):
    return reference.selective_scan(*inputs[:8], True, inputs[8])


def with_gradients(function, inputs):
    results = function(*inputs)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in results]
    loss = sum((x * weight.to(x)).sum() for x, weight in zip(results, weights, strict=True))
    leaves = [tensor for tensor in inputs if tensor is not None]
    return [*results, *torch.autograd.grad(loss, leaves)]


@given(shape=shapes)
@settings(deadline=None, max_examples=25, derandomize=True)
def test_any_state_values_and_every_gradient_are_those_of_the_recurrence(shape):
    inputs = make_inputs(shape)
    found, expected = with_gradients(around, inputs), with_gradients(recurrence, inputs)
    for value, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(value, exact, rtol=1e-10, atol=1e-10)


def test_float32_over_500_steps_is_the_recurrence_up_to_rounding():
    found = around(*make_inputs((1, 500, 20, 16), torch.float32))
    expected = recurrence(*make_inputs((1, 500, 20, 16)))
    for value, exact in zip(found, expected, strict=True):
        error = (value - exact).norm() / exact.norm()
        assert value.dtype == torch.float32
        assert error < 1e-5


def test_no_state_is_a_state_of_zero():
    inputs = make_inputs((2, 9, 5, 4))
    without = with_gradients(around, [*inputs[:8], None])
    zeros = with_gradients(around, [*inputs[:8], torch.zeros(2, 5, 4).double().requires_grad_()])
    for value, expected in zip(without, zeros[:-1], strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


def test_what_is_optional_may_be_left_out():
    inputs = make_inputs((2, 9, 5, 4))
    bare = [*inputs[:5], None, None, None, inputs[8]]
    zero = torch.zeros(5, dtype=torch.float64)
    y, state = around(*bare)
    expected = reference.selective_scan(*inputs[:5], zero, None, zero, True, inputs[8])
    torch.testing.assert_close((y, state), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('softplus', [False, True])
def test_gradients_are_those_of_finite_differences(softplus):
    inputs = make_inputs((1, 3, 3, 2))
    assert torch.autograd.gradcheck(lambda *x: around(*x, softplus=softplus), inputs)


def test_sixteen_bit_inputs_are_computed_in_float32():
    inputs = [tensor.detach() for tensor in make_inputs((2, 9, 5, 4), torch.bfloat16)]
    inputs[8] = inputs[8].float()
    y, state = around(*inputs)
    exact, exact_state = around(*(tensor.float() for tensor in inputs))
    assert torch.equal(y, exact.bfloat16())
    assert torch.equal(state, exact_state)


def test_what_the_kernels_lack_is_refused_with_the_backends_that_have_it():
    x, taps = torch.zeros(1, 3, 5), torch.zeros(5, 5)
    with pytest.raises(BackendError, match=r"\(2, 3, 4\) taps, got 5; use 'triton' or 'reference'"):
        causal_conv1d(x, taps, None, torch.zeros(1, 4, 5))
