"""The causal depthwise convolution with SiLU as one fused pass on the CPU, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.kernels.functions import sigmoid
from robomamba_ros.mamba.kernels.launch import BLOCK, launch


@njit(nogil=True, fastmath={'contract'}, error_model='numpy', cache=True)
def _forward_block(
    batch: Any, first: Any, x: Any, taps: Any, bias: Any, initial: Any, y: Any, final: Any
) -> None:
    length, k = x.shape[1], taps.shape[0]
    last = min(first + BLOCK, x.shape[2])
    width = last - first
    total = np.empty(BLOCK, x.dtype)
    shift = bias[first:last]
    for t in range(length):
        for j in range(width):
            total[j] = shift[j]
        for tap in range(k):
            source = t + tap - (k - 1)
            row = x[batch, source] if source >= 0 else initial[batch, t + tap]
            inputs, factor = row[first:last], taps[tap, first:last]
            for j in range(width):
                total[j] += factor[j] * inputs[j]
        y_t = y[batch, t, first:last]
        for j in range(width):
            y_t[j] = total[j] * sigmoid(total[j])
    for i in range(k - 1):
        source = length + i - (k - 1)
        row = x[batch, source] if source >= 0 else initial[batch, length + i]
        final[batch, i, first:last] = row[first:last]


@njit(nogil=True, fastmath={'contract'}, error_model='numpy', cache=True)
def _backward_block(
    batch: Any,
    first: Any,
    x: Any,
    taps: Any,
    bias: Any,
    initial: Any,
    grad_y: Any,
    grad_final: Any,
    grad_x: Any,
    grad_taps: Any,
    grad_bias: Any,
    grad_initial: Any,
) -> None:
    length, k = x.shape[1], taps.shape[0]
    last = min(first + BLOCK, x.shape[2])
    width = last - first
    one = x.dtype.type(1)
    total = np.empty(BLOCK, x.dtype)
    shift, shift_sum = bias[first:last], grad_bias[batch, first:last]
    shift_sum[:] = 0
    grad_taps[batch, :, first:last] = 0
    grad_x[batch, :, first:last] = 0
    grad_initial[batch, :, first:last] = 0
    for i in range(k - 1):
        source = length + i - (k - 1)
        row = grad_x[batch, source] if source >= 0 else grad_initial[batch, length + i]
        row[first:last] = grad_final[batch, i, first:last]
    for t in range(length):
        for j in range(width):
            total[j] = shift[j]
        for tap in range(k):
            source = t + tap - (k - 1)
            row = x[batch, source] if source >= 0 else initial[batch, t + tap]
            inputs, factor = row[first:last], taps[tap, first:last]
            for j in range(width):
                total[j] += factor[j] * inputs[j]
        grad_y_t = grad_y[batch, t, first:last]
        for j in range(width):
            gate = sigmoid(total[j])
            total[j] = grad_y_t[j] * gate * (one + total[j] * (one - gate))
        for j in range(width):
            shift_sum[j] += total[j]
        for tap in range(k):
            source = t + tap - (k - 1)
            row = x[batch, source] if source >= 0 else initial[batch, t + tap]
            grad_row = grad_x[batch, source] if source >= 0 else grad_initial[batch, t + tap]
            inputs, factor = row[first:last], taps[tap, first:last]
            grad_inputs, grad_factor = grad_row[first:last], grad_taps[batch, tap, first:last]
            for j in range(width):
                grad_inputs[j] += factor[j] * total[j]
            for j in range(width):
                grad_factor[j] += inputs[j] * total[j]


@njit(nogil=True, cache=True)
def _forward_serial(tasks: Any, blocks: Any, arrays: Any) -> None:
    for task in range(tasks):
        _forward_block(task // blocks, task % blocks * BLOCK, *arrays)


@njit(nogil=True, cache=True, parallel=True)
def _forward_parallel(tasks: Any, blocks: Any, arrays: Any) -> None:
    for task in prange(tasks):
        _forward_block(task // blocks, task % blocks * BLOCK, *arrays)


@njit(nogil=True, cache=True)
def _backward_serial(tasks: Any, blocks: Any, arrays: Any) -> None:
    for task in range(tasks):
        _backward_block(task // blocks, task % blocks * BLOCK, *arrays)


@njit(nogil=True, cache=True, parallel=True)
def _backward_parallel(tasks: Any, blocks: Any, arrays: Any) -> None:
    for task in prange(tasks):
        _backward_block(task // blocks, task % blocks * BLOCK, *arrays)


def _forward(x: Tensor, taps: Tensor, bias: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    y, final = torch.empty_like(x), torch.empty_like(initial)
    arguments = (x, taps, bias, initial, y, final)
    launch(_forward_serial, _forward_parallel, x.shape[0], x.shape[2], arguments)
    return y, final


class _CausalConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, taps: Tensor, bias: Tensor, initial: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, taps, bias, initial)
        return _forward(x, taps, bias, initial)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_final: Tensor) -> tuple[Tensor, ...]:
        x, taps, bias, initial = ctx.saved_tensors
        b, _, d = x.shape
        grad_x, grad_initial = torch.empty_like(x), torch.empty_like(initial)
        grad_taps, grad_bias = x.new_empty((b, *taps.shape)), x.new_empty((b, d))
        grads = (grad_x, grad_taps, grad_bias, grad_initial)
        arguments = (x, taps, bias, initial, grad_y.contiguous(), grad_final.contiguous(), *grads)
        launch(_backward_serial, _backward_parallel, b, d, arguments)
        return grad_x, grad_taps.sum(0), grad_bias.sum(0), grad_initial


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute silu(conv(x)) and the last inputs: x (b, l, d), weight (d, k), state (b, k-1, d).

    Computes in the type of the state; y has the type of x.
    """
    shift = initial_state.new_zeros(x.shape[2]) if bias is None else bias
    inputs = tuple(
        tensor.to(initial_state.dtype).contiguous()
        for tensor in (x, weight.t(), shift, initial_state)
    )
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        y, final = _CausalConv.apply(*inputs)
    else:
        y, final = _forward(*inputs)
    return y.to(x.dtype), final
