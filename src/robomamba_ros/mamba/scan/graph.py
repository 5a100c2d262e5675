"""The selective scan as one operator of a graph, for export: the recurrence of reference.py.

Written out, it would be a dozen operators for each token of each layer. ONNX has it as `Scan`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._higher_order_ops.scan import scan


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
    """Return what reference.selective_scan does, for tensors that torch.export traces."""
    y_dtype, dtype = u.dtype, initial_state.dtype
    u, delta, A, B, C = (x.to(dtype) for x in (u, delta, A, B, C))
    if delta_bias is not None:
        delta = delta + delta_bias.to(dtype)
    if delta_softplus:
        delta = F.softplus(delta)

    def step(state: Tensor, token: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        delta_t, driven_t, B_t, C_t = token  # (b, d), (b, d), (b, n), (b, n)
        state = torch.exp(delta_t[:, :, None] * A) * state + driven_t[:, :, None] * B_t[:, None, :]
        return state, (state * C_t[:, None, :]).sum(-1)

    tokens = tuple(x.transpose(0, 1) for x in (delta, delta * u, B, C))  # token first
    state, outputs = scan(step, initial_state, tokens)
    y = outputs.transpose(0, 1)
    if D is not None:
        y = y + D.to(dtype) * u
    if z is not None:
        y = y * F.silu(z.to(dtype))
    return y.to(y_dtype), state
