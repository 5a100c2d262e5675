"""What the Triton kernels take of a GPU that need not be there: registers, spills, instructions.

Triton compiles for any GPU, and its own tools read the result. Run it where TRITON_INTERPRET is not
set.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from robomamba_ros.mamba.triton import conv, norm, scan, segments

# Jetson Orin, Ada (RTX 40), Hopper (H100, H200), Blackwell (B200).
ARCHITECTURES = (87, 89, 90, 100)
TOOLS = Path(triton.__file__).parent / 'backends' / 'nvidia' / 'bin'
# These are read and written in the type of the model, all other tensors in that of the computation.
MODEL = ('u', 'delta', 'B', 'C', 'z', 'y', 'x', 'weight', 'bias', 'update')
TAPS, STATES = 4, 16
ONE_WARP = {'num_warps': 1}

_WALK = {'use_softplus': True, 'STATES': STATES, 'CHANNELS': scan.BLOCK}
_SCAN = {**_WALK, 'STRETCH': scan.STRETCH}
_STRETCHES = {**_WALK, 'STEPS': scan.STRETCH}
_CONV = {'STEPS': conv.STRETCH, 'CHANNELS': conv.BLOCK, 'TAPS': TAPS, 'STATE': TAPS}
_FOLD = {'CHANNELS': segments.FOLDED}
_FOLD_WARPS = {'num_warps': segments.FOLDED // 32}


@dataclass(frozen=True)
class Kernel:
    """A kernel as a launch specialises it: constants, and options of the compiler."""

    name: str
    function: Any
    constants: Mapping[str, Any]
    options: Mapping[str, int]


# As inference launches them, and training; sizes are those of the published models.
INFERENCE = (
    Kernel('scan, a step', scan.forward, {**_SCAN, 'checkpoints': None, 'valid': None}, ONE_WARP),
    Kernel('scan, stretches: ends', segments.ends, {**_STRETCHES, 'valid': None}, ONE_WARP),
    Kernel('scan, stretches: fold', segments.fold, _FOLD, _FOLD_WARPS),
    Kernel('scan, stretches: outputs', segments.outputs, {**_STRETCHES, 'valid': None}, ONE_WARP),
    Kernel('scan, padded: outputs', segments.outputs, _STRETCHES, ONE_WARP),
    Kernel('convolution', conv.forward, {**_CONV, 'valid': None}, {}),
    Kernel('convolution, padded', conv.forward, _CONV, {}),
    Kernel('sum, norm and cast', norm.forward, {'EPSILON': 1e-5, 'WIDTH': 1024}, {}),
)
TRAINING = (
    Kernel('scan, with checkpoints', scan.forward, {**_SCAN, 'valid': None}, ONE_WARP),
    Kernel('scan, gradients', scan.backward, _SCAN, ONE_WARP),
    Kernel('convolution, gradients', conv.backward, _CONV, {}),
)


@dataclass(frozen=True)
class Resources:
    """What one thread of a kernel takes, and how long its program is, where that was counted."""

    registers: int
    spilled_bytes: int
    shared_bytes: int
    instructions: int | None


def compile_for(
    kernel: Kernel, architecture: int, dtype: str = 'bf16', given: Mapping[str, Any] | None = None
) -> Any:
    """Return the kernel compiled for a compute capability, without a GPU.

    dtype: of the model, bf16, fp16, fp32 or fp64, which is computed in itself. given: further
    constants, for parameters of these names.
    """
    parameters = kernel.function.params
    names = [parameter.name for parameter in parameters]
    wanted = {**kernel.constants, **(given or {})}
    constants = {name: wanted[name] for name in names if name in wanted}
    sizes = names.index('d') if 'length' not in names else names.index('length')
    sizes = min(sizes, names.index('stretches')) if 'stretches' in names else sizes
    signature, attributes = {}, {}
    for i, name in enumerate(names):
        in_model = name.removeprefix('grad_') in MODEL and kernel.function is not norm.forward
        in_model |= kernel.function is norm.forward and name in ('update', 'weight', 'y')
        kind = dtype if in_model or dtype == 'fp64' else 'fp32'
        signature[name] = 'i32' if i >= sizes else '*i32' if name == 'valid' else f'*{kind}'
        if name in constants:
            signature[name] = 'constexpr'
        elif not parameters[i].do_not_specialize:
            attributes[(i,)] = [['tt.divisibility', 16]]
    source = ASTSource(kernel.function, signature, constants, attributes)
    options = {'enable_fp_fusion': False, **kernel.options}
    return triton.compile(source, target=GPUTarget('cuda', architecture, 32), options=options)


def measure(
    kernels: Iterable[Kernel], architecture: int, *, counted: bool = True
) -> Iterator[tuple[str, Resources]]:
    """Yield for each kernel its name and what it takes on a compute capability.

    counted: whether to count instructions, which takes half a second each.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'kernel.cubin'
        for kernel in kernels:
            compiled = compile_for(kernel, architecture)
            path.write_bytes(compiled.asm['cubin'])
            usage = _tool('cuobjdump', '--dump-resource-usage', str(path))
            registers, stack = (
                int(re.findall(rf'{field}:(\d+)', usage)[0]) for field in ('REG', 'STACK')
            )
            instructions = _instructions(path) if counted else None
            taken = Resources(registers, stack, compiled.metadata.shared, instructions)
            yield kernel.name, taken


def _instructions(cubin: Path) -> int:
    code = _tool('nvdisasm', '--print-code', str(cubin))
    lines = re.findall(r'^\s*/\*[0-9a-f]{4,}\*/\s+(.*);', code, re.MULTILINE)
    return sum('NOP' not in line for line in lines)


def _tool(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [str(TOOLS / name), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout
