"""What the Triton kernels share: functions that neither overflow nor lose small numbers."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def sigmoid(x: tl.tensor) -> tl.tensor:
    """Return 1 / (1 + e^-x)."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def softplus(x: tl.tensor) -> tl.tensor:
    """Return log(1 + e^x), with its relative precision where e^x is tiny."""
    e = tl.exp(-tl.abs(x))
    one_plus = 1.0 + e
    # log(1 + e) = log(w) e / (w - 1) with w = 1 + e rounded: both factors err alike (Kahan).
    rest = one_plus - 1.0
    tail = tl.where(rest == 0.0, e, tl.log(one_plus) * (e / tl.where(rest == 0.0, 1.0, rest)))
    return tl.maximum(x, 0.0) + tail


@triton.jit
def softplus_series(x: tl.tensor) -> tl.tensor:
    """Return log(1 + e^x) in float32 without a logarithm: log(1 + e) = 2 atanh(e / (2 + e)).

    The minimax polynomial of 2 atanh(s) / s in s^2 keeps the relative precision of a tiny e^x
    (relative error 4e-9, before rounding).
    """
    e = tl.exp2(-tl.abs(x) * 1.4426950408889634)
    s = e / (2.0 + e)
    q = s * s
    series = 2.0 + q * (0.66666315 + q * (0.4002491 + q * (0.27960603 + q * 0.28178335)))
    return tl.maximum(x, 0.0) + s * series


@triton.jit
def silu_slope(x: tl.tensor) -> tl.tensor:
    """Return the derivative of x sigmoid(x)."""
    gate = sigmoid(x)
    return gate * (1.0 + x * (1.0 - gate))


def rows(x: Tensor) -> Tensor:
    """Return x with its last dimension contiguous: itself wherever that is so already."""
    return x if x.stride(-1) == 1 else x.contiguous()
