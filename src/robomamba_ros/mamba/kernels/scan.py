"""The loops of the selective scan for one block of channels, compiled and vectorised (numba).

Softplus, discretisation, recurrence, skip and gate happen while the block is in the first-level
cache. Knows nothing about torch. Layouts: u, delta, z, y (b, l, d); A (n, d); B, C (b, l, n);
D, bias (d,); states (b, n, d); checkpoints (b, ceil(l / STRETCH), n, d): the states before every
STRETCH-th step. An empty z means no gate, empty checkpoints mean that none are wanted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from robomamba_ros.mamba.kernels.functions import exp, sigmoid, softplus
from robomamba_ros.mamba.kernels.launch import BLOCK

# The backward pass recomputes the states of this many steps at a time from a checkpoint; states
# and decays of one such stretch stay in the second-level cache.
STRETCH = 16


@njit(nogil=True, fastmath={'contract'}, error_model='numpy', cache=True)
def _forward_block(
    batch: Any,
    first: Any,
    u: Any,
    delta: Any,
    A: Any,
    B: Any,
    C: Any,
    D: Any,
    z: Any,
    bias: Any,
    use_softplus: Any,
    initial: Any,
    y: Any,
    final: Any,
    checkpoints: Any,
) -> None:
    length, n = B.shape[1], B.shape[2]
    last = min(first + BLOCK, u.shape[2])
    width = last - first
    gated, save = z.size > 0, checkpoints.size > 0
    # Rows of one array lie at constant distances, which spares LLVM the run-time alias checks.
    row = np.empty((3, BLOCK), u.dtype)  # delta, delta * u, y
    memory = np.empty((n, 2, BLOCK), u.dtype)  # A, h
    for k in range(n):
        rates, carried = A[k, first:last], initial[batch, k, first:last]
        for j in range(width):
            memory[k, 0, j] = rates[j]
            memory[k, 1, j] = carried[j]
    skip, shift = D[first:last], bias[first:last]
    for t in range(length):
        if save and t % STRETCH == 0:
            for k in range(n):
                saved = checkpoints[batch, t // STRETCH, k, first:last]
                for j in range(width):
                    saved[j] = memory[k, 1, j]
        u_t, delta_t, y_t = (
            u[batch, t, first:last],
            delta[batch, t, first:last],
            y[batch, t, first:last],
        )
        if use_softplus:
            for j in range(width):
                row[0, j] = softplus(delta_t[j] + shift[j])
        else:
            for j in range(width):
                row[0, j] = delta_t[j] + shift[j]
        for j in range(width):
            row[1, j] = row[0, j] * u_t[j]
            row[2, j] = skip[j] * u_t[j]
        for k in range(n):
            b, c = B[batch, t, k], C[batch, t, k]
            for j in range(width):
                h = exp(row[0, j] * memory[k, 0, j]) * memory[k, 1, j] + row[1, j] * b
                memory[k, 1, j] = h
                row[2, j] += c * h
        if gated:
            z_t = z[batch, t, first:last]
            for j in range(width):
                y_t[j] = row[2, j] * z_t[j] * sigmoid(z_t[j])
        else:
            for j in range(width):
                y_t[j] = row[2, j]
    for k in range(n):
        carried = final[batch, k, first:last]
        for j in range(width):
            carried[j] = memory[k, 1, j]


# Reassociation lets LLVM vectorise the sums over channels behind the gradients of B and C. It
# vectorises no loop that needs more than eight alias checks: hence several short loops, not one.
@njit(nogil=True, fastmath={'contract', 'reassoc'}, error_model='numpy', cache=True)
def _backward_block(
    batch: Any,
    first: Any,
    u: Any,
    delta: Any,
    A: Any,
    B: Any,
    C: Any,
    D: Any,
    z: Any,
    bias: Any,
    use_softplus: Any,
    checkpoints: Any,
    grad_y: Any,
    grad_final: Any,
    grad_u: Any,
    grad_delta: Any,
    grad_A: Any,
    grad_B: Any,
    grad_C: Any,
    grad_D: Any,
    grad_z: Any,
    grad_bias: Any,
    grad_initial: Any,
) -> None:
    length, n = B.shape[1], B.shape[2]
    last = min(first + BLOCK, u.shape[2])
    width, part = last - first, first // BLOCK
    gated = z.size > 0
    zero, one = u.dtype.type(0), u.dtype.type(1)
    # Rows of one array lie at constant distances, which spares LLVM the run-time alias checks.
    row = np.empty((STRETCH, 3, BLOCK), u.dtype)  # delta, delta * u, y before the gate
    back = np.empty((3, BLOCK), u.dtype)  # dy before the gate, d(delta), sum_k dh B
    memory = np.empty((n, 4, BLOCK), u.dtype)  # A, dA, dh, h
    past = np.empty((STRETCH, n, 2, BLOCK), u.dtype)  # h before the step, decay of the step
    skip, shift = D[first:last], bias[first:last]
    skip_sum, shift_sum = grad_D[batch, first:last], grad_bias[batch, first:last]
    for j in range(width):
        skip_sum[j] = zero
        shift_sum[j] = zero
    for k in range(n):
        rates, carried = A[k, first:last], grad_final[batch, k, first:last]
        for j in range(width):
            memory[k, 0, j] = rates[j]
            memory[k, 1, j] = zero
            memory[k, 2, j] = carried[j]
    for stretch in range((length - 1) // STRETCH, -1, -1):
        start = stretch * STRETCH
        steps = min(STRETCH, length - start)
        for k in range(n):
            saved = checkpoints[batch, stretch, k, first:last]
            for j in range(width):
                memory[k, 3, j] = saved[j]
        for i in range(steps):
            t = start + i
            u_t, delta_t = u[batch, t, first:last], delta[batch, t, first:last]
            if use_softplus:
                for j in range(width):
                    row[i, 0, j] = softplus(delta_t[j] + shift[j])
            else:
                for j in range(width):
                    row[i, 0, j] = delta_t[j] + shift[j]
            for j in range(width):
                row[i, 1, j] = row[i, 0, j] * u_t[j]
                row[i, 2, j] = skip[j] * u_t[j]
            for k in range(n):
                b, c = B[batch, t, k], C[batch, t, k]
                for j in range(width):
                    decay = exp(row[i, 0, j] * memory[k, 0, j])
                    h = decay * memory[k, 3, j] + row[i, 1, j] * b
                    past[i, k, 0, j] = memory[k, 3, j]
                    past[i, k, 1, j] = decay
                    memory[k, 3, j] = h
                    row[i, 2, j] += c * h
        for i in range(steps - 1, -1, -1):
            t = start + i
            u_t, delta_t = u[batch, t, first:last], delta[batch, t, first:last]
            grad_y_t, grad_u_t = grad_y[batch, t, first:last], grad_u[batch, t, first:last]
            if gated:
                z_t, grad_z_t = z[batch, t, first:last], grad_z[batch, t, first:last]
                for j in range(width):
                    gate = sigmoid(z_t[j])
                    back[0, j] = grad_y_t[j] * z_t[j] * gate
                    grad_z_t[j] = grad_y_t[j] * row[i, 2, j] * gate * (one + z_t[j] * (one - gate))
            else:
                for j in range(width):
                    back[0, j] = grad_y_t[j]
            for j in range(width):
                back[1, j] = zero
                back[2, j] = zero
            for k in range(n):
                b, c = B[batch, t, k], C[batch, t, k]
                sum_b, sum_c = zero, zero
                for j in range(width):
                    grad_h = memory[k, 2, j] + c * back[0, j]
                    decay = past[i, k, 1, j]
                    decayed = decay * past[i, k, 0, j]
                    grad_rate = grad_h * decayed
                    back[1, j] += grad_rate * memory[k, 0, j]
                    back[2, j] += grad_h * b
                    memory[k, 1, j] += grad_rate * row[i, 0, j]
                    memory[k, 2, j] = grad_h * decay
                    sum_b += grad_h * row[i, 1, j]
                    sum_c += back[0, j] * (decayed + row[i, 1, j] * b)
                grad_B[part, batch, t, k] = sum_b
                grad_C[part, batch, t, k] = sum_c
            for j in range(width):
                grad_u_t[j] = skip[j] * back[0, j] + row[i, 0, j] * back[2, j]
            for j in range(width):
                skip_sum[j] += back[0, j] * u_t[j]
            for j in range(width):
                back[1, j] += u_t[j] * back[2, j]
            if use_softplus:
                for j in range(width):
                    back[1, j] *= sigmoid(delta_t[j] + shift[j])
            for j in range(width):
                shift_sum[j] += back[1, j]
            grad_delta_t = grad_delta[batch, t, first:last]
            for j in range(width):
                grad_delta_t[j] = back[1, j]
    for k in range(n):
        rates, carried = grad_A[batch, k, first:last], grad_initial[batch, k, first:last]
        for j in range(width):
            rates[j] = memory[k, 1, j]
            carried[j] = memory[k, 2, j]


@njit(nogil=True, cache=True)
def forward_serial(tasks: Any, blocks: Any, arrays: Any) -> None:
    """Run the forward pass of every task on this thread."""
    for task in range(tasks):
        _forward_block(task // blocks, task % blocks * BLOCK, *arrays)


@njit(nogil=True, cache=True, parallel=True)
def forward_parallel(tasks: Any, blocks: Any, arrays: Any) -> None:
    """Run the forward pass of the tasks on several threads."""
    for task in prange(tasks):
        _forward_block(task // blocks, task % blocks * BLOCK, *arrays)


@njit(nogil=True, cache=True)
def backward_serial(tasks: Any, blocks: Any, arrays: Any) -> None:
    """Run the backward pass of every task on this thread."""
    for task in range(tasks):
        _backward_block(task // blocks, task % blocks * BLOCK, *arrays)


@njit(nogil=True, cache=True, parallel=True)
def backward_parallel(tasks: Any, blocks: Any, arrays: Any) -> None:
    """Run the backward pass of the tasks on several threads."""
    for task in prange(tasks):
        _backward_block(task // blocks, task % blocks * BLOCK, *arrays)
