"""The selective scan by Triton kernels, with its gradients.

Importing this module needs triton; only scan/dispatch does so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.state import computed_in
from robomamba_ros.mamba.triton import segments
from robomamba_ros.mamba.triton.functions import rows
from robomamba_ros.mamba.triton.scan import BLOCK, STRETCH, backward, forward, run


def _forward(
    use_softplus: bool,
    initial: Tensor | None,
    inputs: tuple[Any, ...],
    valid: Tensor | None,
    final: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Scan without gradients; the last state goes to `final`, where that is given."""
    u, A = inputs[0], inputs[2]
    b, length, d = u.shape
    y = u.new_empty(u.shape)
    if final is None:
        final = u.new_empty((b, A.shape[0], d), dtype=computed_in(u.dtype))
    if length > STRETCH and final.dtype == torch.float32:
        segments.run(inputs, initial, valid, y, final, use_softplus, STRETCH)
    else:
        run(forward, inputs, (initial, valid, y, final, None), use_softplus)
    return y, final


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, use_softplus: bool, initial: Tensor, *inputs: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        u = inputs[0]
        assert u is not None
        b, length, d = u.shape
        y, final = u.new_empty(u.shape), torch.empty_like(initial)
        checkpoints = initial.new_empty((b, -(-length // STRETCH), initial.shape[1], d))
        run(forward, inputs, (initial, None, y, final, checkpoints), use_softplus)
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
        run(backward, tuple(inputs), others, ctx.use_softplus)
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
    initial_state: Tensor | None,
    valid: Tensor | None = None,
    *,
    in_place: bool = False,
) -> tuple[Tensor, Tensor]:
    """Compute what reference.selective_scan computes, fused; same shapes, any types and strides.

    No copy where the last dimensions are contiguous. A state of None is zero. Without gradients
    one launch up to STRETCH tokens, and three beyond in float32, parallel over time; with them one
    launch that saves checkpoints for the backward pass. valid (b,), int32: how many tokens of each
    sequence are no padding; the last state is that after them, and outputs of padding mean nothing.
    in_place: the last state takes the place of the initial one where the channels run fastest.
    """
    inputs = (
        *(rows(u), rows(delta), A.t().contiguous(), rows(B), rows(C)),
        *(None if x is None else rows(x) for x in (D, z, delta_bias)),
    )
    # In memory the channels run fastest: (b, n, d). A state that comes back is not copied.
    initial = None if initial_state is None else initial_state.transpose(1, 2).contiguous()
    tensors = (initial, *inputs)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors):
        if initial is None:
            shape = (u.shape[0], A.shape[1], A.shape[0])
            initial = u.new_zeros(shape, dtype=computed_in(u.dtype))
        y, final = _SelectiveScan.apply(delta_softplus, initial, *inputs)
        return y, final.transpose(1, 2)
    y, final = _forward(delta_softplus, initial, inputs, valid, initial if in_place else None)
    if in_place and initial_state is not None and initial_state.transpose(1, 2).is_contiguous():
        return y, initial_state
    return y, final.transpose(1, 2)
