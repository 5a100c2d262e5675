"""Runs a compiled kernel on torch's own OpenMP threads.

A second pool would compete with torch's, whose threads spin for a while after every product.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import carray, njit, types
from numba.core.cgutils import voidptr_t
from numba.extending import intrinsic, overload
from numba.np.numpy_support import as_dtype
from torch import Tensor

# A kernel is a C function of one pointer: to the next task to be claimed, the number of tasks, and
# the kernel's own numbers and addresses. Each module writes its kernels out, because numba caches
# on disk only what refers to no compiled function but by its module.
ENTRY = types.void(types.CPointer(types.int64))
NEXT, TASKS, FIRST = 0, 1, 2
SLOTS = 64

# Below so many multiply-adds waking a thread takes longer than the work.
SERIAL = 20_000

# numba knows no bfloat16: kernels take its bits.
_BITS = {torch.bfloat16: np.uint16(0), torch.float32: np.float32(0), torch.float64: np.float64(0)}


@intrinsic
def _pointer(context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], voidptr_t)

    return types.voidptr(types.int64), generate


@intrinsic
def _claim(context: Any, arguments: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw('add', args[0], ir.Constant(ir.IntType(64), 1), 'monotonic')

    return types.int64(arguments), generate


@njit
def slots(arguments: Any) -> Any:
    """Return a kernel's arguments as an array."""
    return carray(arguments, SLOTS)


@njit
def claimed(arguments: Any) -> Any:
    """Yield the tasks that are left to this thread; no task is given out twice."""
    q = slots(arguments)
    task = _claim(arguments)
    while task < q[TASKS]:
        yield task
        task = _claim(arguments)


def array_at(address: Any, shape: Any, like: Any) -> Any:
    """Return the array of that shape and of the type of `like` at an address."""
    raise NotImplementedError('for compiled code only')


@overload(array_at, strict=False)
def _array_at(address: Any, shape: Any, like: Any) -> Callable[[Any, Any, Any], Any]:
    dtype = as_dtype(like)
    return lambda address, shape, like: carray(_pointer(address), shape, dtype)


def element(dtype: torch.dtype) -> Any:
    """Return a number of the type by which kernels know elements of `dtype`."""
    return _BITS[dtype]


def rows(tensor: Tensor) -> tuple[Tensor, int]:
    """Return a (b, l, d) tensor and the distance of its rows, copied only where it must be."""
    b, length, d = tensor.shape
    batch, row, channel = tensor.stride()
    pitch = row if length > 1 else batch if b > 1 else d
    if (channel == 1 or d == 1) and pitch >= d and (b == 1 or batch == length * pitch):
        return tensor, pitch
    return tensor.contiguous(), d


def launch(kernel: Any, tasks: int, work: int, arguments: tuple[Tensor | int, ...]) -> None:
    """Run all tasks of a kernel (a numba cfunc of the signature ENTRY) and return.

    work: multiply-adds of all tasks together. Arguments fill the slots from FIRST on; a tensor
    becomes its address, so the caller keeps it alive.
    """
    values = (a.data_ptr() if isinstance(a, Tensor) else a for a in arguments)
    slots = (ctypes.c_int64 * SLOTS)(0, tasks, *values)
    threads = min(torch.get_num_threads(), tasks) if work > SERIAL else 1
    parallel = _openmp()
    if threads > 1 and parallel is not None:
        parallel(kernel.address, ctypes.addressof(slots), threads, 0)
    else:
        kernel.ctypes(slots)


@functools.cache
def _openmp() -> Callable[[int, int, int, int], None] | None:
    """Return GOMP_parallel(function, data, threads, flags) of the OpenMP that torch is linked to.

    GNU's, LLVM's and Intel's OpenMP have it; where torch was built with another, kernels run on
    the calling thread.
    """
    for library in (Path(torch.__file__).parent / 'lib').glob('libtorch_cpu.*'):
        try:
            function = ctypes.CDLL(str(library)).GOMP_parallel
        except (OSError, AttributeError):
            continue
        function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        function.restype = None
        return function
    return None
