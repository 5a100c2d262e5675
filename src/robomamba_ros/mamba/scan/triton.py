"""The selective scan by Triton kernels, with its gradients.

Importing this module needs triton; only scan/dispatch does so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.triton.functions import rows
from robomamba_ros.mamba.triton.scan import BLOCK, STRETCH, backward, forward, launch


def _forward(
    use_softplus: bool, initial: Tensor, inputs: tuple[Any, ...], save: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    u = inputs[0]
    b, length, d = u.shape
    n = initial.shape[1]
    y, final = u.new_empty(u.shape), torch.empty_like(initial)
    stretches = -(-length // STRETCH)
    checkpoints = initial.new_empty((b, stretches, n, d)) if save else None
    others = (initial, y, final, checkpoints)
    launch(forward, inputs, others, use_softplus)
    return y, final, checkpoints


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, use_softplus: bool, initial: Tensor, *inputs: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        y, final, checkpoints = _forward(use_softplus, initial, inputs, save=True)
        ctx.save_for_backward(checkpoints, *inputs)
        ctx.use_softplus = use_softplus
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_final: Tensor) -> tuple[Tensor | None, ...]:
        checkpoints, *inputs = ctx.saved_tensors
        u, delta, A, _, _, D, z, bias = inputs
        b, length, d = u.shape
        n = A.shape[0]
        new = checkpoints.new_empty
        grad_u, grad_delta = u.new_empty(u.shape), delta.new_empty(u.shape)
        grad_z = None if z is None else z.new_empty(u.shape)
        grad_A, grad_initial, states = new((b, n, d)), new((b, n, d)), new((b, STRETCH, n, d))
        parts = (-(-d // BLOCK), b, length, n)
        grad_B, grad_C, grad_D, grad_bias = new(parts), new(parts), new((b, d)), new((b, d))
        others = (
            *(checkpoints, states, grad_y.contiguous(), grad_final.contiguous()),
            *(grad_u, grad_delta, grad_A, grad_B, grad_C, grad_D, grad_z, grad_bias, grad_initial),
        )
        launch(backward, tuple(inputs), others, ctx.use_softplus)
        return (
            *(None, grad_initial),
            *(grad_u, grad_delta, grad_A.sum(0), grad_B.sum(0), grad_C.sum(0)),
            *(None if D is None else grad_D.sum(0), grad_z),
            None if bias is None else grad_bias.sum(0),
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
    """Compute what reference.selective_scan computes, fused; same shapes, any types and strides.

    One launch, no copy where the last dimensions are contiguous. Saves checkpoints for the
    backward pass only where a gradient is asked for.
    """
    inputs = (
        *(rows(u), rows(delta), A.t().contiguous(), rows(B), rows(C)),
        *(None if x is None else rows(x) for x in (D, z, delta_bias)),
    )
    # In memory the channels run fastest: (b, n, d). A state that comes back is not copied.
    initial = initial_state.transpose(1, 2).contiguous()
    tensors = (initial, *inputs)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors):
        y, final = _SelectiveScan.apply(delta_softplus, *tensors)
    else:
        y, final, _ = _forward(delta_softplus, initial, inputs, save=False)
    return y, final.transpose(1, 2)
