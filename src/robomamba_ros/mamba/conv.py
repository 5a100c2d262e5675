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
    overwritten,
    resolve_backend,
    without_autocast,
)
from robomamba_ros.mamba.state import computed_in


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    initial_state: Tensor | None = None,
    *,
    valid: Tensor | None = None,
    in_place: bool = False,
    backend: str = AUTO,
) -> tuple[Tensor, Tensor]:
    """Convolve each channel over time with its own k taps and apply SiLU.

    x (b, l, d); weight (d, k), the last tap on the present input; bias (d,); states (b, k-1, d):
    the k-1 inputs before x, oldest first, zeros where `initial_state` is None. Any floating types,
    also mixed ones and strided views: a backend gets the tensors as they come, the initial state in
    the type of the computation. That is float32 (float64 where x is float64), also under autocast;
    y (b, l, d) has the type of x, the last state that of the computation. Backends, `valid` and
    `in_place` are those of the scan. Raises ValueError for shapes that do not fit, BackendError for
    the backend.
    """
    b, _, d = x.shape
    carried = (b, weight.shape[1] - 1, d)
    dtype = computed_in(x.dtype)
    if weight.shape[0] != d:
        raise ValueError(f'the convolution has {weight.shape[0]} channels, x has {d}')
    if initial_state is not None and tuple(initial_state.shape) != carried:
        raise ValueError(
            f'the state of the convolution is {tuple(initial_state.shape)}, expected {carried}'
        )
    name = resolve_backend(backend, x.device, x.dtype)
    start = initial_state
    if start is not None:
        start = start.to(dtype)
    elif name not in (MAMBA_SSM, TRITON):  # whose kernels start at zero by themselves
        start = x.new_zeros(carried, dtype=dtype)
    with without_autocast(x.device.type):
        if name == TRITON:
            from robomamba_ros.mamba.triton import conv as triton

            y, state = triton.causal_conv1d(x, weight, bias, start, valid, in_place=in_place)
        else:
            y, state = _load(name)(x, weight, bias, start)
            if valid is not None:
                before = x.new_zeros(carried, dtype=dtype) if start is None else start
                state = _inputs_before(valid, torch.cat((before, x.to(dtype)), dim=1), carried)
    return y, overwritten(initial_state, state) if in_place else state


def _inputs_before(ends: Tensor, window: Tensor, carried: tuple[int, int, int]) -> Tensor:
    """Return the last inputs (b, k-1, d) of sequences that end after ends (b,) inputs."""
    rows = ends[:, None].long() + torch.arange(carried[1], device=ends.device)
    return window.gather(1, rows[:, :, None].expand(carried))


def _load(backend: str) -> Callable[..., tuple[Tensor, Tensor]]:
    if backend == CPU:
        from robomamba_ros.mamba.kernels import conv as cpu

        return cpu.causal_conv1d
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
