"""What this machine is, and in which type a network computes fast on it."""

from __future__ import annotations

import logging
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Linux's names of the instructions that multiply bfloat16 numbers: of x86-64, then of ARM.
BFLOAT16_FLAGS = frozenset({'avx512_bf16', 'amx_bf16', 'bf16'})
# Of x86-64, that multiply float16 numbers.
FLOAT16_FLAGS = frozenset({'avx512_fp16', 'amx_fp16'})
# The instruction sets of PyTorch below those: it can be told to use no more (ATEN_CPU_CAPABILITY).
NARROW = ('DEFAULT', 'NO AVX', 'AVX2')
# On ARM 'DEFAULT' is NEON, and oneDNN takes what the processor has whatever PyTorch uses itself.
NEON = 'asimd'
# NVIDIA's compute capability from which on a GPU multiplies bfloat16 numbers (Ampere).
GPU_BFLOAT16 = (8, 0)
# The product that tells how slow a type is, (ROWS, SIDE) times (SIDE, SIDE), and how often.
ROWS, SIDE, TURNS = 64, 1024, 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Processor:
    """The CPU: its name, and the instructions it has as Linux calls them."""

    name: str
    flags: frozenset[str]


@dataclass(frozen=True)
class ComputeDevice:
    """Where a network computes. fast_bfloat16, fast_float16: products in that type are not slower
    than in float32. torch_name: what PyTorch calls it.
    """

    name: str
    fast_bfloat16: bool
    torch_name: str = 'cpu'
    fast_float16: bool = False

    def fast(self, dtype: str) -> bool:
        """Return whether products in a type, by its name, are not slower than in float32."""
        known = {'bfloat16': self.fast_bfloat16, 'float16': self.fast_float16}
        return known.get(dtype, True)


def read_processor(path: Path = Path('/proc/cpuinfo')) -> Processor:
    """Return the CPU of this machine; without `path` (not Linux) one without any flags."""
    lines = path.read_text(encoding='utf-8').splitlines() if path.is_file() else []
    pairs = [(key.strip(), value.strip()) for key, _, value in (x.partition(':') for x in lines)]
    first = dict(reversed(pairs))
    name = first.get('model name') or platform.processor() or platform.machine()
    return Processor(name, frozenset(first.get('flags', first.get('Features', '')).split()))


def cpu_device(processor: Processor, instruction_set: str) -> ComputeDevice:
    """Return the CPU as a device; instruction_set: the one that PyTorch uses."""
    wide = instruction_set not in NARROW or NEON in processor.flags
    fast = bool(processor.flags & BFLOAT16_FLAGS) and wide
    half = bool(processor.flags & FLOAT16_FLAGS) and instruction_set not in NARROW
    return ComputeDevice(processor.name, fast, fast_float16=half)


def compute_device(device: torch.device) -> ComputeDevice:
    """Return what is known about a device that this machine has."""
    import torch

    if device.type == 'cuda':
        fast = torch.cuda.get_device_capability(device) >= GPU_BFLOAT16
        return ComputeDevice(torch.cuda.get_device_name(device), fast, str(device), True)
    set_in_use: Any = torch.backends.cpu.get_cpu_capability()
    return cpu_device(read_processor(), set_in_use)


def slow_factor(dtype: str, device: ComputeDevice) -> float:
    """Return how many times as long a product takes in a type as in float32, measured now."""
    import torch

    return _product_s(getattr(torch, dtype), device) / _product_s(torch.float32, device)


def _product_s(dtype: torch.dtype, device: ComputeDevice) -> float:
    import torch

    x = torch.ones(ROWS, SIDE, dtype=dtype, device=device.torch_name)
    weight = torch.ones(SIDE, SIDE, dtype=dtype, device=device.torch_name)
    times = []
    # The first one prepares what the others use.
    for _ in range(TURNS + 1):
        start = time.perf_counter()
        torch.nn.functional.linear(x, weight)[0, 0].item()  # a GPU is waited for
        times.append(time.perf_counter() - start)
    return min(times[1:])


def choose_dtype(asked: str, device: ComputeDevice, preferred: str) -> str:
    """Return the type to compute in, one that torch names, and log it with the reason.

    asked: 'auto' for `preferred` where the device is fast in it and float32 where it is not. A
    type that was named is taken; a slow one is warned about, with the measured factor.
    """
    if asked != 'auto':
        if not device.fast(asked):
            _log.warning(
                'dtype %s is slow here: on %s a product, measured now, takes %.1f times as long '
                'as in float32. Give auto or float32',
                asked,
                device.name,
                slow_factor(asked, device),
            )
        return asked
    if preferred == 'bfloat16' and not device.fast_bfloat16:
        _log.info('computing in float32: %s has no fast bfloat16', device.name)
        return 'float32'
    _log.info('computing in %s on %s', preferred, device.name)
    return preferred
