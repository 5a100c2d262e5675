"""Scan and convolution by their authors' CUDA kernels: packages mamba_ssm and causal_conv1d.

Those scans start at zero, and their last state has no gradient; both are made good around them, for
any scan that starts at zero. Only chosen backends import this module.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from robomamba_ros.errors import BackendError
from robomamba_ros.mamba.state import computed_in

# (u, delta, A, B, C) -> y with u, delta, y (b, d, l); A (d, n); B, C (b, n, l), from a zero state.
ZeroScan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
TAPS = (2, 3, 4)  # of the compiled convolutions


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
) -> tuple[Tensor, Tensor]:
    """Compute what reference.selective_scan computes; a state of None is zero and costs nothing."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    arguments = (u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state)
    return scan_from_any_state(selective_scan_fn, *arguments)


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute silu(conv(x)) and the last inputs: x (b, l, d), weight (d, k), state (b, k-1, d).

    Raises BackendError for numbers of taps that the kernels do not have.
    """
    taps = weight.shape[1]
    if taps not in TAPS:
        raise BackendError(
            f"the backend 'mamba_ssm' convolves with {TAPS} taps, got {taps}; use 'triton' or "
            "'reference'"
        )
    from causal_conv1d import causal_conv1d_fn

    window = torch.cat((initial_state, x.float()), dim=1)
    shift = None if bias is None else bias.float()
    y = causal_conv1d_fn(
        window.transpose(1, 2).contiguous(), weight.float(), shift, activation='silu'
    )
    return y[..., taps - 1 :].transpose(1, 2).to(x.dtype), window[:, x.shape[1] :].clone()


def scan_from_any_state(
    scan: ZeroScan,
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
) -> tuple[Tensor, Tensor]:
    """Continue from `initial_state` with a scan that starts at zero; shapes as in the reference.

    The recurrence is linear in the state, so the initial one adds
    sum_n C[t, n] exp(A[n] (delta_1 + ... + delta_t)) h_0[n] to the ungated output. The last state
    is read by n more steps: a delta of zero keeps the state, and a unit vector for C reads one of
    its numbers. So it needs no output, and no gradient, of its own.
    """
    dtype = computed_in(u.dtype)
    length, n = u.shape[1], A.shape[1]
    drive, delta, rates = u.to(dtype), delta.to(dtype), A.to(dtype)
    if delta_bias is not None:
        delta = delta + delta_bias.to(dtype)
    if delta_softplus:
        delta = F.softplus(delta)
    longer = [F.pad(x.to(dtype).transpose(1, 2), (0, n)) for x in (drive, delta, B)]
    units = torch.eye(n, dtype=dtype, device=u.device).expand(u.shape[0], n, n)
    readers = torch.cat((C.to(dtype).transpose(1, 2), units), dim=-1)
    outputs = scan(longer[0], longer[1], rates, longer[2], readers)
    if initial_state is not None:
        elapsed = longer[1].cumsum(-1)  # (b, d, l + n)
        left = torch.exp(elapsed[..., None] * rates[:, None]) * initial_state[:, :, None]
        outputs = outputs + (left * readers.transpose(1, 2)[:, None]).sum(-1)
    y, final_state = outputs.split((length, n), dim=-1)
    y = y.transpose(1, 2)
    if D is not None:
        y = y + D.to(dtype) * drive
    if z is not None:
        y = y * F.silu(z.to(dtype))
    return y.to(u.dtype), final_state
