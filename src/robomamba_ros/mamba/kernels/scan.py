"""The loops of the selective scan for one block of channels, compiled and vectorised (numba).

Softplus, discretisation, recurrence, skip and gate happen while the block is in the first-level
cache. Layouts: u, delta, z, y (b, l, d); A (n, d); B, C (b, l, n); D, bias (d,); states (b, n, d);
checkpoints (b, ceil(l / STRETCH), n, d): the states before every STRETCH-th step. Rows of u, delta,
z, B and C lie at any distance.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import njit

from robomamba_ros.mamba.kernels.compiling import CALLED, compiled
from robomamba_ros.mamba.kernels.functions import (
    LOG2E,
    ZERO,
    exp2,
    exp2_table,
    narrow,
    sigmoid,
    softplus,
    widen,
)
from robomamba_ros.mamba.kernels.launch import array_at, claimed, layout, named

# Channels per task: in the forward pass, 16 rates and 16 states of 256 float32 fill 32 KiB.
BLOCK = 256

# The backward pass recomputes the states of this many steps at a time from a checkpoint; what one
# such stretch needs again stays in the second-level cache.
STRETCH = 16

# The arguments: sizes, tensors by their address, and the distances of rows [elements]. A z or
# checkpoints of 0 are not there.
INPUTS = (
    *('b', 'length', 'd', 'n', 'use_softplus', 'exp2_table'),
    *('u', 'u_pitch', 'delta', 'delta_pitch', 'B', 'B_pitch', 'C', 'C_pitch', 'z', 'z_pitch'),
    *('A', 'D', 'bias'),
)
FORWARD = layout(*INPUTS, 'initial', 'y', 'final', 'checkpoints')

# States per turn of the inner loops: more independent work for the processor, fewer loads and
# stores of what all states of a channel share. The states are padded with zeros to a multiple.
UNROLL = 4


@njit(nogil=True, fastmath={'contract'}, error_model='numpy', **CALLED)
def _forward_task(q: Any, task: Any, io: Any) -> None:
    b, length, d, n, use_softplus = q.b, q.length, q.d, q.n, q.use_softplus
    blocks = -(-d // BLOCK)
    batch, first = task // blocks, task % blocks * BLOCK
    width = min(BLOCK, d - first)
    last = first + width
    u = array_at(q.u, (b, length, q.u_pitch), io)
    delta = array_at(q.delta, (b, length, q.delta_pitch), io)
    B = array_at(q.B, (b, length, q.B_pitch), io)
    C = array_at(q.C, (b, length, q.C_pitch), io)
    z = array_at(q.z, (b, length, q.z_pitch), io)
    A = array_at(q.A, (n, d), ZERO)
    D = array_at(q.D, (d,), ZERO)
    bias = array_at(q.bias, (d,), ZERO)
    initial = array_at(q.initial, (b, n, d), ZERO)
    y = array_at(q.y, (b, length, d), io)
    final = array_at(q.final, (b, n, d), ZERO)
    checkpoints = array_at(q.checkpoints, (b, -(-length // STRETCH), n, d), ZERO)
    gated, save = q.z != 0, q.checkpoints != 0

    table, log2e = exp2_table(q.exp2_table), LOG2E
    # Rows of one array lie at constant distances, which spares LLVM the run-time alias checks.
    row = np.empty((3, BLOCK), np.float32)  # delta, delta * u, y
    memory = np.zeros((-(-n // UNROLL) * UNROLL, 2, BLOCK), np.float32)  # A / ln 2, h
    shared = np.zeros((memory.shape[0], 2), np.float32)  # B, C
    for k in range(n):
        rates, carried = A[k, first:last], initial[batch, k, first:last]
        for j in range(width):
            memory[k, 0, j] = rates[j] * log2e
            memory[k, 1, j] = carried[j]
    skip, shift = D[first:last], bias[first:last]
    for t in range(length):
        if save and t % STRETCH == 0:
            for k in range(n):
                saved = checkpoints[batch, t // STRETCH, k, first:last]
                for j in range(width):
                    saved[j] = memory[k, 1, j]
        u_t, delta_t = u[batch, t, first:last], delta[batch, t, first:last]
        y_t = y[batch, t, first:last]
        for k in range(n):
            shared[k, 0] = widen(B[batch, t, k])
            shared[k, 1] = widen(C[batch, t, k])
        if use_softplus:
            for j in range(width):
                row[0, j] = softplus(widen(delta_t[j]) + shift[j])
        else:
            for j in range(width):
                row[0, j] = widen(delta_t[j]) + shift[j]
        for j in range(width):
            row[1, j] = row[0, j] * widen(u_t[j])
            row[2, j] = skip[j] * widen(u_t[j])
        for k in range(0, memory.shape[0], UNROLL):
            b0, b1, b2, b3 = shared[k, 0], shared[k + 1, 0], shared[k + 2, 0], shared[k + 3, 0]
            c0, c1, c2, c3 = shared[k, 1], shared[k + 1, 1], shared[k + 2, 1], shared[k + 3, 1]
            for j in range(width):
                step, drive = row[0, j], row[1, j]
                h0 = exp2(step * memory[k, 0, j], table) * memory[k, 1, j] + drive * b0
                h1 = exp2(step * memory[k + 1, 0, j], table) * memory[k + 1, 1, j] + drive * b1
                h2 = exp2(step * memory[k + 2, 0, j], table) * memory[k + 2, 1, j] + drive * b2
                h3 = exp2(step * memory[k + 3, 0, j], table) * memory[k + 3, 1, j] + drive * b3
                memory[k, 1, j] = h0
                memory[k + 1, 1, j] = h1
                memory[k + 2, 1, j] = h2
                memory[k + 3, 1, j] = h3
                row[2, j] += (c0 * h0 + c1 * h1) + (c2 * h2 + c3 * h3)
        if gated:
            z_t = z[batch, t, first:last]
            for j in range(width):
                gate = widen(z_t[j])
                y_t[j] = narrow(row[2, j] * gate * sigmoid(gate), io)
        else:
            for j in range(width):
                y_t[j] = narrow(row[2, j], io)
    for k in range(n):
        carried = final[batch, k, first:last]
        for j in range(width):
            carried[j] = memory[k, 1, j]


@functools.lru_cache(maxsize=None, typed=True)
def forward(io: Any) -> Any:
    """Return the kernel of the forward pass for elements of that type, compiled at first use."""

    def run(arguments: Any) -> None:
        q = named(arguments, FORWARD)
        for task in claimed(arguments):
            _forward_task(q, task, io)

    return compiled(run)
