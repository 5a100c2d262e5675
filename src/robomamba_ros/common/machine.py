"""What this machine is, and in which type a network computes fast on it."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Linux's names of the instructions that multiply bfloat16 numbers: of x86-64, then of ARM.
BFLOAT16_FLAGS = frozenset({'avx512_bf16', 'amx_bf16', 'bf16'})
# The instruction sets of PyTorch below those: it can be told to use no more (ATEN_CPU_CAPABILITY).
NARROW = ('DEFAULT', 'NO AVX', 'AVX2')
# NVIDIA's compute capability from which on a GPU multiplies bfloat16 numbers (Ampere).
GPU_BFLOAT16 = (8, 0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Processor:
    """The CPU: its name, and the instructions it has as Linux calls them."""

    name: str
    flags: frozenset[str]


@dataclass(frozen=True)
class ComputeDevice:
    """Where a network computes. fast_bfloat16: products in bfloat16 are not slower than float32."""

    name: str
    fast_bfloat16: bool


def read_processor(path: Path = Path('/proc/cpuinfo')) -> Processor:
    """Return the CPU of this machine; without `path` (not Linux) one without any flags."""
    lines = path.read_text(encoding='utf-8').splitlines() if path.is_file() else []
    pairs = [(key.strip(), value.strip()) for key, _, value in (x.partition(':') for x in lines)]
    first = dict(reversed(pairs))
    name = first.get('model name') or platform.processor() or platform.machine()
    return Processor(name, frozenset(first.get('flags', first.get('Features', '')).split()))


def cpu_device(processor: Processor, instruction_set: str) -> ComputeDevice:
    """Return the CPU as a device; instruction_set: the one that PyTorch uses."""
    fast = bool(processor.flags & BFLOAT16_FLAGS) and instruction_set not in NARROW
    return ComputeDevice(processor.name, fast)


def compute_device(device: torch.device) -> ComputeDevice:
    """Return what is known about a device that this machine has."""
    import torch

    if device.type == 'cuda':
        fast = torch.cuda.get_device_capability(device) >= GPU_BFLOAT16
        return ComputeDevice(torch.cuda.get_device_name(device), fast)
    set_in_use: Any = torch.backends.cpu.get_cpu_capability()
    return cpu_device(read_processor(), set_in_use)


def choose_dtype(asked: str, device: ComputeDevice, preferred: str) -> str:
    """Return the type to compute in, 'float32' or 'bfloat16', and log it with the reason.

    asked: 'auto' for `preferred` where the device is fast in it and float32 where it is not. A
    type that was named is taken; a slow one is warned about.
    """
    if asked != 'auto':
        if asked == 'bfloat16' and not device.fast_bfloat16:
            _log.warning(
                'dtype bfloat16 is slow here: %s has no instructions for it; auto or float32 '
                'takes a fraction of the time',
                device.name,
            )
        return asked
    if preferred == 'bfloat16' and not device.fast_bfloat16:
        _log.info('computing in float32: %s has no fast bfloat16', device.name)
        return 'float32'
    _log.info('computing in %s on %s', preferred, device.name)
    return preferred
