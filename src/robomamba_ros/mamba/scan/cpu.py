"""The selective scan as one fused, vectorised pass on the CPU, with its gradients.

Blocks of channels and batch entries run in parallel. Importing this module needs numba; only
scan/dispatch does so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.kernels.functions import EXP2_TABLE
from robomamba_ros.mamba.kernels.launch import element, launch, rows
from robomamba_ros.mamba.kernels.scan import BLOCK, STRETCH, backward, forward


def _sequences(*tensors: Tensor) -> tuple[Tensor | int, ...]:
    """Return each tensor and the distance of its rows, as the kernels take them."""
    return tuple(value for tensor in tensors for value in rows(tensor))


def _forward(
    u: Tensor,
    delta: Tensor,
    B: Tensor,
    C: Tensor,
    z: Tensor | None,
    A: Tensor,
    D: Tensor,
    bias: Tensor,
    use_softplus: bool,
    initial: Tensor,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    b, length, d = u.shape
    n = A.shape[0]
    y, final = u.new_empty((b, length, d)), torch.empty_like(initial)
    checkpoints = A.new_empty((b, -(-length // STRETCH), n, d)) if save else None
    arguments = (
        *(b, length, d, n, use_softplus, EXP2_TABLE.ctypes.data),
        *_sequences(u, delta, B, C),
        *((0, 0) if z is None else rows(z)),
        *(A, D, bias, initial, y, final),
        0 if checkpoints is None else checkpoints,
    )
    kernel = forward(element(u.dtype), element(A.dtype))
    launch(kernel, b * -(-d // BLOCK), b * length * d * n, arguments)
    return y, final, checkpoints


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        delta: Tensor,
        B: Tensor,
        C: Tensor,
        z: Tensor | None,
        A: Tensor,
        D: Tensor,
        bias: Tensor,
        use_softplus: bool,
        initial: Tensor,
    ) -> tuple[Tensor, Tensor]:
        y, final, checkpoints = _forward(
            u, delta, B, C, z, A, D, bias, use_softplus, initial, save=True
        )
        ctx.save_for_backward(u, delta, B, C, z, A, D, bias, checkpoints)
        ctx.use_softplus = use_softplus
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_y: Tensor | None, grad_final: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        u, delta, B, C, z, A, D, bias, checkpoints = ctx.saved_tensors
        b, length, d = u.shape
        n, blocks = A.shape[0], -(-d // BLOCK)
        grad_y = u.new_zeros((b, length, d)) if grad_y is None else grad_y
        grad_final = A.new_zeros((b, n, d)) if grad_final is None else grad_final.contiguous()
        grad_u, grad_delta = u.new_empty((b, length, d)), u.new_empty((b, length, d))
        grad_z = None if z is None else u.new_empty((b, length, d))
        grad_A, grad_initial = A.new_empty((b, n, d)), A.new_empty((b, n, d))
        grad_B, grad_C = A.new_empty((2, blocks, b, length, n))
        grad_D, grad_bias = A.new_empty((2, b, d))
        arguments = (
            *(b, length, d, n, ctx.use_softplus, EXP2_TABLE.ctypes.data),
            *_sequences(u, delta, B, C),
            *((0, 0) if z is None else rows(z)),
            *(A, D, bias, checkpoints),
            *rows(grad_y),
            *(grad_final, grad_u, grad_delta, 0 if grad_z is None else grad_z, grad_A),
            *(grad_B, grad_C, grad_D, grad_bias, grad_initial),
        )
        kernel = backward(element(u.dtype), element(A.dtype))
        launch(kernel, b * blocks, 4 * b * length * d * n, arguments)
        return (
            *(grad_u, grad_delta, grad_B.sum(0).to(u.dtype), grad_C.sum(0).to(u.dtype), grad_z),
            *(grad_A.sum(0), grad_D.sum(0), grad_bias.sum(0), None, grad_initial),
        )


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

    Reads and writes bfloat16 as it is where all sequences are, else in the type of the state.
    Saves checkpoints for the backward pass only where a gradient is asked for.
    """
    real = initial_state.dtype
    sequences = (u, delta, B, C, z)
    half = all(x is None or x.dtype == torch.bfloat16 for x in sequences)
    io = torch.bfloat16 if half else real
    zeros = initial_state.new_zeros(u.shape[2])
    inputs = (
        *(None if x is None else x.to(io) for x in sequences),
        A.to(real).t().contiguous(),
        zeros if D is None else D.to(real).contiguous(),
        zeros if delta_bias is None else delta_bias.to(real).contiguous(),
        delta_softplus,
        # In memory the channels run fastest: (b, n, d). A state that comes back is not copied.
        initial_state.transpose(1, 2).contiguous(),
    )
    if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        y, final = _SelectiveScan.apply(*inputs)
    else:
        y, final, _ = _forward(*inputs, save=False)
    return y.to(u.dtype), final.transpose(1, 2)
