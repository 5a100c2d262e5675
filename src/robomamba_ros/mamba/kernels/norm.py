"""RMSNorm as one pass on the CPU, forward only. Layouts: x, y (rows, d); weight (d,)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numba import cfunc, njit
from torch import Tensor

from robomamba_ros.mamba.kernels.functions import narrow
from robomamba_ros.mamba.kernels.launch import (
    ENTRY,
    array_at,
    claimed,
    element,
    launch,
    slots,
)

# Rows per task.
ROWS = 16

# Arguments of kernels are integers.
EPSILON_UNIT = 1e-15


# Reassociation lets LLVM vectorise the sum of squares.
@njit(nogil=True, fastmath={'contract', 'reassoc'}, error_model='numpy')
def _task(q: Any, task: Any, out: Any, real: Any) -> None:
    rows, d = q[2], q[3]
    x = array_at(q[4], (rows, d), real)
    weight = array_at(q[5], (d,), real)
    epsilon = q[6] * EPSILON_UNIT
    y = array_at(q[7], (rows, d), out)
    for row in range(task * ROWS, min(task * ROWS + ROWS, rows)):
        x_t, y_t = x[row], y[row]
        total = real
        for j in range(d):
            total += x_t[j] * x_t[j]
        scale = weight.dtype.type(1 / np.sqrt(total / d + epsilon))
        for j in range(d):
            y_t[j] = narrow(x_t[j] * scale * weight[j], out)


@functools.lru_cache(maxsize=None, typed=True)
def _kernel(out: Any, real: Any) -> Any:
    @cfunc(ENTRY, cache=True)
    def run(arguments: Any) -> None:
        q = slots(arguments)
        for task in claimed(arguments):
            _task(q, task, out, real)

    return run


def rms_norm(x: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
    """Return x (..., d) normed and weighted, in `dtype`.

    x and weight (d,): of one type, float32 or float64; dtype: that or bfloat16.
    """
    x = x.contiguous()
    y = torch.empty(x.shape, dtype=dtype)
    d = x.shape[-1]
    rows = x.numel() // d
    kernel = _kernel(element(dtype), element(x.dtype))
    launch(
        kernel,
        -(-rows // ROWS),
        4 * rows * d,
        (rows, d, x, weight, round(epsilon / EPSILON_UNIT), y),
    )
    return y
