"""Runs a compiled kernel on torch's own OpenMP threads.

A second pool would compete with torch's, whose threads spin for a while after every product.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping
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

from robomamba_ros.mamba.kernels.compiling import CALLED

# A kernel is a C function of one pointer, to a record of int64: `next_task`, the next task to be
# claimed; `tasks`, their number; and the kernel's own numbers and addresses. Each module writes its
# kernels out, because numba caches on disk only what refers to no compiled function but by its
# module.
_COUNTERS = ('next_task', 'tasks')

# Below so many multiply-adds waking a thread takes longer than the work.
SERIAL = 20_000

# numba knows no bfloat16: kernels take its bits.
_BITS = {torch.bfloat16: np.uint16(0), torch.float32: np.float32(0)}


@intrinsic
def _pointer(context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], voidptr_t)

    return types.voidptr(types.int64), generate


@intrinsic
def _claim(context: Any, arguments: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        next_task = builder.bitcast(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw('add', next_task, ir.Constant(ir.IntType(64), 1), 'monotonic')

    return types.int64(arguments), generate


def layout(*names: str) -> np.dtype[np.void]:
    """Return the record in which a kernel finds the arguments of these names."""
    return np.dtype([(name, np.int64) for name in (*_COUNTERS, *names)])


@njit(**CALLED)
def named(arguments: Any, record: Any) -> Any:
    """Return a kernel's arguments by name; record: their `layout`."""
    return carray(arguments, 1, record)[0]


@njit(**CALLED)
def claimed(arguments: Any) -> Any:
    """Yield the tasks that are left to this thread; no task is given out twice."""
    tasks = carray(arguments, 2, np.int64)[1]
    task = _claim(arguments)
    while task < tasks:
        yield task
        task = _claim(arguments)


def array_at(address: Any, shape: Any, like: Any) -> Any:
    """Return the array of that shape and of the type of `like` at an address."""
    raise NotImplementedError('for compiled code only')


@overload(array_at, strict=False, jit_options=CALLED)
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


def pitched(**tensors: Tensor) -> dict[str, Tensor | int]:
    """Return (b, l, d) tensors and, as `<name>_pitch`, the distances of their rows [elements]."""
    arguments: dict[str, Tensor | int] = {}
    for name, tensor in tensors.items():
        arguments[name], arguments[f'{name}_pitch'] = rows(tensor)
    return arguments


def launch(
    kernel: Any,
    record: np.dtype[np.void],
    tasks: int,
    work: int,
    arguments: Mapping[str, Tensor | int],
) -> None:
    """Run all tasks of a kernel that is `compiled` and return.

    record: the `layout` of the kernel's arguments. work: multiply-adds of all tasks together.
    arguments: by name; a tensor becomes its address, so the caller keeps it alive.
    """
    names = record.names or ()
    given = [arguments[name] for name in names[len(_COUNTERS) :]]
    values = [value.data_ptr() if isinstance(value, Tensor) else value for value in given]
    memory = (ctypes.c_int64 * len(names))(0, tasks, *values)
    threads = min(torch.get_num_threads(), tasks) if work > SERIAL else 1
    parallel = _openmp()
    if threads > 1 and parallel is not None:
        parallel(kernel.address, ctypes.addressof(memory), threads, 0)
    else:
        kernel.ctypes(ctypes.addressof(memory))


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
