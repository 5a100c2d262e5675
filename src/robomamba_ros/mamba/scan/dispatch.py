"""Chooses the scan backend; the one place that knows which backends exist and are installed."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from robomamba_ros.errors import BackendError, unknown_name
from robomamba_ros.mamba.scan import reference
from robomamba_ros.mamba.state import computed_in

AUTO = 'auto'
REFERENCE = 'reference'
CPU = 'cpu'
TRITON = 'triton'
MAMBA_SSM = 'mamba_ssm'
# For export alone: never chosen by itself.
GRAPH = 'graph'


@dataclass(frozen=True)
class _Requirements:
    """What a compiled backend needs: a type of device, modules, and the command that gets them.

    float64: whether it computes in that type too.
    """

    device: str
    modules: tuple[str, ...]
    command: str
    float64: bool = False


# The faster one last. mamba_ssm leaves its kernels for Mamba-1 out unless told to build them.
_COMPILED = {
    CPU: _Requirements('cpu', ('numba',), 'pip install numba'),
    MAMBA_SSM: _Requirements(
        'cuda',
        ('mamba_ssm', 'selective_scan_cuda', 'causal_conv1d'),
        'MAMBA_KEEP_CUDA_BUILD=TRUE pip install --no-build-isolation mamba-ssm causal-conv1d',
    ),
    TRITON: _Requirements('cuda', ('triton',), 'pip install triton', float64=True),
}


@functools.cache
def available_backends(device: torch.device | str = 'cpu') -> tuple[str, ...]:
    """Return the backends that are installed and run on `device`: reference first, fastest last."""
    kind = _kind(torch.device(device))
    compiled = (name for name, needs in _COMPILED.items() if needs.device == kind)
    return (REFERENCE, *(name for name in compiled if not _missing(name)))


@functools.cache
def resolve_backend(backend: str, device: torch.device, dtype: torch.dtype = torch.float32) -> str:
    """Return the backend that runs on `device`: the one named, or for 'auto' the fastest there.

    dtype: of the input; float64 is computed in float64. Raises BackendError where the named backend
    is unknown, not installed, or cannot use `device` or `dtype`.
    """
    wide = dtype == torch.float64
    if backend == AUTO:
        able = (n for n in available_backends(device) if not wide or _computes_float64(n))
        return list(able)[-1]
    if backend in (REFERENCE, GRAPH):
        return backend
    if backend not in _COMPILED:
        raise BackendError(unknown_name('scan backend', backend, (AUTO, REFERENCE, *_COMPILED)))
    if missing := _missing(backend):
        command = _COMPILED[backend].command
        raise BackendError(f"the scan backend '{backend}' needs {', '.join(missing)}: {command}")
    needed = _COMPILED[backend].device
    if _kind(device) != needed and not (backend == TRITON and _interpreted()):
        raise BackendError(
            f"the scan backend '{backend}' needs {needed.upper()} tensors, got {device}; use "
            f"'{AUTO}'"
        )
    if wide and not _computes_float64(backend):
        raise BackendError(
            f"the scan backend '{backend}' computes in float32 alone, got float64; use '{AUTO}'"
        )
    return backend


def _kind(device: torch.device) -> str:
    # Tensors without data stand for those of a GPU: what would be launched for them is counted.
    return 'cuda' if device.type == 'meta' else device.type


def _computes_float64(backend: str) -> bool:
    return backend == REFERENCE or _COMPILED[backend].float64


def _missing(backend: str) -> list[str]:
    return [name for name in _COMPILED[backend].modules if not importlib.util.find_spec(name)]


def _interpreted() -> bool:
    # Triton then runs its kernels on any device, as NumPy: for tests and for debugging.
    return os.environ.get('TRITON_INTERPRET') == '1'


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Return a context in which products keep the type of their inputs, at no cost where they do.

    Entering torch's own context takes as long as a small kernel.
    """
    if autocast_dtype(device) is None:
        return nullcontext()
    return torch.autocast(device, enabled=False)


def autocast_dtype(device: str) -> torch.dtype | None:
    """Return the type that products have under autocast, None where that is off."""
    if device == 'meta' or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    initial_state: Tensor | None = None,
    *,
    valid: Tensor | None = None,
    in_place: bool = False,
    backend: str = AUTO,
) -> tuple[Tensor, Tensor]:
    """Run the selective scan of Mamba-1 from any state and return the output and the last state.

    u, delta, z (b, l, d); A (d, n); B, C (b, l, n); D, delta_bias (d,); states (b, d, n), zeros
    where `initial_state` is None. Any floating types, also mixed ones and strided views: a backend
    gets all tensors as they come, the initial state in the type of the computation. That is float32
    (float64 where u is float64), also under autocast; y (b, l, d) has the type of u, the last state
    that of the computation. Differentiable in every tensor. For inference there are valid (b,),
    int32, how many tokens of each sequence are no padding: the last state is that after them, and
    the outputs of padding mean nothing; and in_place, to write the last state over
    `initial_state`. Raises ValueError for shapes that do not fit, BackendError for the backend.
    Source: Gu and Dao 2023, algorithm 2.
    """
    _check_shapes(u, delta, A, B, C, D, z, delta_bias, initial_state)
    name = resolve_backend(backend, u.device, u.dtype)
    dtype = computed_in(u.dtype)
    start = initial_state
    if start is not None:
        start = start.to(dtype)
    elif name not in (MAMBA_SSM, TRITON):  # whose kernels start at zero by themselves
        start = u.new_zeros((u.shape[0], *A.shape), dtype=dtype)
    with without_autocast(u.device.type):
        arguments = (u, delta, A, B, C, D, z, delta_bias, delta_softplus, start)
        if name == TRITON:
            from robomamba_ros.mamba.scan import triton

            y, state = triton.selective_scan(*arguments, valid, in_place=in_place)
        else:
            if valid is not None:  # where no time passes, the state stays
                padding = torch.arange(u.shape[1], device=u.device) >= valid[:, None]
                still = -torch.inf if delta_softplus else 0.0
                delta = delta.masked_fill(padding[:, :, None], still)
            y, state = _load(name)(u, delta, *arguments[2:])
    return y, overwritten(initial_state, state) if in_place else state


def overwritten(initial: Tensor | None, final: Tensor) -> Tensor:
    """Return `initial` with the numbers of `final` in its own memory, where they may be already."""
    if initial is None:
        raise ValueError('there is no state to be written over; give the initial one')
    return initial if final is initial else initial.copy_(final)


def _load(backend: str) -> Callable[..., tuple[Tensor, Tensor]]:
    if backend == CPU:
        from robomamba_ros.mamba.scan import cpu

        return cpu.selective_scan
    if backend == MAMBA_SSM:
        from robomamba_ros.mamba.scan import mamba_ssm

        return mamba_ssm.selective_scan
    if backend == GRAPH:
        from robomamba_ros.mamba.scan import graph

        return graph.selective_scan
    return reference.selective_scan


def _check_shapes(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
) -> None:
    if u.ndim != 3 or u.shape[1] == 0 or A.ndim != 2:
        raise ValueError(
            f'the scan needs u (b, l >= 1, d) and A (d, n), got {tuple(u.shape)} and '
            f'{tuple(A.shape)}'
        )
    b, length, d = u.shape
    n = A.shape[1]
    expected = {
        'delta': (delta, (b, length, d)),
        'A': (A, (d, n)),
        'B': (B, (b, length, n)),
        'C': (C, (b, length, n)),
        'D': (D, (d,)),
        'z': (z, (b, length, d)),
        'delta_bias': (delta_bias, (d,)),
        'initial_state': (initial_state, (b, d, n)),
    }
    wrong = [
        f'{name} is {tuple(tensor.shape)}, expected {shape}'
        for name, (tensor, shape) in expected.items()
        if tensor is not None and tuple(tensor.shape) != shape
    ]
    if wrong:
        raise ValueError(f'for u (b, l, d) = {(b, length, d)}: {"; ".join(wrong)}')
