"""RMSNorm behind a residual sum, with the cast to the type of the weights, as one Triton kernel."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from robomamba_ros.mamba.triton.launch import launch, padded


@triton.jit
def forward(
    x: tl.tensor,
    update: tl.tensor,
    weight: tl.tensor,
    total: tl.tensor,
    y: tl.tensor,
    d: tl.tensor,
    EPSILON: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Add and norm one row; an update of None adds nothing, and total is not written then."""
    dtype: tl.constexpr = x.dtype.element_ty
    j = tl.arange(0, WIDTH)
    inside = j < d
    place = tl.program_id(0).to(tl.int64) * d + j
    row = tl.load(x + place, inside, 0.0)
    if update is not None:
        row += tl.load(update + place, inside, 0.0).to(dtype)
        tl.store(total + place, row, inside)
    scale = 1.0 / tl.sqrt(tl.sum(row * row, 0) / d + EPSILON)
    tl.store(y + place, row * scale * tl.load(weight + j, inside, 0.0).to(dtype), inside)


def add_rms_norm(
    x: Tensor, update: Tensor | None, weight: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return x + update (..., d) in the type of x, and its norm in the type of the weight (d,).

    One launch where x and update are contiguous. For inference: it has no gradient.
    """
    x = x.contiguous()
    update = None if update is None else update.contiguous()
    y = torch.empty_like(x, dtype=weight.dtype)
    total = x if update is None else torch.empty_like(x)
    d = x.shape[-1]
    sizes = {'EPSILON': epsilon, 'WIDTH': padded(d)}
    launch(forward, (x.numel() // d,), x, x, update, weight, total, y, d, **sizes)
    return total, y
