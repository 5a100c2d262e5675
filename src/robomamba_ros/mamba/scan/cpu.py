"""The selective scan as one fused, vectorised pass on the CPU, with its gradients.

Blocks of channels and batch entries run in parallel. Importing this module needs numba; only
scan/dispatch does so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from robomamba_ros.mamba.kernels.functions import EXP2_TABLE
from robomamba_ros.mamba.kernels.launch import element, launch, pitched
from robomamba_ros.mamba.kernels.scan import BLOCK, FORWARD, STRETCH, forward
from robomamba_ros.mamba.kernels.scan_backward import BACKWARD, backward


class _Inputs(NamedTuple):
    """What the kernels read: the sequences in one type, everything else in that of the state."""

    u: Tensor
    delta: Tensor
    B: Tensor
    C: Tensor
    z: Tensor | None
    A: Tensor  # (n, d)
    D: Tensor
    bias: Tensor
    use_softplus: bool
    initial: Tensor  # (b, n, d)

    def arguments(self) -> dict[str, Tensor | int]:
        """Return what both kernels read, by name."""
        b, length, d = self.u.shape
        sizes = {'b': b, 'length': length, 'd': d, 'n': self.A.shape[0]}
        return {
            **sizes,
            'use_softplus': self.use_softplus,
            'exp2_table': EXP2_TABLE.ctypes.data,
            **pitched(u=self.u, delta=self.delta, B=self.B, C=self.C),
            **({'z': 0, 'z_pitch': 0} if self.z is None else pitched(z=self.z)),
            'A': self.A,
            'D': self.D,
            'bias': self.bias,
        }


def _forward(inputs: _Inputs, save: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    u, initial = inputs.u, inputs.initial
    b, length, d = u.shape
    n = initial.shape[1]
    y, final = u.new_empty((b, length, d)), torch.empty_like(initial)
    checkpoints = initial.new_empty((b, -(-length // STRETCH), n, d)) if save else None
    arguments = {
        **inputs.arguments(),
        'initial': initial,
        'y': y,
        'final': final,
        'checkpoints': 0 if checkpoints is None else checkpoints,
    }
    kernel = forward(element(u.dtype))
    launch(kernel, FORWARD, b * -(-d // BLOCK), b * length * d * n, arguments)
    return y, final, checkpoints


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        given = _Inputs._make(inputs)
        y, final, checkpoints = _forward(given, save=True)
        ctx.save_for_backward(checkpoints, *inputs[:8], given.initial)
        ctx.use_softplus = given.use_softplus
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_y: Tensor | None, grad_final: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        checkpoints, *tensors, initial = ctx.saved_tensors
        inputs = _Inputs._make((*tensors, ctx.use_softplus, initial))
        u, A = inputs.u, inputs.A
        b, length, d = u.shape
        n, blocks = A.shape[0], -(-d // BLOCK)
        grad_y = u.new_zeros((b, length, d)) if grad_y is None else grad_y
        grad_final = A.new_zeros((b, n, d)) if grad_final is None else grad_final.contiguous()
        grad_u, grad_delta = u.new_empty((2, b, length, d))
        grad_z = None if inputs.z is None else u.new_empty((b, length, d))
        grad_A, grad_initial = A.new_empty((2, b, n, d))
        grad_B, grad_C = A.new_empty((2, blocks, b, length, n))
        grad_D, grad_bias = A.new_empty((2, b, d))
        arguments = {
            **inputs.arguments(),
            **pitched(grad_y=grad_y),
            'checkpoints': checkpoints,
            'grad_final': grad_final,
            'grad_u': grad_u,
            'grad_delta': grad_delta,
            'grad_z': 0 if grad_z is None else grad_z,
            'grad_A': grad_A,
            'grad_B': grad_B,
            'grad_C': grad_C,
            'grad_D': grad_D,
            'grad_bias': grad_bias,
            'grad_initial': grad_initial,
        }
        kernel = backward(element(u.dtype))
        launch(kernel, BACKWARD, b * blocks, 4 * b * length * d * n, arguments)
        return (
            *(grad_u, grad_delta, grad_B.sum(0).to(u.dtype), grad_C.sum(0).to(u.dtype), grad_z),
            *(grad_A.sum(0), grad_D.sum(0), grad_bias.sum(0), None, grad_initial),
        )


def _channels(given: Tensor | None, state: Tensor) -> Tensor:
    """Return a number per channel, zeros where none is given."""
    if given is None:
        return state.new_zeros(state.shape[1])
    return given.float().contiguous()


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

    Reads and writes bfloat16 as it is where all sequences are, else as float32.
    Saves checkpoints for the backward pass only where a gradient is asked for.
    """
    dtype = u.dtype
    half = all(x is None or x.dtype == torch.bfloat16 for x in (u, delta, B, C, z))
    io = torch.bfloat16 if half else torch.float32
    inputs = _Inputs(
        u=u.to(io),
        delta=delta.to(io),
        B=B.to(io),
        C=C.to(io),
        z=None if z is None else z.to(io),
        A=A.float().t().contiguous(),
        D=_channels(D, initial_state),
        bias=_channels(delta_bias, initial_state),
        use_softplus=delta_softplus,
        # In memory the channels run fastest: (b, n, d). A state that comes back is not copied.
        initial=initial_state.transpose(1, 2).contiguous(),
    )
    if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        y, final = _SelectiveScan.apply(*inputs)
    else:
        y, final, _ = _forward(inputs, save=False)
    return y.to(dtype), final.transpose(1, 2)
