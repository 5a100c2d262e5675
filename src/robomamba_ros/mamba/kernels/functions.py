"""Elementary functions for the compiled CPU kernels, inlined into loops that LLVM vectorises.

Branch-free polynomials with a relative error below 1e-6. bfloat16 numbers come as uint16 and are
computed with in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from robomamba_ros.mamba.kernels.compiling import CALLED
from robomamba_ros.mamba.kernels.launch import array_at

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

# 2^x = 2^n 2^r, n = round(x): what is added to round, and the minimax fit for |r| <= 1/2.
EXP2_TABLE = np.array(
    [12582912.0, 1.0000001, 0.69314694, 0.2402212, 0.05550713, 0.009675541, 0.0013276472],
    np.float32,
)
EXP2_LOW, EXP2_HIGH_BITS = np.float32(-125.5), np.float32(127.0).view(np.int32)

# A bfloat16 is the upper half of a float32.
HALF = np.uint32(16)
ROUND_DOWN, LAST_BIT = np.uint32(0x7FFF), np.uint32(1)
QUIET_NAN = np.uint16(0x7FC0)

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


# Contraction to fused multiply-adds is safe here; reassociation would undo the rounding by SHIFT.
@njit(fastmath={'contract'}, **CALLED)
def exp(x: Any) -> Any:
    """Return e^x, clamped to the range of normal numbers."""
    x = EXP_HIGH if x > EXP_HIGH else x
    x = EXP_LOW if x < EXP_LOW else x
    shifted = x * LOG2E + SHIFT
    r = x - (shifted - SHIFT) * LN2
    bits = np.float32(shifted).view(np.int32)
    power = np.int32(bits << EXPONENT_BITS).view(np.float32)
    return power * (E0 + r * (E1 + r * (E2 + r * (E3 + r * (E4 + r * E5)))))


@njit(fastmath={'contract'}, **CALLED)
def exp2(x: Any, table: Any) -> Any:
    """Return 2^x, clamped to the range of normal numbers; table: see exp2_table."""
    # One instruction each: as integers, positive floats keep their order and negative ones stay
    # below them (LLVM makes three of two comparisons of floats).
    bits = np.float32(x).view(np.int32)
    x = np.int32(EXP2_HIGH_BITS if bits > EXP2_HIGH_BITS else bits).view(np.float32)
    x = EXP2_LOW if x < EXP2_LOW else x
    shift, c0, c1, c2, c3, c4, c5 = table
    shifted = x + shift
    r = x - (shifted - shift)
    power = c0 + r * (c1 + r * (c2 + r * (c3 + r * (c4 + r * c5))))
    exponent = np.int32(np.float32(shifted).view(np.int32) << EXPONENT_BITS)
    return np.int32(np.float32(power).view(np.int32) + exponent).view(np.float32)


@njit(fastmath={'contract'}, **CALLED)
def softplus(x: Any) -> Any:
    """Return log(1 + e^x)."""
    e = exp(-abs(x))
    s = e / (TWO + e)
    q = s * s
    tail = s * (L0 + q * (L1 + q * (L2 + q * (L3 + q * L4))))
    return (x if x > ZERO else ZERO) + tail


@njit(fastmath={'contract'}, **CALLED)
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^-x)."""
    return ONE / (ONE + exp(-x))


@njit(**CALLED)
def _widen16(x: Any) -> Any:
    return np.uint32(np.uint32(x) << HALF).view(np.float32)


@njit(**CALLED)
def _narrow16(x: Any) -> Any:
    bits = np.float32(x).view(np.uint32)
    rounded = np.uint16((bits + ROUND_DOWN + ((bits >> HALF) & LAST_BIT)) >> HALF)
    return rounded if x == x else QUIET_NAN


@njit(**CALLED)
def exp2_table(address: Any) -> Any:
    """Return the numbers of EXP2_TABLE from where it lies in memory.

    LLVM keeps such numbers in registers; literals it loads again in every turn of a loop.
    """
    t = array_at(address, (EXP2_TABLE.size,), ZERO)
    return t[0], t[1], t[2], t[3], t[4], t[5], t[6]


def widen(x: Any) -> Any:
    """Return the number to compute with: a float32 for a bfloat16, else x itself."""
    raise NotImplementedError('for compiled code only')


def narrow(x: Any, like: Any) -> Any:
    """Return x in the type of `like`, rounded to the nearest bfloat16 where that is one."""
    raise NotImplementedError('for compiled code only')


@overload(widen, strict=False, jit_options=CALLED)
def _widen(x: Any) -> Callable[[Any], Any]:
    return (lambda x: _widen16(x)) if x == types.uint16 else (lambda x: x)


@overload(narrow, strict=False, jit_options=CALLED)
def _narrow(x: Any, like: Any) -> Callable[[Any, Any], Any]:
    return (lambda x, like: _narrow16(x)) if like == types.uint16 else (lambda x, like: x)
