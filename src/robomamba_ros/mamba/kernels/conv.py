"""The causal depthwise convolution with SiLU as one fused pass on the CPU, forward and backward.

Layouts: x, y (b, l, d), their rows at any distance; taps (k, d); bias (d,); states (b, k-1, d).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.kernels.compiling import CALLED, compiled
from robomamba_ros.mamba.kernels.functions import ONE, ZERO, narrow, sigmoid, widen
from robomamba_ros.mamba.kernels.launch import (
    array_at,
    claimed,
    element,
    launch,
    layout,
    named,
    pitched,
)

# Channels per task: the window of 4 inputs of 1024 float32 fills 16 KiB.
BLOCK = 1024

# The arguments: sizes, tensors by their address, and the distances of rows [elements].
_INPUTS = ('b', 'length', 'd', 'k', 'x', 'x_pitch', 'taps', 'bias', 'initial')
FORWARD = layout(*_INPUTS, 'y', 'final')
BACKWARD = layout(
    *(*_INPUTS, 'grad_y', 'grad_y_pitch', 'grad_final'),
    *('grad_x', 'grad_taps', 'grad_bias', 'grad_initial'),
)


@njit(nogil=True, fastmath={'contract'}, error_model='numpy', **CALLED)
def _forward_task(q: Any, task: Any, io: Any) -> None:
    b, length, d, k = q.b, q.length, q.d, q.k
    blocks = -(-d // BLOCK)
    batch, first = task // blocks, task % blocks * BLOCK
    width = min(BLOCK, d - first)
    last = first + width
    x = array_at(q.x, (b, length, q.x_pitch), io)
    taps = array_at(q.taps, (k, d), ZERO)
    bias = array_at(q.bias, (d,), ZERO)
    initial = array_at(q.initial, (b, k - 1, d), ZERO)
    y = array_at(q.y, (b, length, d), io)
    final = array_at(q.final, (b, k - 1, d), ZERO)

    total = np.empty(BLOCK, np.float32)
    window = np.empty((k, BLOCK), np.float32)  # the last k inputs, a ring: input e in row e % k
    for i in range(k - 1):
        inputs = initial[batch, i, first:last]
        for j in range(width):
            window[i, j] = inputs[j]
    shift = bias[first:last]
    for t in range(length):
        newest = (t + k - 1) % k
        x_t, y_t = x[batch, t, first:last], y[batch, t, first:last]
        for j in range(width):
            window[newest, j] = widen(x_t[j])
        for j in range(width):
            total[j] = shift[j]
        for tap in range(k):
            factor, source = taps[tap, first:last], (t + tap) % k
            for j in range(width):
                total[j] += factor[j] * window[source, j]
        for j in range(width):
            y_t[j] = narrow(total[j] * sigmoid(total[j]), io)
    for i in range(k - 1):
        outputs, source = final[batch, i, first:last], (length + i) % k
        for j in range(width):
            outputs[j] = window[source, j]


@njit(nogil=True, fastmath={'contract'}, error_model='numpy', **CALLED)
def _backward_task(q: Any, task: Any, io: Any) -> None:
    b, length, d, k = q.b, q.length, q.d, q.k
    blocks = -(-d // BLOCK)
    batch, first = task // blocks, task % blocks * BLOCK
    width = min(BLOCK, d - first)
    last = first + width
    x = array_at(q.x, (b, length, q.x_pitch), io)
    taps = array_at(q.taps, (k, d), ZERO)
    bias = array_at(q.bias, (d,), ZERO)
    initial = array_at(q.initial, (b, k - 1, d), ZERO)
    grad_y = array_at(q.grad_y, (b, length, q.grad_y_pitch), io)
    grad_final = array_at(q.grad_final, (b, k - 1, d), ZERO)
    grad_x = array_at(q.grad_x, (b, length, d), io)
    grad_taps = array_at(q.grad_taps, (b, k, d), ZERO)
    grad_bias = array_at(q.grad_bias, (b, d), ZERO)
    grad_initial = array_at(q.grad_initial, (b, k - 1, d), ZERO)

    total = np.empty(BLOCK, np.float32)
    window = np.empty((k, BLOCK), np.float32)  # the last k inputs, a ring: input e in row e % k
    inner = np.zeros((k, BLOCK), np.float32)  # gradients of the last k sums, a ring likewise
    sums = np.zeros((k + 1, BLOCK), np.float32)  # gradients of the taps, of the bias
    for i in range(k - 1):
        inputs = initial[batch, i, first:last]
        for j in range(width):
            window[i, j] = inputs[j]
    shift = bias[first:last]
    # Sum t reads inputs t .. t + k - 1, counted from the first carried one: once sum t is done,
    # input t has all its gradients. The last k - 1 turns have no sum of their own.
    for t in range(length + k - 1):
        present = t % k
        if t < length:
            newest = (t + k - 1) % k
            x_t, grad_y_t = x[batch, t, first:last], grad_y[batch, t, first:last]
            for j in range(width):
                window[newest, j] = widen(x_t[j])
            for j in range(width):
                total[j] = shift[j]
            for tap in range(k):
                factor, source = taps[tap, first:last], (t + tap) % k
                for j in range(width):
                    total[j] += factor[j] * window[source, j]
            for j in range(width):
                gate = sigmoid(total[j])
                grad = widen(grad_y_t[j]) * gate * (ONE + total[j] * (ONE - gate))
                inner[present, j] = grad
                sums[k, j] += grad
            for tap in range(k):
                source = (t + tap) % k
                for j in range(width):
                    sums[tap, j] += window[source, j] * inner[present, j]
        else:
            for j in range(width):
                inner[present, j] = 0
        if t >= length:
            carried = grad_final[batch, t - length, first:last]
            for j in range(width):
                total[j] = carried[j]
        else:
            for j in range(width):
                total[j] = 0
        for tap in range(min(k, t + 1)):
            factor, source = taps[tap, first:last], (t - tap) % k
            for j in range(width):
                total[j] += factor[j] * inner[source, j]
        if t < k - 1:
            carried = grad_initial[batch, t, first:last]
            for j in range(width):
                carried[j] = total[j]
        else:
            outputs = grad_x[batch, t - (k - 1), first:last]
            for j in range(width):
                outputs[j] = narrow(total[j], io)
    for tap in range(k):
        gradient = grad_taps[batch, tap, first:last]
        for j in range(width):
            gradient[j] = sums[tap, j]
    gradient = grad_bias[batch, first:last]
    for j in range(width):
        gradient[j] = sums[k, j]


@functools.lru_cache(maxsize=None, typed=True)
def _forward_kernel(io: Any) -> Any:
    def run(arguments: Any) -> None:
        q = named(arguments, FORWARD)
        for task in claimed(arguments):
            _forward_task(q, task, io)

    return compiled(run)


@functools.lru_cache(maxsize=None, typed=True)
def _backward_kernel(io: Any) -> Any:
    def run(arguments: Any) -> None:
        q = named(arguments, BACKWARD)
        for task in claimed(arguments):
            _backward_task(q, task, io)

    return compiled(run)


def _forward(x: Tensor, taps: Tensor, bias: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    (b, length, d), k = x.shape, taps.shape[0]
    y, final = x.new_empty((b, length, d)), torch.empty_like(initial)
    arguments = {**_arguments(x, taps, bias, initial), 'y': y, 'final': final}
    kernel = _forward_kernel(element(x.dtype))
    launch(kernel, FORWARD, b * -(-d // BLOCK), b * length * d * 2 * k, arguments)
    return y, final


def _arguments(x: Tensor, taps: Tensor, bias: Tensor, initial: Tensor) -> dict[str, Tensor | int]:
    (b, length, d), k = x.shape, taps.shape[0]
    sizes = {'b': b, 'length': length, 'd': d, 'k': k}
    return {**sizes, **pitched(x=x), 'taps': taps, 'bias': bias, 'initial': initial}


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
        (b, length, d), k = x.shape, taps.shape[0]
        grad_x, grad_initial = x.new_empty((b, length, d)), torch.empty_like(initial)
        grad_taps, grad_bias = taps.new_empty((b, k, d)), taps.new_empty((b, d))
        arguments = {
            **_arguments(x, taps, bias, initial),
            **pitched(grad_y=grad_y),
            'grad_final': grad_final.contiguous(),
            'grad_x': grad_x,
            'grad_taps': grad_taps,
            'grad_bias': grad_bias,
            'grad_initial': grad_initial,
        }
        kernel = _backward_kernel(element(x.dtype))
        launch(kernel, BACKWARD, b * -(-d // BLOCK), b * length * d * 6 * k, arguments)
        return grad_x, grad_taps.sum(0), grad_bias.sum(0), grad_initial


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute silu(conv(x)) and the last inputs: x (b, l, d), weight (d, k), state (b, k-1, d).

    Reads and writes bfloat16 as it is, anything else as float32.
    """
    inputs = (
        x if x.dtype == torch.bfloat16 else x.float(),
        weight.float().t().contiguous(),
        initial_state.new_zeros(x.shape[2]) if bias is None else bias.float().contiguous(),
        initial_state.contiguous(),
    )
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        y, final = _CausalConv.apply(*inputs)
    else:
        y, final = _forward(*inputs)
    return y.to(x.dtype), final
