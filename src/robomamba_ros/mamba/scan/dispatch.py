"""Chooses the scan backend; the one place that knows which backends exist and are installed."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from robomamba_ros.errors import BackendError, unknown_name
from robomamba_ros.mamba.scan import reference

AUTO = 'auto'
REFERENCE = 'reference'
CPU = 'cpu'
_INSTALL = {CPU: ('numba', 'pip install numba')}


@functools.cache
def available_backends() -> tuple[str, ...]:
    """Return the names of the backends whose dependencies are installed, the reference first."""
    optional = (name for name, (module, _) in _INSTALL.items() if importlib.util.find_spec(module))
    return (REFERENCE, *optional)


def resolve_backend(backend: str, device: torch.device) -> str:
    """Return the backend that runs on `device`: the one named, or for 'auto' the fastest there.

    Raises BackendError where the named backend is unknown, not installed, or cannot use `device`.
    """
    on_cpu = device.type == 'cpu'
    if backend == AUTO:
        return CPU if on_cpu and CPU in available_backends() else REFERENCE
    if backend not in (REFERENCE, *_INSTALL):
        raise BackendError(unknown_name('scan backend', backend, (AUTO, REFERENCE, *_INSTALL)))
    if backend not in available_backends():
        module, command = _INSTALL[backend]
        raise BackendError(f"the scan backend '{backend}' needs {module}: {command}")
    if backend == CPU and not on_cpu:
        raise BackendError(
            f"the scan backend '{backend}' needs CPU tensors, got {device}; use '{AUTO}'"
        )
    return backend


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
    backend: str = AUTO,
) -> tuple[Tensor, Tensor]:
    """Run the selective scan of Mamba-1 from any state and return the output and the last state.

    u, delta, z (b, l, d); A (d, n); B, C (b, l, n); D, delta_bias (d,); states (b, d, n), zeros
    where `initial_state` is None. Any floating types, also mixed ones and strided views: a backend
    gets all tensors as they come, the initial state in the type of the computation. That is float32
    (float64 where u is float64), also under autocast; y (b, l, d) has the type of u, the last state
    that of the computation. Differentiable in every tensor. Raises ValueError for shapes that do
    not fit, BackendError for the backend. Source: Gu and Dao 2023, algorithm 2.
    """
    _check_shapes(u, delta, A, B, C, D, z, delta_bias, initial_state)
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    if initial_state is None:
        initial_state = u.new_zeros((u.shape[0], *A.shape), dtype=dtype)
    run = _load(resolve_backend(backend, u.device))
    with torch.autocast(u.device.type, enabled=False):
        return run(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state.to(dtype))


def _load(backend: str) -> Callable[..., tuple[Tensor, Tensor]]:
    if backend == CPU:
        from robomamba_ros.mamba.scan import cpu

        return cpu.selective_scan
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
