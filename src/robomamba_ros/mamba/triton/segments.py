"""The selective scan in parallel over time, as three Triton kernels; float32, without gradients.

Time is cut into stretches of STEPS tokens. `ends` walks every stretch from a zero state; `fold`
walks from stretch to stretch, as a stretch decays the state before it by exp(A sum of its deltas);
`outputs` walks every stretch again from the state that is right. Layouts are those of scan.py;
ends, starts (b, stretches, n, d): states behind and before a stretch; elapsed (b, stretches, d).
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from robomamba_ros.mamba.triton.functions import sigmoid, softplus_series
from robomamba_ros.mamba.triton.launch import blocks, launch, padded, strides
from robomamba_ros.mamba.triton.scan import BLOCK, VARYING

# Numbers of the state that one program folds.
FOLDED = 64
LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def _step_size(delta: tl.tensor, bias: tl.tensor, use_softplus: tl.constexpr) -> tl.tensor:
    raw = delta.to(tl.float32) + bias
    return softplus_series(raw) if use_softplus else raw


@triton.jit
def _end(
    first: tl.tensor, length: tl.tensor, valid: tl.tensor, batch: tl.tensor, STEPS: tl.constexpr
) -> tl.tensor:
    """Return where the stretch ends that begins at `first`, before padding in any case."""
    end = length if valid is None else tl.load(valid + batch)
    return tl.minimum(first + STEPS, end)


@triton.jit(do_not_specialize=VARYING)
def ends(
    u: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    bias: tl.tensor,
    valid: tl.tensor,
    states: tl.tensor,
    elapsed: tl.tensor,
    length: tl.tensor,
    d: tl.tensor,
    n: tl.tensor,
    u_b: tl.tensor,
    u_l: tl.tensor,
    delta_b: tl.tensor,
    delta_l: tl.tensor,
    B_b: tl.tensor,
    B_l: tl.tensor,
    use_softplus: tl.constexpr,
    STEPS: tl.constexpr,
    STATES: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Write the state after each stretch from a state of zero, and the sum of its deltas."""
    stretch, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    j = tl.multiple_of(tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS), 1)
    k = tl.arange(0, STATES)
    in_d, in_n = j < d, k < n
    inside = in_n[:, None] & in_d[None, :]
    tile = k[:, None] * d + j[None, :]
    rates = tl.load(A + tile, inside, 0.0).to(tl.float32) * LOG2E
    shift = tl.zeros((CHANNELS,), tl.float32)
    if bias is not None:
        shift += tl.load(bias + j, in_d, 0.0).to(tl.float32)
    h = tl.zeros((STATES, CHANNELS), tl.float32)
    total = tl.zeros((CHANNELS,), tl.float32)
    u += batch * u_b + j
    delta += batch * delta_b + j
    B += batch * B_b + k
    first = stretch * STEPS
    for t in range(first, _end(first, length, valid, batch, STEPS)):
        u_t = tl.load(u + t * u_l, in_d, 0.0).to(tl.float32)
        B_t = tl.load(B + t * B_l, in_n, 0.0).to(tl.float32)
        step = _step_size(tl.load(delta + t * delta_l, in_d, 0.0), shift, use_softplus)
        h = tl.fma(tl.exp2(step[None, :] * rates), h, (step * u_t)[None, :] * B_t[:, None])
        total += step
    part = batch * tl.num_programs(1) + stretch
    tl.store(states + part * n * d + tile, h, inside)
    tl.store(elapsed + part * d + j, total, in_d)


@triton.jit(do_not_specialize=('stretches',))
def fold(
    A: tl.tensor,
    initial: tl.tensor,
    states: tl.tensor,
    elapsed: tl.tensor,
    final: tl.tensor,
    stretches: tl.tensor,
    d: tl.tensor,
    n: tl.tensor,
    CHANNELS: tl.constexpr,
) -> None:
    """Write the state before each stretch over that after it, for a state per program and channel.

    An initial state of None is zero; `final` may be its memory.
    """
    j = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    in_d = j < d
    k, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    place = k * d + j
    rate = tl.load(A + place, in_d, 0.0).to(tl.float32) * LOG2E
    h = tl.zeros((CHANNELS,), tl.float32)
    if initial is not None:
        h = tl.load(initial + batch * n * d + place, in_d, 0.0)
    states += batch * stretches * n * d + place
    elapsed += batch * stretches * d + j
    end, time = tl.load(states, in_d, 0.0), tl.load(elapsed, in_d, 0.0)
    for stretch in range(stretches):
        # One stretch ahead, so that its loads take no time of their own.
        following = tl.minimum(stretch + 1, stretches - 1)
        next_end = tl.load(states + following * n * d, in_d, 0.0)
        next_time = tl.load(elapsed + following * d, in_d, 0.0)
        tl.store(states + stretch * n * d, h, in_d)
        h = tl.fma(tl.exp2(time * rate), h, end)
        end, time = next_end, next_time
    tl.store(final + batch * n * d + place, h, in_d)


@triton.jit(do_not_specialize=VARYING)
def outputs(
    u: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    z: tl.tensor,
    bias: tl.tensor,
    valid: tl.tensor,
    states: tl.tensor,
    y: tl.tensor,
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
    STEPS: tl.constexpr,
    STATES: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """Write the gated outputs of each stretch from the state before it; padding gets none."""
    stretch, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    j = tl.multiple_of(tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS), 1)
    k = tl.arange(0, STATES)
    in_d, in_n = j < d, k < n
    inside = in_n[:, None] & in_d[None, :]
    tile = k[:, None] * d + j[None, :]
    rates = tl.load(A + tile, inside, 0.0).to(tl.float32) * LOG2E
    shift, skip = tl.zeros((CHANNELS,), tl.float32), tl.zeros((CHANNELS,), tl.float32)
    if bias is not None:
        shift += tl.load(bias + j, in_d, 0.0).to(tl.float32)
    if D is not None:
        skip += tl.load(D + j, in_d, 0.0).to(tl.float32)
    part = batch * tl.num_programs(1) + stretch
    h = tl.load(states + part * n * d + tile, inside, 0.0)
    u += batch * u_b + j
    delta += batch * delta_b + j
    B += batch * B_b + k
    C += batch * C_b + k
    y += batch * length * d + j
    first = stretch * STEPS
    for t in range(first, _end(first, length, valid, batch, STEPS)):
        u_t = tl.load(u + t * u_l, in_d, 0.0).to(tl.float32)
        B_t = tl.load(B + t * B_l, in_n, 0.0).to(tl.float32)
        C_t = tl.load(C + t * C_l, in_n, 0.0).to(tl.float32)
        step = _step_size(tl.load(delta + t * delta_l, in_d, 0.0), shift, use_softplus)
        h = tl.fma(tl.exp2(step[None, :] * rates), h, (step * u_t)[None, :] * B_t[:, None])
        y_t = tl.sum(h * C_t[:, None], 0) + skip * u_t
        if z is not None:
            z_t = tl.load(z + batch * z_b + t * z_l + j, in_d, 0.0).to(tl.float32)
            y_t *= z_t * sigmoid(z_t)
        tl.store(y + t * d, y_t, in_d)


def run(
    inputs: tuple[Any, ...],
    initial: Tensor | None,
    valid: Tensor | None,
    y: Tensor,
    final: Tensor,
    use_softplus: bool,
    steps: int,
) -> None:
    """Scan in stretches of `steps` tokens, in three launches; inputs as of scan.run."""
    u, delta, A, B, C, _, z, bias = inputs
    b, length, d = u.shape
    n, stretches = A.shape[0], blocks(length, steps)
    states = final.new_empty((b, stretches, n, d))
    elapsed = final.new_empty((b, stretches, d))
    grid = (blocks(d, BLOCK), stretches, b)
    walk: dict[str, Any] = {'use_softplus': use_softplus, 'STEPS': steps, 'STATES': padded(n)}
    walk |= {'CHANNELS': BLOCK, 'num_warps': 1, 'enable_fp_fusion': False}
    sizes = (length, d, n)
    within = strides(u, delta, B)
    launch(ends, grid, u, u, delta, A, B, bias, valid, states, elapsed, *sizes, *within, **walk)
    folding = {'CHANNELS': FOLDED, 'num_warps': FOLDED // 32, 'enable_fp_fusion': False}
    across = (blocks(d, FOLDED), n, b)
    launch(fold, across, u, A, initial, states, elapsed, final, stretches, d, n, **folding)
    within = strides(u, delta, B, C, z)
    launch(outputs, grid, u, *inputs, valid, states, y, *sizes, *within, **walk)
