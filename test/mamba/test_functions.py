import numpy as np
import pytest

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


CASES = [
    (exp_of, np.exp, -87.0),
    (softplus_of, lambda x: np.logaddexp(0, x), -80.0),
    (sigmoid_of, lambda x: 1 / (1 + np.exp(-x)), -80.0),
]


@pytest.mark.parametrize(('compiled', 'exact', 'low'), CASES)
@pytest.mark.parametrize(('dtype', 'bound'), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_relative_error(compiled, exact, low, dtype, bound):
    x = np.linspace(low, 87, 200_001).astype(dtype)
    y = np.full_like(x, np.nan)
    compiled(x, y)
    expected = exact(x.astype(np.float64))
    assert np.abs(y / expected - 1).max() < bound


@pytest.mark.parametrize('compiled', [exp_of, softplus_of, sigmoid_of])
def test_float32_is_finite_at_the_far_ends_and_passes_a_nan_on(compiled):
    x = np.array([-3e38, -1e5, -88, 0, 88, 1e5, 3e38, np.nan], np.float32)
    y = np.zeros_like(x)
    compiled(x, y)
    assert np.isfinite(y[:-1]).all()
    assert np.isnan(y[-1])
