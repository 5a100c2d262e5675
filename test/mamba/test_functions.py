import numpy as np
import pytest
import torch

numba = pytest.importorskip('numba', reason='numba is not installed')

from robomamba_ros.mamba.kernels import functions  # noqa: E402


@numba.njit
def exp_of(x, y):
    for i in range(x.size):
        y[i] = functions.exp(x[i])


@numba.njit
def softplus_of(x, y):
    for i in range(x.size):
        y[i] = functions.softplus(x[i])


@numba.njit
def sigmoid_of(x, y):
    for i in range(x.size):
        y[i] = functions.sigmoid(x[i])


@numba.njit
def exp2_of(x, table, y):
    for i in range(x.size):
        y[i] = functions.exp2(x[i], functions.exp2_table(table))


@numba.njit
def rounded_of(x, y):
    for i in range(x.size):
        y[i] = functions.narrow(functions.widen(x[i]), y[i])


CASES = [
    (exp_of, np.exp, -87.0),
    (softplus_of, lambda x: np.logaddexp(0, x), -80.0),
    (sigmoid_of, lambda x: 1 / (1 + np.exp(-x)), -80.0),
]


@pytest.mark.parametrize(('compiled', 'exact', 'low'), CASES)
def test_relative_error(compiled, exact, low):
    x = np.linspace(low, 87, 200_001).astype(np.float32)
    y = np.full_like(x, np.nan)
    compiled(x, y)
    expected = exact(x.astype(np.float64))
    assert np.abs(y / expected - 1).max() < 1e-6


@pytest.mark.parametrize('compiled', [exp_of, softplus_of, sigmoid_of])
def test_float32_is_finite_at_the_far_ends_and_passes_a_nan_on(compiled):
    x = np.array([-3e38, -1e5, -88, 0, 88, 1e5, 3e38, np.nan], np.float32)
    y = np.zeros_like(x)
    compiled(x, y)
    assert np.isfinite(y[:-1]).all()
    assert np.isnan(y[-1])


def test_powers_of_two():
    x = np.linspace(-125, 126, 200_001).astype(np.float32)
    y = np.full_like(x, np.nan)
    exp2_of(x, functions.EXP2_TABLE.ctypes.data, y)
    assert np.abs(y / np.exp2(x.astype(np.float64)) - 1).max() < 3e-7


def test_powers_of_two_end_where_float32_does():
    x = np.array([-3e38, -126, 128, 3e38], np.float32)
    y = np.zeros_like(x)
    exp2_of(x, functions.EXP2_TABLE.ctypes.data, y)
    assert (y[:2] < 2.0**-125).all()
    assert (y[:2] > 0).all()
    assert (y[2:] > 1e38).all()
    assert np.isfinite(y).all()


def test_bfloat16_is_read_exactly_and_rounded_as_torch_rounds():
    numbers = torch.cat(
        (torch.randn(100_000), torch.tensor([0.0, -0.0, 3e38, 3.4e38, torch.inf, torch.nan]))
    )
    x = numbers.numpy()
    y = np.zeros(x.shape, np.uint16)
    rounded_of(x, y)
    expected = numbers.to(torch.bfloat16)
    found = torch.from_numpy(y.view(np.int16)).view(torch.bfloat16)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    back = np.zeros_like(x)
    rounded_of(y, back)
    np.testing.assert_array_equal(back, expected.float().numpy())
