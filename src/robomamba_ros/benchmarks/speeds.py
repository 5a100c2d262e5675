"""How fast this machine itself is, without this package: products by type, and its memory.

What every other table is compared with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from robomamba_ros.benchmarks.measuring import take_turns
from robomamba_ros.common.machine import compute_device
from robomamba_ros.mamba.block import MambaConfig

# The tokens of a policy with one camera, times a weight of mamba-370m.
ROWS, INPUTS, OUTPUTS = 230, 1024, 4096
# More than any cache holds. Ones: zeros that nobody wrote are all one page.
READ = 1 << 28
ENGINES = ('x86', 'fbgemm', 'onednn', 'qnnpack')  # of PyTorch's products in int8, the best first
LARGEST = 127  # of int8
# The first row of tables, which the others are compared with.
FLOAT32 = 'its products in float32'


def dtypes() -> tuple[torch.dtype, ...]:
    """Return the types that tables are printed for: those that this machine is fast in."""
    fast = compute_device(torch.device('cpu')).fast_bfloat16
    return (torch.bfloat16, torch.float32) if fast else (torch.float32,)


def product_shapes(config: MambaConfig, rows: int) -> dict[tuple[int, int, int], int]:
    """Return how often each (rows, inputs, outputs) occurs among the products of a pass."""
    model, inner, rank = config.d_model, config.d_inner, config.rank
    shapes = (
        (model, 2 * inner),
        (inner, rank + 2 * config.d_state),
        (rank, inner),
        (inner, model),
    )
    return {(rows, *shape): config.n_layer for shape in shapes}


def product(dtype: torch.dtype, shapes: dict[tuple[int, int, int], int]) -> Callable[[], object]:
    """Return a run of products; shapes: how often each (rows, inputs, outputs) occurs."""
    pairs = [
        (torch.randn(rows, inputs, dtype=dtype), torch.randn(outputs, inputs, dtype=dtype), count)
        for (rows, inputs, outputs), count in shapes.items()
    ]

    def run() -> None:
        for x, weight, count in pairs:
            for _ in range(count):
                F.linear(x, weight)

    return run


def int8_layer(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return the product with a weight (out, in) in int8, a scale a row; None where there is none.

    Inputs and outputs are float32; inputs are quantised by one scale at each call.
    """
    engine = next((e for e in ENGINES if e in torch.backends.quantized.supported_engines), None)
    if engine is None:
        return None
    torch.backends.quantized.engine = engine
    scales = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
    zeros = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # PyTorch plans another interface for the same kernels
        rounded = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(rounded, None)
    # Without VNNI, sums of two products overflow 16 bits where inputs use all of their 8 bits.
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed, reduce_range=True)


@torch.inference_mode()
def print_speeds(repeats: int = 5) -> None:
    """Print what the machine does in a second: products in each type, and reading memory."""
    shapes = {(ROWS, INPUTS, OUTPUTS): 1}
    memory = torch.ones(READ // 8, dtype=torch.int64)
    runs: dict[str, Callable[[], object]] = {
        'product in float32': product(torch.float32, shapes),
        'product in bfloat16': product(torch.bfloat16, shapes),
    }
    layer = int8_layer(torch.randn(OUTPUTS, INPUTS))
    if layer is not None:
        x = torch.randn(ROWS, INPUTS)
        runs['product in int8, inputs float32'] = lambda: layer(x)
    runs['reading memory'] = memory.sum
    medians = {name: float(np.median(t)) * 1e-3 for name, t in take_turns(runs, repeats).items()}
    first = medians['product in float32']
    print(f'\n{"this machine":36}{"speed":>16}{"ratio":>9}')
    for name, seconds in medians.items():
        if name == 'reading memory':
            print(f'  {name:34}{READ / seconds / 1e9:10.1f} GB/s')
            continue
        speed = 2 * ROWS * INPUTS * OUTPUTS / seconds
        print(f'  {name:34}{speed / 1e9:8.0f} GFLOP/s{first / seconds:9.2f}')
