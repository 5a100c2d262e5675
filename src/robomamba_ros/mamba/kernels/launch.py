"""Runs a compiled kernel over batch entries and blocks of channels, on as many threads as torch.

Knows nothing about what a kernel computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
import torch
from torch import Tensor

# Channels per task: in the scan, 16 rates and 16 states of 256 float32 fill 32 KiB.
BLOCK = 256

# numba's fallback thread pool aborts the process when two Python threads enter it at once.
_LAUNCH = threading.Lock()


def block_count(channels: int) -> int:
    """Return how many blocks hold that many channels."""
    return -(-channels // BLOCK)


def launch(
    serial: Callable[..., None],
    parallel: Callable[..., None],
    batch: int,
    channels: int,
    arguments: tuple[Any, ...],
) -> None:
    """Call kernel(tasks, blocks, arrays) with one task per batch entry and block of channels.

    `serial` and `parallel` are the same kernel compiled for one and for several threads; tensors
    among the arguments arrive as arrays that share their memory.
    """
    blocks = block_count(channels)
    tasks = batch * blocks
    threads = min(torch.get_num_threads(), int(numba.config.NUMBA_NUM_THREADS), tasks)
    arrays = tuple(a.detach().numpy() if isinstance(a, Tensor) else a for a in arguments)
    if threads <= 1:
        serial(tasks, blocks, arrays)
        return
    with _LAUNCH:
        numba.set_num_threads(threads)
        parallel(tasks, blocks, arrays)
