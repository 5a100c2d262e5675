"""The loops of the selective scan as two Triton kernels: one forward, one for all gradients.

One program per batch entry and block of channels walks through time with its states in registers.
Layouts: u, delta, z, y (b, l, d); A (n, d); B, C (b, l, n); D, bias (d,); states (b, n, d);
checkpoints (b, ceil(l / STRETCH), n, d): the states before every STRETCH-th step. What is None is
left out when the kernel is compiled.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from robomamba_ros.mamba.triton.functions import sigmoid, silu_slope, softplus
from robomamba_ros.mamba.triton.launch import blocks, launch, padded, strides

# The backward pass recomputes the states of this many steps at a time from a checkpoint.
STRETCH = 16
# Channels per program: those of one warp, a channel per thread.
BLOCK = 32
# A kernel is not compiled anew for another value of these: a text of a new length must not wait.
VARYING = ('length', 'u_b', 'delta_b', 'B_b', 'C_b', 'z_b')


@triton.jit
def _step_size(delta: tl.tensor, bias: tl.tensor, use_softplus: tl.constexpr) -> tl.tensor:
    raw = delta + bias
    return softplus(raw) if use_softplus else raw


@triton.jit(do_not_specialize=VARYING)
def forward(
    u: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    z: tl.tensor,
    bias: tl.tensor,
    initial: tl.tensor,
    valid: tl.tensor,
    y: tl.tensor,
    final: tl.tensor,
    checkpoints: tl.tensor,
    length: tl.tensor,
    d: tl.tensor,
    n: tl.tensor,
    u_b: tl.tensor,
    u_l: tl.tensor,
    delta_b: tl.tensor,
    delta_l: tl.tensor,
    B_b: tl.tensor,
    B_l: tl.tensor,
    C_b: tl.tensor,
    C_l: tl.tensor,
    z_b: tl.tensor,
    z_l: tl.tensor,
    use_softplus: tl.constexpr,
    STRETCH: tl.constexpr,
    STATES: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Scan one block of channels of one batch entry; checkpoints of None are not written.

    An initial state of None is zero; `final` may be its memory. valid (b,): tokens that are no
    padding, all where None; to others no output is written.
    """
    dtype: tl.constexpr = final.dtype.element_ty
    batch = tl.program_id(1).to(tl.int64)
    # Told that nothing is aligned, Triton loads one channel per thread, and all states of a channel
    # stay in the registers of that thread.
    j = tl.multiple_of(tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS), 1)
    k = tl.arange(0, STATES)
    in_d, in_n = j < d, k < n
    inside = in_n[:, None] & in_d[None, :]
    tile = k[:, None] * d + j[None, :]  # of an (n, d) array
    rates = tl.load(A + tile, inside, 0.0).to(dtype)
    h = tl.zeros((STATES, CHANNELS), dtype)
    if initial is not None:
        h = tl.load(initial + batch * n * d + tile, inside, 0.0)
    end = length if valid is None else tl.load(valid + batch)
    shift = tl.zeros((CHANNELS,), dtype) if bias is None else tl.load(bias + j, in_d, 0.0).to(dtype)
    skip = tl.zeros((CHANNELS,), dtype) if D is None else tl.load(D + j, in_d, 0.0).to(dtype)
    u += batch * u_b + j
    delta += batch * delta_b + j
    B += batch * B_b + k
    C += batch * C_b + k
    u_next, delta_next = tl.load(u, in_d, 0.0), tl.load(delta, in_d, 0.0)
    B_next, C_next = tl.load(B, in_n, 0.0), tl.load(C, in_n, 0.0)
    for t in range(end):
        u_t, delta_t = u_next.to(dtype), delta_next.to(dtype)
        B_t, C_t = B_next.to(dtype), C_next.to(dtype)
        # One step ahead: what this step computes hides how long its successor's inputs take.
        following = tl.minimum(t + 1, length - 1)
        u_next = tl.load(u + following * u_l, in_d, 0.0)
        delta_next = tl.load(delta + following * delta_l, in_d, 0.0)
        B_next = tl.load(B + following * B_l, in_n, 0.0)
        C_next = tl.load(C + following * C_l, in_n, 0.0)
        if checkpoints is not None:  # noqa: SIM102  (decided when the kernel is compiled)
            if t % STRETCH == 0:
                stretch = batch * tl.cdiv(length, STRETCH) + t // STRETCH
                tl.store(checkpoints + stretch * n * d + tile, h, inside)
        step = _step_size(delta_t, shift, use_softplus)
        h = tl.fma(tl.exp(step[None, :] * rates), h, (step * u_t)[None, :] * B_t[:, None])
        y_t = tl.sum(h * C_t[:, None], 0) + skip * u_t
        if z is not None:
            z_t = tl.load(z + batch * z_b + t * z_l + j, in_d, 0.0).to(dtype)
            y_t *= z_t * sigmoid(z_t)
        tl.store(y + (batch * length + t) * d + j, y_t, in_d)
    tl.store(final + batch * n * d + tile, h, inside)


@triton.jit(do_not_specialize=VARYING)
def backward(
    u: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    z: tl.tensor,
    bias: tl.tensor,
    checkpoints: tl.tensor,
    states: tl.tensor,
    grad_y: tl.tensor,
    grad_final: tl.tensor,
    grad_u: tl.tensor,
    grad_delta: tl.tensor,
    grad_A: tl.tensor,
    grad_B: tl.tensor,
    grad_C: tl.tensor,
    grad_D: tl.tensor,
    grad_z: tl.tensor,
    grad_bias: tl.tensor,
    grad_initial: tl.tensor,
    length: tl.tensor,
    d: tl.tensor,
    n: tl.tensor,
    u_b: tl.tensor,
    u_l: tl.tensor,
    delta_b: tl.tensor,
    delta_l: tl.tensor,
    B_b: tl.tensor,
    B_l: tl.tensor,
    C_b: tl.tensor,
    C_l: tl.tensor,
    z_b: tl.tensor,
    z_l: tl.tensor,
    use_softplus: tl.constexpr,
    STRETCH: tl.constexpr,
    STATES: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Write every gradient of one block of channels of one batch entry, each to a place of its own.

    `states` (b, STRETCH, n, d) is memory to work in. grad_B and grad_C (blocks, b, l, n) are sums
    over the block's channels; grad_A, grad_initial (b, n, d) and grad_D, grad_bias (b, d) are those
    of the batch entry.
    """
    dtype: tl.constexpr = checkpoints.dtype.element_ty
    block, batch = tl.program_id(0), tl.program_id(1).to(tl.int64)
    j = tl.multiple_of(block * CHANNELS + tl.arange(0, CHANNELS), 1)
    k = tl.arange(0, STATES)
    in_d, in_n = j < d, k < n
    inside = in_n[:, None] & in_d[None, :]
    tile = k[:, None] * d + j[None, :]
    rates = tl.load(A + tile, inside, 0.0).to(dtype)
    shift = tl.zeros((CHANNELS,), dtype) if bias is None else tl.load(bias + j, in_d, 0.0).to(dtype)
    skip = tl.zeros((CHANNELS,), dtype) if D is None else tl.load(D + j, in_d, 0.0).to(dtype)
    grad_h = tl.load(grad_final + batch * n * d + tile, inside, 0.0)
    rates_sum = tl.zeros((STATES, CHANNELS), dtype)
    skip_sum = tl.zeros((CHANNELS,), dtype)
    shift_sum = tl.zeros((CHANNELS,), dtype)
    stretches = tl.cdiv(length, STRETCH)
    # What the programs of one batch entry write: sums over its channels, a part per block.
    parts = (block * tl.num_programs(1) + batch) * length
    for stretch in range(stretches - 1, -1, -1):
        first = stretch * STRETCH
        count = tl.minimum(STRETCH, length - first)
        h = tl.load(checkpoints + (batch * stretches + stretch) * n * d + tile, inside, 0.0)
        for i in range(count):
            t = first + i
            tl.store(states + (batch * STRETCH + i) * n * d + tile, h, inside)
            u_t = tl.load(u + batch * u_b + t * u_l + j, in_d, 0.0).to(dtype)
            delta_t = tl.load(delta + batch * delta_b + t * delta_l + j, in_d, 0.0).to(dtype)
            B_t = tl.load(B + batch * B_b + t * B_l + k, in_n, 0.0).to(dtype)
            step = _step_size(delta_t, shift, use_softplus)
            h = tl.fma(tl.exp(step[None, :] * rates), h, (step * u_t)[None, :] * B_t[:, None])
        tl.debug_barrier()  # a state may be read by another thread than wrote it
        for back in range(count):
            i = count - 1 - back
            t = first + i
            row = (batch * length + t) * d + j
            u_t = tl.load(u + batch * u_b + t * u_l + j, in_d, 0.0).to(dtype)
            delta_t = tl.load(delta + batch * delta_b + t * delta_l + j, in_d, 0.0).to(dtype)
            B_t = tl.load(B + batch * B_b + t * B_l + k, in_n, 0.0).to(dtype)
            C_t = tl.load(C + batch * C_b + t * C_l + k, in_n, 0.0).to(dtype)
            grad_t = tl.load(grad_y + row, in_d, 0.0).to(dtype)
            step = _step_size(delta_t, shift, use_softplus)
            decay = tl.exp(step[None, :] * rates)
            before = tl.load(states + (batch * STRETCH + i) * n * d + tile, inside, 0.0)
            decayed = decay * before
            h = decayed + (step * u_t)[None, :] * B_t[:, None]
            if z is not None:
                z_t = tl.load(z + batch * z_b + t * z_l + j, in_d, 0.0).to(dtype)
                ungated = tl.sum(h * C_t[:, None], 0) + skip * u_t
                tl.store(grad_z + row, grad_t * ungated * silu_slope(z_t), in_d)
                grad_t *= z_t * sigmoid(z_t)
            grad_h += grad_t[None, :] * C_t[:, None]
            tl.store(grad_C + (parts + t) * n + k, tl.sum(grad_t[None, :] * h, 1), in_n)
            grad_B_t = tl.sum(grad_h * (step * u_t)[None, :], 1)
            tl.store(grad_B + (parts + t) * n + k, grad_B_t, in_n)
            grad_decay = grad_h * decayed
            grad_drive = tl.sum(grad_h * B_t[:, None], 0)
            tl.store(grad_u + row, skip * grad_t + step * grad_drive, in_d)
            grad_step = tl.sum(grad_decay * rates, 0) + u_t * grad_drive
            if use_softplus:
                grad_step *= sigmoid(delta_t + shift)
            tl.store(grad_delta + row, grad_step, in_d)
            rates_sum += grad_decay * step[None, :]
            skip_sum += grad_t * u_t
            shift_sum += grad_step
            grad_h *= decay
        tl.debug_barrier()  # the next stretch overwrites the states
    tl.store(grad_initial + batch * n * d + tile, grad_h, inside)
    tl.store(grad_A + batch * n * d + tile, rates_sum, inside)
    tl.store(grad_D + batch * d + j, skip_sum, in_d)
    tl.store(grad_bias + batch * d + j, shift_sum, in_d)


def run(kernel: Any, inputs: tuple[Any, ...], others: tuple[Any, ...], *tail: Any) -> None:
    """Call kernel(*inputs, *others, sizes, strides, *tail).

    Inputs are u, delta, A, B, C, D, z and bias; A and the last dimensions are contiguous.
    """
    u, delta, A, B, C, _, z, _ = inputs
    b, length, d = u.shape
    n = A.shape[0]
    launch(
        kernel,
        (blocks(d, BLOCK), b),
        u,
        *(*inputs, *others, length, d, n, *strides(u, delta, B, C, z), *tail),
        STRETCH=STRETCH,
        STATES=padded(n),
        CHANNELS=BLOCK,
        num_warps=1,
        enable_fp_fusion=False,
    )
