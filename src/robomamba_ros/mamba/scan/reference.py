"""The selective scan as the paper writes it: one step of the recurrence per token, plain torch.

Differentiable by autograd, on any device, in float32 or float64. It is the ground truth for the
compiled backends.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
    """Run the recurrence of Mamba (Gu and Dao 2023, algorithm 2) from `initial_state`.

    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t,   y_t = (C_t h_t + D u_t) silu(z_t)

    u, delta, z (b, l, d); A (d, n); B, C (b, l, n); D, delta_bias (d,); state (b, d, n). Computes
    in the type of `initial_state`; returns y (b, l, d) in the type of u, and the last state.
    """
    y_dtype, dtype, state = u.dtype, initial_state.dtype, initial_state
    u, delta, A, B, C = (x.to(dtype) for x in (u, delta, A, B, C))
    if delta_bias is not None:
        delta = delta + delta_bias.to(dtype)
    if delta_softplus:
        delta = F.softplus(delta)
    outputs = []
    for t in range(u.shape[1]):
        step = delta[:, t, :, None]  # (b, d, 1)
        drive = step * u[:, t, :, None] * B[:, t, None, :]  # (b, d, n)
        state = torch.exp(step * A) * state + drive
        outputs.append((state * C[:, t, None, :]).sum(-1))
    y = torch.stack(outputs, dim=1)
    if D is not None:
        y = y + D.to(dtype) * u
    if z is not None:
        y = y * F.silu(z.to(dtype))
    return y.to(y_dtype), state
