"""The causal depthwise convolution with SiLU as one fused Triton kernel, its gradients as another.

Both see one window: the k - 1 carried inputs, then x. Output t reads its rows t ... t + k - 1.
Layouts: x, y (b, l, d); weight (k, d); bias (d,); states (b, k - 1, d).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.state import computed_in
from robomamba_ros.mamba.triton.functions import rows, sigmoid, silu_slope
from robomamba_ros.mamba.triton.launch import blocks, launch, padded

# Rows of time and channels per program.
STRETCH, BLOCK = 16, 64
# A kernel is not compiled anew for another value of these.
VARYING = ('length', 'x_b')


@triton.jit
def _window(
    x: tl.tensor,
    initial: tl.tensor,
    row: tl.tensor,
    j: tl.tensor,
    length: tl.tensor,
    d: tl.tensor,
    x_l: tl.tensor,
    TAPS: tl.constexpr,
    dtype: tl.constexpr,
) -> tl.tensor:
    t = row - (TAPS - 1)
    in_d = (j < d)[None, :]
    seen = ((t >= 0) & (t < length))[:, None] & in_d
    new = tl.load(x + t[:, None] * x_l + j[None, :], seen, 0.0).to(dtype)
    if initial is not None:
        carried = ((row >= 0) & (t < 0))[:, None] & in_d
        old = tl.load(initial + row[:, None] * d + j[None, :], carried, 0.0)
        new = tl.where((t < 0)[:, None], old, new)
    return new


@triton.jit
def _convolve(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    initial: tl.tensor,
    t: tl.tensor,
    j: tl.tensor,
    length: tl.tensor,
    d: tl.tensor,
    x_l: tl.tensor,
    TAPS: tl.constexpr,
    dtype: tl.constexpr,
) -> tl.tensor:
    total = tl.zeros((t.shape[0], j.shape[0]), dtype)
    if bias is not None:
        total += tl.load(bias + j, j < d, 0.0).to(dtype)[None, :]
    for tap in tl.static_range(TAPS):
        factor = tl.load(weight + tap * d + j, j < d, 0.0).to(dtype)
        total += factor[None, :] * _window(x, initial, t + tap, j, length, d, x_l, TAPS, dtype)
    return total


@triton.jit(do_not_specialize=VARYING)
def forward(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    initial: tl.tensor,
    valid: tl.tensor,
    y: tl.tensor,
    final: tl.tensor,
    length: tl.tensor,
    d: tl.tensor,
    x_b: tl.tensor,
    x_l: tl.tensor,
    TAPS: tl.constexpr,
    STATE: tl.constexpr,
    STEPS: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Convolve one stretch of time and block of channels; the first stretch keeps the state.

    An initial state of None is zero. valid (b,): inputs that are no padding, all where None.
    """
    dtype: tl.constexpr = final.dtype.element_ty
    batch = tl.program_id(2).to(tl.int64)
    j = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    t = tl.program_id(1) * STEPS + tl.arange(0, STEPS)
    in_d = (j < d)[None, :]
    x += batch * x_b
    if initial is not None:
        initial += batch * (TAPS - 1) * d
    total = _convolve(x, weight, bias, initial, t, j, length, d, x_l, TAPS, dtype)
    place = (batch * length + t)[:, None] * d + j[None, :]
    tl.store(y + place, total * sigmoid(total), (t < length)[:, None] & in_d)
    if tl.program_id(1) == 0:
        i = tl.arange(0, STATE)
        end = length if valid is None else tl.load(valid + batch)
        last = _window(x, initial, end + i, j, length, d, x_l, TAPS, dtype)
        tl.debug_barrier()  # `final` may be the memory of `initial`, read by other threads
        kept = (batch * (TAPS - 1) + i)[:, None] * d + j[None, :]
        tl.store(final + kept, last, (i < TAPS - 1)[:, None] & in_d)


@triton.jit(do_not_specialize=VARYING)
def backward(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    initial: tl.tensor,
    grad_y: tl.tensor,
    grad_final: tl.tensor,
    grad_x: tl.tensor,
    grad_weight: tl.tensor,
    grad_bias: tl.tensor,
    grad_initial: tl.tensor,
    length: tl.tensor,
    d: tl.tensor,
    x_b: tl.tensor,
    x_l: tl.tensor,
    TAPS: tl.constexpr,
    STATE: tl.constexpr,
    STEPS: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Write the gradients of one stretch of the window and block of channels.

    grad_weight (b, stretches, k, d) and grad_bias (b, stretches, d) are sums over the stretch.
    """
    dtype: tl.constexpr = initial.dtype.element_ty
    batch = tl.program_id(2).to(tl.int64)
    j = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    row = tl.program_id(1) * STEPS + tl.arange(0, STEPS)  # of the window
    in_d = (j < d)[None, :]
    x += batch * x_b
    initial += batch * (TAPS - 1) * d
    seen = _window(x, initial, row, j, length, d, x_l, TAPS, dtype)
    # Row length + i of the window is also row i of the state that is carried on.
    kept = (row >= length) & (row < length + TAPS - 1)
    place = (batch * (TAPS - 1) + row - length)[:, None] * d + j[None, :]
    total = tl.load(grad_final + place, kept[:, None] & in_d, 0.0)
    part = tl.num_programs(1) * batch + tl.program_id(1)
    for tap in tl.static_range(TAPS):
        t = row - tap  # the output that reads this row through this tap
        inside = ((t >= 0) & (t < length))[:, None] & in_d
        place = (batch * length + t)[:, None] * d + j[None, :]
        y_t = _convolve(x, weight, bias, initial, t, j, length, d, x_l, TAPS, dtype)
        slope = silu_slope(y_t)
        grad = slope * tl.load(grad_y + place, inside, 0.0).to(dtype)
        total += tl.load(weight + tap * d + j, j < d, 0.0).to(dtype)[None, :] * grad
        tl.store(grad_weight + (part * TAPS + tap) * d + j, tl.sum(grad * seen, 0), j < d)
        if tap == 0:
            tl.store(grad_bias + part * d + j, tl.sum(grad, 0), j < d)
    place = (batch * (TAPS - 1) + row)[:, None] * d + j[None, :]
    tl.store(grad_initial + place, total, (row < TAPS - 1)[:, None] & in_d)
    t = row - (TAPS - 1)
    place = (batch * length + t)[:, None] * d + j[None, :]
    tl.store(grad_x + place, total, ((t >= 0) & (t < length))[:, None] & in_d)


def _launch(kernel: Any, inputs: tuple[Any, ...], others: tuple[Any, ...], parts: int) -> None:
    x, weight, *_ = inputs
    b, length, d = x.shape
    taps = weight.shape[0]
    launch(
        kernel,
        (blocks(d, BLOCK), parts, b),
        x,
        *(*inputs, *others, length, d, *x.stride()[:2]),
        TAPS=taps,
        STATE=padded(taps),
        STEPS=STRETCH,
        CHANNELS=BLOCK,
        enable_fp_fusion=False,
    )


def _convolution(
    inputs: tuple[Any, ...], valid: Tensor | None, final: Tensor | None
) -> tuple[Tensor, Tensor]:
    x, weight, _, initial = inputs
    b, length, d = x.shape
    if final is None and initial is None:
        final = x.new_empty((b, weight.shape[0] - 1, d), dtype=computed_in(x.dtype))
    elif final is None:
        final = torch.empty_like(initial)
    y = x.new_empty(x.shape)
    _launch(forward, inputs, (valid, y, final), blocks(length, STRETCH))
    return y, final


class _CausalConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(*inputs)
        return _convolution(inputs, None, None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_final: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, initial = inputs = ctx.saved_tensors
        b, length, d = x.shape
        taps = weight.shape[0]
        parts = blocks(length + taps - 1, STRETCH)
        grad_x, grad_initial = x.new_empty(x.shape), torch.empty_like(initial)
        grad_weight = initial.new_empty((b, parts, taps, d))
        grad_bias = initial.new_empty((b, parts, d))
        grads = (grad_x, grad_weight, grad_bias, grad_initial)
        others = (grad_y.contiguous(), grad_final.contiguous(), *grads)
        _launch(backward, inputs, others, parts)
        shift = None if bias is None else grad_bias.sum((0, 1))
        return grad_x, grad_weight.sum((0, 1)), shift, grad_initial


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None,
    valid: Tensor | None = None,
    *,
    in_place: bool = False,
) -> tuple[Tensor, Tensor]:
    """Compute silu(conv(x)) and the last inputs: x (b, l, d), weight (d, k), state (b, k-1, d).

    Any types and strides; one launch, no copy where the channels of x are contiguous. valid (b,),
    int32: how many inputs of each sequence are no padding; the last state is that after them.
    in_place: the last state takes the place of the initial one, if that is contiguous.
    """
    shift = None if bias is None else rows(bias)
    initial = None if initial_state is None else initial_state.contiguous()
    inputs = (rows(x), weight.t().contiguous(), shift, initial)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        if initial is None:
            shape = (x.shape[0], weight.shape[1] - 1, x.shape[2])
            initial = x.new_zeros(shape, dtype=computed_in(x.dtype))
        y, final = _CausalConv.apply(*inputs[:3], initial)
        return y, final
    y, final = _convolution(inputs, valid, initial if in_place else None)
    if in_place and initial_state is not None and initial_state.is_contiguous():
        return y, initial_state
    return y, final
