import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.mamba.conv import causal_conv1d

DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
examples = settings(deadline=None, max_examples=10, derandomize=True)


def shapes(backend):
    """Return a strategy of (b, l, d, k)."""
    if backend.interpreted:
        # A program for each sequence, stretch and block: few of them, and every edge is crossed.
        return st.sampled_from([(1, 1, 5, 1), (2, 17, 1, 2), (1, 3, 2 * backend.wide, 5)])
    return st.tuples(
        st.integers(1, 3),
        st.sampled_from([1, 2, 3, 7, 63]),
        st.sampled_from([1, 5, 16, 2 * backend.wide]),
        st.integers(2, 4) if backend.name == 'mamba_ssm' else st.integers(1, 5),
    )


def make_inputs(shape, dtype=torch.float32):
    b, length, d, k = shape
    generator = torch.Generator().manual_seed(0)
    sizes = ((b, length, d), (d, k), (d,), (b, k - 1, d))
    return [torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes]


def formula(x, weight, bias, initial):
    window = torch.cat((initial, x), 1)
    y = F.silu(F.conv1d(window.transpose(1, 2), weight[:, None], bias, groups=x.shape[2]))
    return y.transpose(1, 2), window[:, x.shape[1] :]


def with_gradients(function, inputs):
    """Return y, the last state, and the gradient of every input, for fixed cotangents of both."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    y, final = function(*leaves)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in (y, final)]
    loss = (y * weights[0].to(y)).sum() + (final * weights[1].to(final)).sum()
    return [y.detach(), final.detach(), *torch.autograd.grad(loss, leaves)]


def assert_close(found, expected, dtype):
    torch.testing.assert_close(found, expected, rtol=TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize('dtype', DTYPES)
@given(data=st.data())
@examples
def test_values_state_and_every_gradient_are_those_of_the_formula(backend, dtype, data):
    backend.require(dtype)
    inputs = make_inputs(data.draw(shapes(backend)), dtype)
    found = with_gradients(backend.causal_conv1d, inputs)
    expected = with_gradients(formula, [tensor.double() for tensor in inputs])
    assert torch.equal(found[1].double(), expected[1])
    for value, exact in zip(found, expected, strict=True):
        assert value.dtype == dtype
        assert_close(value.double(), exact, dtype)


def test_the_first_tokens_see_zeros_before_them(backend):
    x, weight, bias, initial = make_inputs((2, 6, 5, 4))
    y, final = backend.causal_conv1d(x, weight, bias)
    expected, kept = formula(x, weight, bias, torch.zeros_like(initial))
    assert_close(y, expected, torch.float32)
    assert torch.equal(final, kept)
    unbiased, _ = backend.causal_conv1d(x, weight, None, initial)
    assert_close(unbiased, formula(x, weight, None, initial)[0], torch.float32)


@given(data=st.data())
@examples
def test_a_split_anywhere_with_the_state_carried_changes_nothing(backend, data):
    shape = data.draw(shapes(backend))
    x, weight, bias, initial = make_inputs(shape)
    at = data.draw(st.integers(1, shape[1]))
    y, final = backend.causal_conv1d(x, weight, bias, initial)
    first, carried = backend.causal_conv1d(x[:, :at], weight, bias, initial)
    parts = [first]
    if at < shape[1]:
        second, carried = backend.causal_conv1d(x[:, at:], weight, bias, carried)
        parts.append(second)
    assert_close(torch.cat(parts, 1), y, torch.float32)
    assert torch.equal(carried, final)


@given(data=st.data())
@examples
def test_the_future_leaves_the_past_unchanged(backend, data):
    shape = data.draw(shapes(backend))
    x, weight, bias, initial = make_inputs(shape)
    at = data.draw(st.integers(0, shape[1] - 1))
    y, _ = backend.causal_conv1d(x, weight, bias, initial)
    changed = torch.cat((x[:, :at], x[:, at:] + 1), 1)
    other, _ = backend.causal_conv1d(changed, weight, bias, initial)
    assert torch.equal(other[:, :at], y[:, :at])
    assert not torch.equal(other[:, at], y[:, at])


@pytest.mark.parametrize('length', [1, 5])
def test_gradients_are_those_of_finite_differences(backend, length):
    backend.require(torch.float64)
    if backend.interpreted:
        pytest.skip("its float64 gradients are the formula's, checked above")
    leaves = [x.requires_grad_() for x in make_inputs((1, length, 2, 3), torch.float64)]
    assert torch.autograd.gradcheck(backend.causal_conv1d, leaves)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, *DTYPES])
def test_half_of_a_wider_tensor_is_computed_in_float32_and_keeps_its_type(backend, dtype):
    backend.require(dtype)
    x, weight, bias, initial = make_inputs((2, 9, 40, 4), torch.float64)
    half = x.to(backend.device, dtype).chunk(2, dim=-1)[1]
    kept = half.clone()
    arguments = (weight[20:].bfloat16(), bias[20:].float(), initial[..., 20:].float())
    y, final = backend.causal_conv1d(half, *arguments)
    computed = torch.float64 if dtype == torch.float64 else torch.float32
    same = backend.causal_conv1d(half.to(computed), *(a.to(computed) for a in arguments))
    assert (y.dtype, final.dtype) == (dtype, computed)
    backend.assert_rounded(y, same[0])
    assert torch.equal(final, same[1])
    assert torch.equal(half, kept)


def test_the_state_shares_no_memory_with_the_input(backend):
    x, weight, bias, initial = (t.to(backend.device) for t in make_inputs((1, 6, 5, 4)))
    _, final = causal_conv1d(x, weight, bias, initial, backend=backend.name)
    kept = final.clone()
    x += 1
    assert torch.equal(final, kept)


def test_a_state_that_does_not_fit_is_refused():
    x, weight, bias, initial = make_inputs((2, 6, 5, 4))
    with pytest.raises(ValueError, match=r'is \(1, 3, 5\), expected \(2, 3, 5\)'):
        causal_conv1d(x, weight, bias, initial[:1])
    with pytest.raises(ValueError, match='has 5 channels, x has 4'):
        causal_conv1d(x[..., :4], weight, bias)
