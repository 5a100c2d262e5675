"""The selective scan as one fused, vectorised pass on the CPU, with its gradients.

Blocks of channels and batch entries run in parallel. Importing this module needs numba; only
scan/dispatch does so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.kernels.launch import block_count, launch
from robomamba_ros.mamba.kernels.scan import (
    STRETCH,
    backward_parallel,
    backward_serial,
    forward_parallel,
    forward_serial,
)


def _forward(
    inputs: tuple[Tensor, ...], use_softplus: bool, initial: Tensor, save: bool
) -> tuple[Tensor, Tensor, Tensor]:
    u, A = inputs[0], inputs[2]
    b, length, d = u.shape
    stretches = -(-length // STRETCH) if save else 0
    y, final = torch.empty_like(u), torch.empty_like(initial)
    checkpoints = u.new_empty((b, stretches, A.shape[0], d))
    arrays = (*inputs, use_softplus, initial, y, final, checkpoints)
    launch(forward_serial, forward_parallel, b, d, arrays)
    return y, final, checkpoints


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, use_softplus: bool, initial: Tensor, *inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        y, final, checkpoints = _forward(inputs, use_softplus, initial, save=True)
        ctx.save_for_backward(checkpoints, *inputs)
        ctx.use_softplus = use_softplus
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_y: Tensor | None, grad_final: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        checkpoints, *inputs = ctx.saved_tensors
        u, delta, A, z = (inputs[i] for i in (0, 1, 2, 6))
        b, length, d = u.shape
        n, blocks = A.shape[0], block_count(d)
        grad_u, grad_delta, grad_z = (torch.empty_like(x) for x in (u, delta, z))
        grad_A, grad_initial = u.new_empty((b, n, d)), u.new_empty((b, n, d))
        grad_B, grad_C = u.new_empty((blocks, b, length, n)), u.new_empty((blocks, b, length, n))
        grad_D, grad_bias = u.new_empty((b, d)), u.new_empty((b, d))
        arrays = (*inputs, ctx.use_softplus, checkpoints)
        grad_y = torch.zeros_like(u) if grad_y is None else grad_y.contiguous()
        grad_final = u.new_zeros((b, n, d)) if grad_final is None else grad_final.contiguous()
        arrays += (grad_y, grad_final)
        arrays += (
            grad_u,
            grad_delta,
            grad_A,
            grad_B,
            grad_C,
            grad_D,
            grad_z,
            grad_bias,
            grad_initial,
        )
        launch(backward_serial, backward_parallel, b, d, arrays)
        sums = (x.sum(0) for x in (grad_A, grad_B, grad_C, grad_D))
        return (None, grad_initial, grad_u, grad_delta, *sums, grad_z, grad_bias.sum(0))


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    initial_state: Tensor,
) -> tuple[Tensor, Tensor]:
    """Compute what reference.selective_scan computes, fused; same shapes, CPU tensors only.

    Saves checkpoints for the backward pass only where a gradient is asked for.
    """
    zeros = initial_state.new_zeros(u.shape[2])
    inputs = tuple(
        x.to(initial_state.dtype).contiguous()
        for x in (
            u,
            delta,
            A.t(),
            B,
            C,
            zeros if D is None else D,
            u.new_empty((0, 0, 0)) if z is None else z,
            zeros if delta_bias is None else delta_bias,
        )
    )
    # In memory the channels run fastest: (b, n, d). A state that comes back is not copied.
    initial = initial_state.transpose(1, 2).contiguous()
    if torch.is_grad_enabled() and any(x.requires_grad for x in (*inputs, initial)):
        y, final = _SelectiveScan.apply(delta_softplus, initial, *inputs)
    else:
        y, final, _ = _forward(inputs, delta_softplus, initial, save=False)
    return y.to(u.dtype), final.transpose(1, 2)
