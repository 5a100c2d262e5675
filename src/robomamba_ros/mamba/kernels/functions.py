"""Elementary functions for the compiled CPU kernels, inlined into loops that LLVM vectorises.

In float32 they are branch-free polynomials with a relative error below 1e-6; in float64 they are
the C library's. Knows nothing about scans, convolutions or torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

# exp(x) = 2^n exp(r), n = round(x log2 e): adding SHIFT rounds and leaves n + 127, the biased
# exponent, in the low bits of the sum. The coefficients are the minimax fit for |r| <= ln(2) / 2.
LOG2E = np.float32(1.4426950408889634)
LN2 = np.float32(0.6931471805599453)
SHIFT = np.float32(12582912.0 + 127.0)
EXPONENT_BITS = np.int32(23)
EXP_LOW, EXP_HIGH = np.float32(-87.3), np.float32(88.3)
E0 = np.float32(1.0)
E1 = np.float32(0.99999969)
E2 = np.float32(0.49998895)
E3 = np.float32(0.16667575)
E4 = np.float32(0.04191538)
E5 = np.float32(0.00829766)

# log(1 + e) = s (L0 + L1 s^2 + ...), s = e / (2 + e): the minimax fit of 2 atanh(s) / s for
# 0 <= e <= 1, which keeps the relative precision of a tiny e.
L0 = np.float32(2.0)
L1 = np.float32(0.66666315)
L2 = np.float32(0.4002491)
L3 = np.float32(0.27960603)
L4 = np.float32(0.28178334)

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


# Contraction to fused multiply-adds is safe here; reassociation would undo the rounding by SHIFT.
@njit(fastmath={'contract'})
def _exp32(x: Any) -> Any:
    x = EXP_HIGH if x > EXP_HIGH else x
    x = EXP_LOW if x < EXP_LOW else x
    shifted = x * LOG2E + SHIFT
    r = x - (shifted - SHIFT) * LN2
    bits = np.float32(shifted).view(np.int32)
    power = np.int32(bits << EXPONENT_BITS).view(np.float32)
    return power * (E0 + r * (E1 + r * (E2 + r * (E3 + r * (E4 + r * E5)))))


@njit(fastmath={'contract'})
def _softplus32(x: Any) -> Any:
    e = _exp32(-abs(x))
    s = e / (TWO + e)
    q = s * s
    tail = s * (L0 + q * (L1 + q * (L2 + q * (L3 + q * L4))))
    return (x if x > ZERO else ZERO) + tail


@njit(fastmath={'contract'})
def _sigmoid32(x: Any) -> Any:
    return ONE / (ONE + _exp32(-x))


@njit
def _softplus64(x: Any) -> Any:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@njit
def _sigmoid64(x: Any) -> Any:
    return 1.0 / (1.0 + math.exp(-x))


def exp(x: Any) -> Any:
    """Return e^x, in float32 clamped to the range of normal numbers."""
    raise NotImplementedError('for compiled code only')


def softplus(x: Any) -> Any:
    """Return log(1 + e^x)."""
    raise NotImplementedError('for compiled code only')


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^-x)."""
    raise NotImplementedError('for compiled code only')


@overload(exp, strict=False)
def _exp(x: Any) -> Callable[[Any], Any]:
    return (lambda x: _exp32(x)) if x == types.float32 else (lambda x: math.exp(x))


@overload(softplus, strict=False)
def _softplus(x: Any) -> Callable[[Any], Any]:
    return (lambda x: _softplus32(x)) if x == types.float32 else (lambda x: _softplus64(x))


@overload(sigmoid, strict=False)
def _sigmoid(x: Any) -> Callable[[Any], Any]:
    return (lambda x: _sigmoid32(x)) if x == types.float32 else (lambda x: _sigmoid64(x))
