"""Keeps freed memory in the process, for work that must not wait for the kernel.

A large array given back to the kernel comes back page by page, each filled with zeros first: a
forward pass that allocates the same arrays every time then spends a good part of its time there.
"""

from __future__ import annotations

import ctypes

# Parameters of mallopt(3), and the largest size of an array that glibc lets one keep.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, LARGEST = 1 << 30, 32 << 20


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of what it frees, in arrays of up to 32 MiB.

    Returns whether that was possible: glibc can, other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT)) and bool(mallopt(M_MMAP_THRESHOLD, LARGEST))
