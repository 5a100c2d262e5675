"""The loops of the selective scan's gradients, compiled and vectorised (numba); layouts as in scan.

Gradients have the layouts of what they are of; rows of grad_y lie at any distance.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import njit

from robomamba_ros.mamba.kernels.compiling import CALLED, compiled
from robomamba_ros.mamba.kernels.functions import (
    LN2,
    LOG2E,
    ONE,
    ZERO,
    exp2,
    exp2_table,
    narrow,
    sigmoid,
    softplus,
    widen,
)
from robomamba_ros.mamba.kernels.launch import array_at, claimed, layout, named
from robomamba_ros.mamba.kernels.scan import BLOCK, INPUTS, STRETCH

BACKWARD = layout(
    *(*INPUTS, 'checkpoints', 'grad_y', 'grad_y_pitch', 'grad_final'),
    *('grad_u', 'grad_delta', 'grad_z', 'grad_A', 'grad_B', 'grad_C', 'grad_D', 'grad_bias'),
    'grad_initial',
)


# Reassociation lets LLVM vectorise the sums over channels behind the gradients of B and C. It
# vectorises no loop that needs more than eight alias checks: hence several short loops, not one.
@njit(nogil=True, fastmath={'contract', 'reassoc'}, error_model='numpy', **CALLED)
def _backward_task(q: Any, task: Any, io: Any) -> None:
    b, length, d, n, use_softplus = q.b, q.length, q.d, q.n, q.use_softplus
    blocks = -(-d // BLOCK)
    batch, part = task // blocks, task % blocks
    first = part * BLOCK
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
    checkpoints = array_at(q.checkpoints, (b, -(-length // STRETCH), n, d), ZERO)
    grad_y = array_at(q.grad_y, (b, length, q.grad_y_pitch), io)
    grad_final = array_at(q.grad_final, (b, n, d), ZERO)
    grad_u = array_at(q.grad_u, (b, length, d), io)
    grad_delta = array_at(q.grad_delta, (b, length, d), io)
    grad_z = array_at(q.grad_z, (b, length, d), io)
    grad_A = array_at(q.grad_A, (b, n, d), ZERO)
    grad_B = array_at(q.grad_B, (blocks, b, length, n), ZERO)
    grad_C = array_at(q.grad_C, (blocks, b, length, n), ZERO)
    grad_D = array_at(q.grad_D, (b, d), ZERO)
    grad_bias = array_at(q.grad_bias, (b, d), ZERO)
    grad_initial = array_at(q.grad_initial, (b, n, d), ZERO)
    gated = q.z != 0

    table, log2e = exp2_table(q.exp2_table), LOG2E
    padded = -(-n // 2) * 2
    # Rows of one array lie at constant distances, which spares LLVM the run-time alias checks.
    row = np.empty((STRETCH, 3, BLOCK), np.float32)  # delta, delta * u, y before the gate
    back = np.empty((3, BLOCK), np.float32)  # dy before the gate, d(delta) / ln 2, sum_k dh B
    memory = np.zeros((padded, 4, BLOCK), np.float32)  # A / ln 2, dA, dh, h
    past = np.empty((STRETCH, padded, 2, BLOCK), np.float32)  # decayed h, decay of the step
    shared = np.zeros((STRETCH, padded, 2), np.float32)  # B, C
    sums = np.zeros((2, BLOCK), np.float32)  # dD, d(bias)
    skip, shift = D[first:last], bias[first:last]
    for k in range(n):
        rates, carried = A[k, first:last], grad_final[batch, k, first:last]
        for j in range(width):
            memory[k, 0, j] = rates[j] * log2e
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
            for k in range(n):
                shared[i, k, 0] = widen(B[batch, t, k])
                shared[i, k, 1] = widen(C[batch, t, k])
            if use_softplus:
                for j in range(width):
                    row[i, 0, j] = softplus(widen(delta_t[j]) + shift[j])
            else:
                for j in range(width):
                    row[i, 0, j] = widen(delta_t[j]) + shift[j]
            for j in range(width):
                row[i, 1, j] = row[i, 0, j] * widen(u_t[j])
                row[i, 2, j] = skip[j] * widen(u_t[j])
            for k in range(0, padded, 2):
                b0, b1 = shared[i, k, 0], shared[i, k + 1, 0]
                c0, c1 = shared[i, k, 1], shared[i, k + 1, 1]
                for j in range(width):
                    step, drive = row[i, 0, j], row[i, 1, j]
                    decay0 = exp2(step * memory[k, 0, j], table)
                    decay1 = exp2(step * memory[k + 1, 0, j], table)
                    decayed0 = decay0 * memory[k, 3, j]
                    decayed1 = decay1 * memory[k + 1, 3, j]
                    past[i, k, 0, j] = decayed0
                    past[i, k, 1, j] = decay0
                    past[i, k + 1, 0, j] = decayed1
                    past[i, k + 1, 1, j] = decay1
                    h0 = decayed0 + drive * b0
                    h1 = decayed1 + drive * b1
                    memory[k, 3, j] = h0
                    memory[k + 1, 3, j] = h1
                    row[i, 2, j] += c0 * h0 + c1 * h1
        for i in range(steps - 1, -1, -1):
            t = start + i
            u_t, delta_t = u[batch, t, first:last], delta[batch, t, first:last]
            grad_y_t, grad_u_t = grad_y[batch, t, first:last], grad_u[batch, t, first:last]
            if gated:
                z_t, grad_z_t = z[batch, t, first:last], grad_z[batch, t, first:last]
                for j in range(width):
                    x, dy = widen(z_t[j]), widen(grad_y_t[j])
                    gate = sigmoid(x)
                    back[0, j] = dy * x * gate
                    grad_z_t[j] = narrow(dy * row[i, 2, j] * gate * (ONE + x * (ONE - gate)), io)
            else:
                for j in range(width):
                    back[0, j] = widen(grad_y_t[j])
            for j in range(width):
                back[1, j] = 0
                back[2, j] = 0
            for k in range(0, padded, 2):
                b0, b1 = shared[i, k, 0], shared[i, k + 1, 0]
                c0, c1 = shared[i, k, 1], shared[i, k + 1, 1]
                sum_b0, sum_b1 = ZERO, ZERO
                sum_c0, sum_c1 = ZERO, ZERO
                for j in range(width):
                    step, drive, dy = row[i, 0, j], row[i, 1, j], back[0, j]
                    decayed0, decayed1 = past[i, k, 0, j], past[i, k + 1, 0, j]
                    grad_h0 = memory[k, 2, j] + c0 * dy
                    grad_h1 = memory[k + 1, 2, j] + c1 * dy
                    rate0, rate1 = grad_h0 * decayed0, grad_h1 * decayed1
                    back[1, j] += rate0 * memory[k, 0, j] + rate1 * memory[k + 1, 0, j]
                    back[2, j] += grad_h0 * b0 + grad_h1 * b1
                    memory[k, 1, j] += rate0 * step
                    memory[k + 1, 1, j] += rate1 * step
                    memory[k, 2, j] = grad_h0 * past[i, k, 1, j]
                    memory[k + 1, 2, j] = grad_h1 * past[i, k + 1, 1, j]
                    sum_b0 += grad_h0 * drive
                    sum_b1 += grad_h1 * drive
                    sum_c0 += dy * (decayed0 + drive * b0)
                    sum_c1 += dy * (decayed1 + drive * b1)
                shared[i, k, 0], shared[i, k + 1, 0] = sum_b0, sum_b1
                shared[i, k, 1], shared[i, k + 1, 1] = sum_c0, sum_c1
            for k in range(n):
                grad_B[part, batch, t, k] = shared[i, k, 0]
                grad_C[part, batch, t, k] = shared[i, k, 1]
            for j in range(width):
                grad_u_t[j] = narrow(skip[j] * back[0, j] + row[i, 0, j] * back[2, j], io)
            for j in range(width):
                sums[0, j] += back[0, j] * widen(u_t[j])
                back[1, j] = LN2 * back[1, j] + widen(u_t[j]) * back[2, j]
            if use_softplus:
                for j in range(width):
                    back[1, j] *= sigmoid(widen(delta_t[j]) + shift[j])
            grad_delta_t = grad_delta[batch, t, first:last]
            for j in range(width):
                sums[1, j] += back[1, j]
                grad_delta_t[j] = narrow(back[1, j], io)
    for k in range(n):
        rates, carried = grad_A[batch, k, first:last], grad_initial[batch, k, first:last]
        for j in range(width):
            rates[j] = memory[k, 1, j]
            carried[j] = memory[k, 2, j]
    skip_sum, shift_sum = grad_D[batch, first:last], grad_bias[batch, first:last]
    for j in range(width):
        skip_sum[j] = sums[0, j]
        shift_sum[j] = sums[1, j]


@functools.lru_cache(maxsize=None, typed=True)
def backward(io: Any) -> Any:
    """Return the kernel of the backward pass for elements of that type."""

    def run(arguments: Any) -> None:
        q = named(arguments, BACKWARD)
        for task in claimed(arguments):
            _backward_task(q, task, io)

    return compiled(run)
