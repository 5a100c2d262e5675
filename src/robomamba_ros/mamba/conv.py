"""The causal depthwise convolution in front of the scan, with the inputs it must remember.

Knows nothing about blocks or state containers: the carried inputs come in and go out as tensors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, initial_state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Convolve each channel over time with its own k taps and apply SiLU.

    x (b, l, d); weight (d, k), the last tap on the present input; bias (d,); states (b, k-1, d):
    the k-1 inputs before x, oldest first, zeros where `initial_state` is None. Computes in float32
    (float64 where x is float64); y (b, l, d) has the type of x, the last state that of the
    computation. Raises ValueError for shapes that do not fit.
    """
    b, length, d = x.shape
    taps = weight.shape[1]
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    if weight.shape[0] != d:
        raise ValueError(f'the convolution has {weight.shape[0]} channels, x has {d}')
    if initial_state is None:
        initial_state = x.new_zeros((b, taps - 1, d), dtype=dtype)
    elif tuple(initial_state.shape) != (b, taps - 1, d):
        raise ValueError(
            f'the state of the convolution is {tuple(initial_state.shape)}, expected '
            f'{(b, taps - 1, d)}'
        )
    with torch.autocast(x.device.type, enabled=False):
        window = torch.cat((initial_state.to(dtype), x.to(dtype)), dim=1)
        kernel = weight.to(dtype)
        # Shifted multiply-adds: torch's grouped conv1d is several times slower on short sequences.
        y = window[:, taps - 1 :] * kernel[:, taps - 1]
        for tap in range(taps - 1):
            y = y + window[:, tap : tap + length] * kernel[:, tap]
        if bias is not None:
            y = y + bias.to(dtype)
        return F.silu(y).to(x.dtype), window[:, length:].clone()
