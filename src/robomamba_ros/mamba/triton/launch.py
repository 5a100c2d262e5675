"""How every Triton kernel is launched: sizes of a launch, its device, and counting without one.

A launch from Python takes longer than most kernels: nothing here calls Triton's own helpers.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor

# Launches on tensors without data (device meta), by kernel: they are counted, and nothing runs.
COUNTED: Counter[str] = Counter()


def launch(kernel: Any, grid: tuple[int, ...], on: Tensor, *arguments: Any, **options: Any) -> None:
    """Launch a kernel over a grid of programs on the device of the tensor `on`."""
    if on.is_meta:
        COUNTED[f'{kernel.__module__.rpartition(".")[2]}.{kernel.__name__}'] += 1
        return
    with torch.cuda.device_of(on):
        kernel[grid](*arguments, **options)


def blocks(size: int, block: int) -> int:
    """Return how many blocks hold `size` elements."""
    return -(-size // block)


def padded(size: int) -> int:
    """Return the smallest power of two that is not less than `size`, as Triton's tiles have it."""
    return 1 << (size - 1).bit_length()


def strides(*sequences: Tensor | None) -> list[int]:
    """Return the strides of batch and time of each sequence (b, l, ...), zeros for None."""
    return [s for x in sequences for s in ((0, 0) if x is None else x.stride()[:2])]
