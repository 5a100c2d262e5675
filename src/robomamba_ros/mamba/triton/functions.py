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
def silu_slope(x: tl.tensor) -> tl.tensor:
    """Return the derivative of x sigmoid(x)."""
    gate = sigmoid(x)
    return gate * (1.0 + x * (1.0 - gate))


def rows(x: Tensor) -> Tensor:
    """Return x with its last dimension contiguous: itself wherever that is so already."""
    return x if x.stride(-1) == 1 else x.contiguous()
