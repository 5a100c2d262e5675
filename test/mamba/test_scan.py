import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils import deterministic

from robomamba_ros.mamba.scan import selective_scan
from robomamba_ros.mamba.scan.dispatch import CPU, REFERENCE, available_backends

BACKENDS = [
    REFERENCE,
    pytest.param(
        CPU,
        marks=pytest.mark.skipif(CPU not in available_backends(), reason='numba is not installed'),
    ),
]
DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}
SEQUENCES = ('u', 'delta', 'B', 'C', 'z')

# Widths on both sides of the vector width (16) and of the block of channels (256).
shapes = st.tuples(
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 16, 17, 63]),
    st.sampled_from([1, 5, 16, 33, 257]),
    st.sampled_from([1, 3, 16]),
)
examples = settings(deadline=None, max_examples=15, derandomize=True)


def make_inputs(shape, dtype=torch.float32, seed=0):
    b, length, d, n = shape
    generator = torch.Generator().manual_seed(seed)

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


def run(inputs, backend, **options):
    return selective_scan(**inputs, delta_softplus=True, backend=backend, **options)


def run_with_gradients(inputs, backend):
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in inputs.items()}
    y, state = run(leaves, backend)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in (y, state)]
    loss = (y * weights[0].to(y)).sum() + (state * weights[1].to(state)).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    named = dict(zip(leaves, gradients, strict=True))
    return {'y': y.detach(), 'state': state.detach(), **named}


def cut(inputs, start, stop, state):
    part = {name: x[:, start:stop] if name in SEQUENCES else x for name, x in inputs.items()}
    return {**part, 'initial_state': state}


def assert_close(found, expected, dtype):
    scale = expected.abs().max().item() + 1.0
    tolerance = TOLERANCE[dtype] * scale
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=tolerance)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('backend', BACKENDS)
@given(shape=shapes)
@examples
def test_scan_is_the_fold_of_single_steps(backend, dtype, shape):
    inputs = make_inputs(shape, dtype)
    y, state = run(inputs, backend)
    carried = inputs['initial_state']
    for t in range(shape[1]):
        y_t, carried = run(cut(inputs, t, t + 1, carried), backend)
        assert_close(y_t, y[:, t : t + 1], dtype)
    assert_close(carried, state, dtype)


@pytest.mark.parametrize('backend', BACKENDS)
@given(shape=shapes, data=st.data())
@examples
def test_a_split_anywhere_with_the_state_carried_changes_nothing(backend, shape, data):
    inputs = make_inputs(shape)
    at = data.draw(st.integers(1, max(1, shape[1] - 1)))
    y, state = run(inputs, backend)
    parts, carried = [], inputs['initial_state']
    for start, stop in ((0, at), (at, shape[1])):
        if start < stop:
            part, carried = run(cut(inputs, start, stop, carried), backend)
            parts.append(part)
    assert_close(torch.cat(parts, 1), y, torch.float32)
    assert_close(carried, state, torch.float32)


@pytest.mark.parametrize('backend', BACKENDS)
@given(shape=shapes, data=st.data())
@examples
def test_the_future_leaves_the_past_unchanged(backend, shape, data):
    inputs = make_inputs(shape)
    at = data.draw(st.integers(0, shape[1] - 1))
    y, _ = run(inputs, backend)
    changed = {
        name: torch.cat((x[:, :at], x[:, at:] + 1), 1) if name in SEQUENCES else x
        for name, x in inputs.items()
    }
    other, _ = run(changed, backend)
    assert torch.equal(other[:, :at], y[:, :at])
    assert not torch.equal(other[:, at], y[:, at])


@pytest.mark.skipif(CPU not in available_backends(), reason='numba is not installed')
@pytest.mark.parametrize('dtype', DTYPES)
@given(shape=shapes, seed=st.integers(0, 1000))
@examples
def test_cpu_equals_reference_in_values_state_and_every_gradient(dtype, shape, seed):
    inputs = make_inputs(shape, dtype, seed)
    exact = {name: tensor.double() for name, tensor in inputs.items()}
    found, expected = run_with_gradients(inputs, CPU), run_with_gradients(exact, REFERENCE)
    for name, value in expected.items():
        assert found[name].dtype == dtype, name
        assert_close(found[name], value, dtype)


@pytest.mark.skipif(CPU not in available_backends(), reason='numba is not installed')
def test_cpu_equals_reference_over_500_steps():
    inputs = make_inputs((1, 500, 40, 4))
    exact = {name: tensor.double() for name, tensor in inputs.items()}
    found, expected = run_with_gradients(inputs, CPU), run_with_gradients(exact, REFERENCE)
    for name, value in expected.items():
        assert_close(found[name], value, torch.float32)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('softplus', [False, True])
def test_gradients_are_those_of_finite_differences(backend, softplus):
    inputs = make_inputs((2, 3, 5, 2), torch.float64)
    names = list(inputs)

    def function(*tensors):
        named = dict(zip(names, tensors, strict=True))
        return selective_scan(**named, delta_softplus=softplus, backend=backend)

    leaves = [tensor.requires_grad_() for tensor in inputs.values()]
    assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.parametrize('backend', BACKENDS)
def test_what_is_left_out_counts_as_zero_or_as_no_gate(backend):
    inputs = make_inputs((2, 17, 20, 4), torch.float64)
    bare = {name: inputs[name] for name in ('u', 'delta', 'A', 'B', 'C')}
    zeros = {
        'D': torch.zeros(20, dtype=torch.float64),
        'delta_bias': torch.zeros(20, dtype=torch.float64),
        'initial_state': torch.zeros(2, 20, 4, dtype=torch.float64),
    }
    y, state = run(bare, backend)
    for found, expected in zip(run({**bare, **zeros}, backend), (y, state), strict=True):
        assert torch.equal(found, expected)
    gated, _ = run({**bare, 'z': inputs['z']}, backend)
    expected = y * torch.nn.functional.silu(inputs['z'])
    torch.testing.assert_close(gated, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('delta', [-1e4, -60.0, 60.0, 1e4])
def test_huge_and_tiny_steps_stay_finite(backend, delta):
    inputs = make_inputs((1, 5, 20, 4))
    inputs['delta'] = torch.full_like(inputs['delta'], delta)
    inputs['A'] = -torch.logspace(-8, 4, 80).reshape(20, 4)
    for name, value in run_with_gradients(inputs, backend).items():
        assert torch.isfinite(value).all(), name


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_nan_is_passed_on_to_its_channel_and_to_no_other(backend):
    inputs = make_inputs((1, 6, 20, 4))
    inputs['delta'][0, 2, 7] = float('nan')
    y, state = run(inputs, backend)
    expected = torch.zeros(6, 20, dtype=torch.bool)
    expected[2:, 7] = True
    assert torch.equal(torch.isnan(y[0]), expected)
    assert torch.isnan(state[0, 7]).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_every_element_of_every_output_is_written(backend):
    inputs = make_inputs((2, 17, 259, 3))
    torch.use_deterministic_algorithms(True)
    assert deterministic.fill_uninitialized_memory  # fresh memory is NaN from here on
    try:
        found = run_with_gradients(inputs, backend)
    finally:
        torch.use_deterministic_algorithms(False)
    for name, value in found.items():
        assert torch.isfinite(value).all(), name


@pytest.mark.skipif(CPU not in available_backends(), reason='numba is not installed')
def test_the_number_of_threads_does_not_change_a_bit():
    inputs = make_inputs((2, 40, 600, 16))
    one = run_with_gradients(inputs, CPU)
    torch.set_num_threads(2)
    two = run_with_gradients(inputs, CPU)
    for name, value in one.items():
        assert torch.equal(two[name], value), name


@pytest.mark.parametrize('backend', BACKENDS)
def test_strided_inputs_give_what_contiguous_ones_give_and_are_not_written(backend):
    inputs = make_inputs((2, 9, 24, 4))
    kept = {name: tensor.clone() for name, tensor in inputs.items()}
    strided = {
        name: torch.stack((x, x), -1)[..., 0] if x.ndim > 1 else x for name, x in inputs.items()
    }
    found, expected = run(strided, backend), run(inputs, backend)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    for name, tensor in inputs.items():
        assert torch.equal(tensor, kept[name]), name


@pytest.mark.parametrize('backend', BACKENDS)
def test_sixteen_bit_inputs_are_computed_in_float32(backend):
    inputs = make_inputs((2, 30, 20, 4))
    rounded = {name: tensor.bfloat16() for name, tensor in inputs.items()}
    y, state = run(rounded, backend)
    expected, expected_state = run({n: x.float() for n, x in rounded.items()}, backend)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, expected.bfloat16())
    assert state.dtype == torch.float32
    assert torch.equal(state, expected_state)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_type_of_u_alone_sets_the_types_of_the_results(backend, dtype):
    inputs = make_inputs((2, 9, 20, 4), torch.float64)
    others = {'delta': torch.bfloat16, 'B': torch.float16, 'D': torch.float64, 'z': torch.float32}
    mixed = {name: x.to(others.get(name, torch.float32)) for name, x in inputs.items()}
    mixed['u'] = inputs['u'].to(dtype)
    computed = torch.float64 if dtype == torch.float64 else torch.float32
    found = run_with_gradients(mixed, backend)
    expected = run_with_gradients({name: x.to(computed) for name, x in mixed.items()}, backend)
    assert (found['y'].dtype, found['state'].dtype) == (dtype, computed)
    assert torch.equal(found['y'], expected['y'].to(dtype))
    assert torch.equal(found['state'], expected['state'])
    for name, tensor in mixed.items():
        assert found[name].dtype == tensor.dtype, name


def test_shapes_that_do_not_fit_are_all_named():
    inputs = make_inputs((2, 5, 6, 4))
    inputs['B'] = inputs['B'][:, :4]
    inputs['initial_state'] = inputs['initial_state'][:1]
    message = r'B is \(2, 4, 4\), expected \(2, 5, 4\); initial_state is \(1, 6, 4\), expected'
    with pytest.raises(ValueError, match=message):
        run(inputs, REFERENCE)
