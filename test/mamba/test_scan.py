import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils import deterministic

from robomamba_ros.mamba.scan import reference, selective_scan

DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}
SEQUENCES = ('u', 'delta', 'B', 'C', 'z')
examples = settings(deadline=None, max_examples=10, derandomize=True)


def shapes(backend):
    """Return a strategy of (b, l, d, n): odd lengths, parts of a vector and of a block, blocks."""
    if backend.interpreted:
        # A program for each sequence and block: these three cross every edge with few of them.
        few = [(1, 1, 5, 1), (2, backend.more, 1, 3), (1, backend.stretch, backend.wide, 16)]
        return st.sampled_from(few)
    return st.tuples(
        st.integers(1, 3),
        # Many stretches of time are in a test of their own.
        st.sampled_from([1, 2, 3, backend.stretch, backend.more, 63]),
        st.sampled_from([1, 5, 16, backend.wide]),
        st.sampled_from([1, 3, 16]),
    )


def make_inputs(shape, dtype=torch.float32):
    b, length, d, n = shape
    generator = torch.Generator().manual_seed(0)

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    return {
        'u': normal(b, length, d),
        'delta': normal(b, length, d) - 1,
        'A': -torch.exp(normal(d, n)),
        'B': normal(b, length, n),
        'C': normal(b, length, n),
        'D': normal(d),
        'z': normal(b, length, d),
        'delta_bias': normal(d),
        'initial_state': normal(b, d, n),
    }


def scan(backend, inputs, softplus=True):
    return backend.selective_scan(**inputs, delta_softplus=softplus)


def exact_scan(inputs, softplus=True):
    """Return what the paper's recurrence gives in float64."""
    exact = {name: tensor.double() for name, tensor in inputs.items()}
    return reference.selective_scan(**exact, delta_softplus=softplus)


def with_gradients(function, inputs):
    """Return y, the last state, and the gradient of every input, for fixed cotangents of both."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in inputs.items()}
    y, state = function(leaves)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in (y, state)]
    loss = (y * weights[0].to(y)).sum() + (state * weights[1].to(state)).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    named = dict(zip(leaves, gradients, strict=True))
    return {'y': y.detach(), 'state': state.detach(), **named}


def scan_with_gradients(backend, inputs, softplus=True):
    return with_gradients(lambda leaves: scan(backend, leaves, softplus), inputs)


def assert_all_close(backend, inputs, dtype, softplus=True):
    found = scan_with_gradients(backend, inputs, softplus)
    expected = with_gradients(lambda leaves: exact_scan(leaves, softplus), inputs)
    for name, value in expected.items():
        assert found[name].dtype == dtype, name
        assert_close(found[name], value, dtype)


def cut(inputs, start, stop, state):
    part = {name: x[:, start:stop] if name in SEQUENCES else x for name, x in inputs.items()}
    return {**part, 'initial_state': state}


def assert_close(found, expected, dtype):
    scale = expected.abs().max().item() + 1.0
    tolerance = TOLERANCE[dtype] * scale
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=tolerance)


@pytest.mark.parametrize('dtype', DTYPES)
@given(data=st.data())
@examples
def test_values_state_and_every_gradient_are_those_of_the_recurrence(backend, dtype, data):
    backend.require(dtype)
    inputs = make_inputs(data.draw(shapes(backend)), dtype)
    assert_all_close(backend, inputs, dtype)


def test_many_steps_give_what_the_recurrence_gives(backend):
    assert_all_close(backend, make_inputs((1, backend.long, 20, 4)), torch.float32)


def test_steps_that_are_given_as_they_are_give_what_the_recurrence_gives(backend):
    inputs = make_inputs((2, backend.more, backend.wide, 3))
    inputs |= {name: inputs[name].abs() for name in ('delta', 'delta_bias')}
    assert_all_close(backend, inputs, torch.float32, softplus=False)


@pytest.mark.parametrize('dtype', DTYPES)
@given(data=st.data())
@examples
def test_a_scan_is_the_fold_of_single_steps(backend, dtype, data):
    backend.require(dtype)
    if backend.interpreted and dtype == torch.float64:
        pytest.skip('the interpreter computes it as it computes float32, checked above')
    inputs = make_inputs(data.draw(shapes(backend)), dtype)
    y, state = scan(backend, inputs)
    carried, steps = inputs['initial_state'], []
    for t in range(inputs['u'].shape[1]):
        step, carried = scan(backend, cut(inputs, t, t + 1, carried))
        steps.append(step)
    assert_close(torch.cat(steps, 1), y, dtype)
    assert_close(carried, state, dtype)


@given(data=st.data())
@examples
def test_a_split_anywhere_with_the_state_carried_changes_nothing(backend, data):
    inputs = make_inputs(data.draw(shapes(backend)))
    length = inputs['u'].shape[1]
    at = data.draw(st.integers(1, max(1, length - 1)))
    y, state = scan(backend, inputs)
    parts, carried = [], inputs['initial_state']
    for start, stop in ((0, at), (at, length)):
        if start < stop:
            part, carried = scan(backend, cut(inputs, start, stop, carried))
            parts.append(part)
    assert_close(torch.cat(parts, 1), y, torch.float32)
    assert_close(carried, state, torch.float32)


@given(data=st.data())
@examples
def test_the_future_leaves_the_past_unchanged(backend, data):
    inputs = make_inputs(data.draw(shapes(backend)))
    at = data.draw(st.integers(0, inputs['u'].shape[1] - 1))
    y, _ = scan(backend, inputs)
    changed = {
        name: torch.cat((x[:, :at], x[:, at:] + 1), 1) if name in SEQUENCES else x
        for name, x in inputs.items()
    }
    other, _ = scan(backend, changed)
    assert torch.equal(other[:, :at], y[:, :at])
    assert not torch.equal(other[:, at], y[:, at])


@pytest.mark.parametrize('softplus', [False, True])
def test_gradients_are_those_of_finite_differences(backend, softplus):
    backend.require(torch.float64)
    if backend.interpreted:
        pytest.skip("its float64 gradients are the reference's, checked above")
    inputs = make_inputs((1, 3, 3, 2), torch.float64)
    names = list(inputs)

    def function(*tensors):
        return scan(backend, dict(zip(names, tensors, strict=True)), softplus)

    leaves = [tensor.requires_grad_() for tensor in inputs.values()]
    assert torch.autograd.gradcheck(function, leaves)


def test_what_is_left_out_counts_as_zero_or_as_no_gate(backend):
    b = backend.batch
    inputs = make_inputs((b, backend.more, 20, 4))
    bare = {name: inputs[name] for name in ('u', 'delta', 'A', 'B', 'C')}
    zeros = {
        'D': torch.zeros(20),
        'delta_bias': torch.zeros(20),
        'initial_state': torch.zeros(b, 20, 4),
    }
    y, state = scan(backend, bare)
    for found, expected in zip(scan(backend, {**bare, **zeros}), (y, state), strict=True):
        assert torch.equal(found, expected)
    gated, _ = scan(backend, {**bare, 'z': inputs['z']})
    assert_close(gated, y * torch.nn.functional.silu(inputs['z']), torch.float32)
    leaves = {name: x.requires_grad_() for name, x in {**bare, 'z': inputs['z']}.items()}
    y, _ = scan(backend, leaves)
    full, _ = scan(backend, {**leaves, **zeros})
    for found, expected in zip(
        torch.autograd.grad(y.sum(), leaves.values()),
        torch.autograd.grad(full.sum(), leaves.values()),
        strict=True,
    ):
        assert_close(found, expected, torch.float32)


@pytest.mark.parametrize('delta', [-1e4, -60.0, 60.0, 1e4])
def test_huge_and_tiny_steps_stay_finite(backend, delta):
    inputs = make_inputs((1, 5, 20, 4))
    inputs['delta'] = torch.full_like(inputs['delta'], delta)
    inputs['A'] = -torch.logspace(-8, 4, 80).reshape(20, 4)
    for name, value in scan_with_gradients(backend, inputs).items():
        assert torch.isfinite(value).all(), name


def test_a_tiny_step_keeps_its_relative_precision(backend):
    delta = torch.linspace(-80, 80, 401)
    one = torch.ones(1, 1, 1)
    inputs = {'u': one.expand(1, 1, 401), 'delta': delta[None, None], 'B': one, 'C': one}
    y, _ = scan(backend, {**inputs, 'A': torch.zeros(401, 1)})
    expected = torch.nn.functional.softplus(delta.double(), threshold=100)
    assert ((y[0, 0] - expected) / expected).abs().max() < 1e-6


def test_a_nan_is_passed_on_to_its_channel_and_to_no_other(backend):
    inputs = make_inputs((1, 6, 20, 4))
    inputs['delta'][0, 2, 7] = float('nan')
    y, state = scan(backend, inputs)
    expected = torch.zeros(6, 20, dtype=torch.bool)
    expected[2:, 7] = True
    assert torch.equal(torch.isnan(y[0]), expected)
    assert torch.isnan(state[0, 7]).all()


def test_every_element_of_every_output_is_written(backend):
    if backend.name == 'mamba_ssm':
        pytest.skip('the cumulative sum around mamba_ssm has no deterministic form on CUDA')
    inputs = make_inputs((2, backend.more, backend.wide, 3))
    torch.use_deterministic_algorithms(True)
    assert deterministic.fill_uninitialized_memory  # fresh memory is NaN from here on
    try:
        found = scan_with_gradients(backend, inputs)
    finally:
        torch.use_deterministic_algorithms(False)
    for name, value in found.items():
        assert torch.isfinite(value).all(), name


def test_a_second_run_on_two_threads_gives_the_same_bits(backend):
    if backend.name == 'mamba_ssm':
        pytest.skip('mamba_ssm adds up gradients in no fixed order')
    if backend.interpreted:
        pytest.skip('the interpreter runs one program after the other, on one thread')
    inputs = make_inputs((2, backend.more, backend.wide, 3))
    one = scan_with_gradients(backend, inputs)
    torch.set_num_threads(2)
    two = scan_with_gradients(backend, inputs)
    for name, value in one.items():
        assert torch.equal(two[name], value), name


def test_strided_inputs_give_what_contiguous_ones_give_and_are_not_written(backend):
    inputs = {
        name: x.to(backend.device)
        for name, x in make_inputs((backend.batch, backend.more, 24, 4)).items()
    }
    kept = {name: tensor.clone() for name, tensor in inputs.items()}
    strided = {
        name: torch.stack((x, x), -1)[..., 0] if x.ndim > 1 else x for name, x in inputs.items()
    }
    found, expected = scan_with_gradients(backend, strided), scan_with_gradients(backend, inputs)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6)
    for name, tensor in inputs.items():
        assert torch.equal(tensor, kept[name]), name


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, *DTYPES])
def test_the_type_of_u_alone_sets_the_types_of_the_results(backend, dtype):
    backend.require(dtype)
    inputs = make_inputs((backend.batch, backend.more, 20, 4), torch.float64)
    others = {'delta': torch.bfloat16, 'B': torch.float16, 'D': torch.float64, 'z': torch.float32}
    mixed = {name: x.to(others.get(name, torch.float32)) for name, x in inputs.items()}
    mixed['u'] = inputs['u'].to(dtype)
    computed = torch.float64 if dtype == torch.float64 else torch.float32
    found = scan_with_gradients(backend, mixed)
    same = scan_with_gradients(backend, {name: x.to(computed) for name, x in mixed.items()})
    assert (found['y'].dtype, found['state'].dtype) == (dtype, computed)
    assert torch.equal(found['state'], same['state'])
    backend.assert_rounded(found['y'], same['y'])
    for name, tensor in mixed.items():
        assert found[name].dtype == tensor.dtype, name


def test_shapes_that_do_not_fit_are_all_named():
    inputs = make_inputs((2, 5, 6, 4))
    inputs['B'] = inputs['B'][:, :4]
    inputs['initial_state'] = inputs['initial_state'][:1]
    message = r'B is \(2, 4, 4\), expected \(2, 5, 4\); initial_state is \(1, 6, 4\), expected'
    with pytest.raises(ValueError, match=message):
        selective_scan(**inputs)
