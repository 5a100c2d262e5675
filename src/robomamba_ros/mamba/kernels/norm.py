"""RMSNorm as one pass on the CPU, forward and backward. Layouts: x, y (rows, d); weight (d,)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.kernels.compiling import CALLED, compiled
from robomamba_ros.mamba.kernels.functions import ZERO, narrow, widen
from robomamba_ros.mamba.kernels.launch import (
    array_at,
    claimed,
    element,
    launch,
    layout,
    named,
)

# Rows per task.
ROWS = 16

# Arguments of kernels are integers.
EPSILON_UNIT = 1e-15

# The arguments: sizes, epsilon in EPSILON_UNIT, and tensors by their address.
_INPUTS = ('rows', 'd', 'x', 'weight', 'epsilon')
FORWARD = layout(*_INPUTS, 'y')
BACKWARD = layout(*_INPUTS, 'grad_y', 'grad_x', 'grad_weight')


# Reassociation lets LLVM vectorise the sum of squares.
@njit(nogil=True, fastmath={'contract', 'reassoc'}, error_model='numpy', **CALLED)
def _forward_task(q: Any, task: Any, out: Any) -> None:
    rows, d = q.rows, q.d
    x = array_at(q.x, (rows, d), ZERO)
    weight = array_at(q.weight, (d,), ZERO)
    epsilon = q.epsilon * EPSILON_UNIT
    y = array_at(q.y, (rows, d), out)
    for row in range(task * ROWS, min(task * ROWS + ROWS, rows)):
        x_t, y_t = x[row], y[row]
        total = ZERO
        for j in range(d):
            total += x_t[j] * x_t[j]
        scale = np.float32(1 / np.sqrt(total / d + epsilon))
        for j in range(d):
            y_t[j] = narrow(x_t[j] * scale * weight[j], out)


# The gradient of scale * x is scale * (g - n * mean(g * n)), with n = scale * x.
@njit(nogil=True, fastmath={'contract', 'reassoc'}, error_model='numpy', **CALLED)
def _backward_task(q: Any, task: Any, out: Any) -> None:
    rows, d = q.rows, q.d
    x = array_at(q.x, (rows, d), ZERO)
    weight = array_at(q.weight, (d,), ZERO)
    epsilon = q.epsilon * EPSILON_UNIT
    grad_y = array_at(q.grad_y, (rows, d), out)
    grad_x = array_at(q.grad_x, (rows, d), ZERO)
    grad_weight = array_at(q.grad_weight, (-(-rows // ROWS), d), ZERO)[task]
    for j in range(d):
        grad_weight[j] = 0
    for row in range(task * ROWS, min(task * ROWS + ROWS, rows)):
        x_t, grad_y_t, grad_x_t = x[row], grad_y[row], grad_x[row]
        total, shared = ZERO, ZERO
        for j in range(d):
            total += x_t[j] * x_t[j]
            shared += widen(grad_y_t[j]) * weight[j] * x_t[j]
        scale = np.float32(1 / np.sqrt(total / d + epsilon))
        shared *= scale * scale / d
        for j in range(d):
            grad = widen(grad_y_t[j]) * scale
            grad_x_t[j] = grad * weight[j] - x_t[j] * shared * scale
            grad_weight[j] += grad * x_t[j]


@functools.lru_cache(maxsize=None, typed=True)
def _forward_kernel(out: Any) -> Any:
    def run(arguments: Any) -> None:
        q = named(arguments, FORWARD)
        for task in claimed(arguments):
            _forward_task(q, task, out)

    return compiled(run)


@functools.lru_cache(maxsize=None, typed=True)
def _backward_kernel(out: Any) -> Any:
    def run(arguments: Any) -> None:
        q = named(arguments, BACKWARD)
        for task in claimed(arguments):
            _backward_task(q, task, out)

    return compiled(run)


def _forward(x: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
    y = torch.empty(x.shape, dtype=dtype)
    d = x.shape[-1]
    rows = x.numel() // d
    kernel = _forward_kernel(element(dtype))
    arguments = {**_arguments(x, weight, epsilon), 'y': y}
    launch(kernel, FORWARD, -(-rows // ROWS), 4 * rows * d, arguments)
    return y


def _arguments(x: Tensor, weight: Tensor, epsilon: float) -> dict[str, Tensor | int]:
    d = x.shape[-1]
    sizes = {'rows': x.numel() // d, 'd': d, 'epsilon': round(epsilon / EPSILON_UNIT)}
    return {**sizes, 'x': x, 'weight': weight}


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.epsilon = epsilon
        return _forward(x, weight, epsilon, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        d = x.shape[-1]
        rows = x.numel() // d
        tasks = -(-rows // ROWS)
        grad_x, grad_weight = torch.empty_like(x), weight.new_empty((tasks, d))
        grad_y = grad_y.contiguous()
        kernel = _backward_kernel(element(grad_y.dtype))
        arguments = {
            **_arguments(x, weight, ctx.epsilon),
            'grad_y': grad_y,
            'grad_x': grad_x,
            'grad_weight': grad_weight,
        }
        launch(kernel, BACKWARD, tasks, 10 * rows * d, arguments)
        return grad_x, grad_weight.sum(0), None, None


def rms_norm(x: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
    """Return x (..., d) normed and weighted, in `dtype`.

    x and weight (d,): float32; dtype: float32 or bfloat16, others are rounded to behind it.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        return rms_norm(x, weight, epsilon, torch.float32).to(dtype)
    x = x.contiguous()
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        y: Tensor = _RMSNorm.apply(x, weight, epsilon, dtype)
        return y
    return _forward(x, weight, epsilon, dtype)
