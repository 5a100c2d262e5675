"""The causal depthwise convolution in front of the scan, with the inputs it must remember."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from robomamba_ros.mamba.scan.dispatch import (
    AUTO,
    CPU,
    MAMBA_SSM,
    TRITON,
    resolve_backend,
    without_autocast,
)


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None = None,
    *,
    backend: str = AUTO,
) -> tuple[Tensor, Tensor]:
    """Convolve each channel over time with its own k taps and apply SiLU.

    x (b, l, d); weight (d, k), the last tap on the present input; bias (d,); states (b, k-1, d):
    the k-1 inputs before x, oldest first, zeros where `initial_state` is None. Any floating types,
    also mixed ones and strided views: a backend gets the tensors as they come, the initial state in
    the type of the computation. That is float32 (float64 where x is float64), also under autocast;
    y (b, l, d) has the type of x, the last state that of the computation. Backends are those of the
    scan. Raises ValueError for shapes that do not fit, BackendError for the backend.
    """
    b, _, d = x.shape
    carried = (b, weight.shape[1] - 1, d)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    if weight.shape[0] != d:
        raise ValueError(f'the convolution has {weight.shape[0]} channels, x has {d}')
    if initial_state is None:
        initial_state = x.new_zeros(carried, dtype=dtype)
    elif tuple(initial_state.shape) != carried:
        raise ValueError(
            f'the state of the convolution is {tuple(initial_state.shape)}, expected {carried}'
        )
    with without_autocast(x.device.type):
        return _load(resolve_backend(backend, x.device, x.dtype))(
            x, weight, bias, initial_state.to(dtype)
        )


def _load(backend: str) -> Callable[..., tuple[Tensor, Tensor]]:
    if backend == CPU:
        from robomamba_ros.mamba.kernels import conv as cpu

        return cpu.causal_conv1d
    if backend == TRITON:
        from robomamba_ros.mamba.triton import conv as triton

        return triton.causal_conv1d
    if backend == MAMBA_SSM:
        from robomamba_ros.mamba.scan import mamba_ssm

        return mamba_ssm.causal_conv1d
    return _reference


def _reference(
    x: Tensor, weight: Tensor, bias: Tensor | None, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    dtype = initial_state.dtype
    window = torch.cat((initial_state, x.to(dtype)), dim=1)
    taps, shift = weight[:, None].to(dtype), None if bias is None else bias.to(dtype)
    y = F.conv1d(window.transpose(1, 2), taps, shift, groups=x.shape[2])
    return F.silu(y).transpose(1, 2).to(x.dtype), window[:, x.shape[1] :].clone()
