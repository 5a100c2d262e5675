"""Prints how fast each backend is on this machine: python -m robomamba_ros.mamba.benchmark.

A tool, imported by nothing. Times are the best of several repeats of one run, so the ratios
compare like with like.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.scan import available_backends, selective_scan

Case = tuple[str, Callable[[], object]]

# (b, l, d, n): one layer of mamba-370m over a 230-token prompt and over one token, and one layer
# of the small backbone in training.
PROMPT = (1, 230, 2048, 16)
TOKEN = (1, 1, 2048, 16)
TRAINING = (32, 56, 512, 16)
SMALL = MambaConfig(d_model=256, n_layer=4)


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def scan_inputs(shape: tuple[int, int, int, int], *, gradients: bool) -> dict[str, Tensor]:
    """Return random arguments of the scan for (b, l, d, n)."""
    b, length, d, n = shape
    sizes: dict[str, tuple[int, ...]] = {
        'u': (b, length, d),
        'delta': (b, length, d),
        'B': (b, length, n),
    }
    sizes |= {'C': (b, length, n), 'D': (d,), 'z': (b, length, d), 'delta_bias': (d,)}
    inputs = {name: torch.randn(size) for name, size in sizes.items()}
    inputs['A'] = -torch.rand(d, n) * n
    inputs['initial_state'] = torch.randn(b, n, d).transpose(1, 2)
    return {name: tensor.requires_grad_(gradients) for name, tensor in inputs.items()}


def scan_case(shape: tuple[int, int, int, int], backend: str, *, train: bool) -> Case:
    """Return a case that scans, and with `train` also takes every gradient."""
    inputs = scan_inputs(shape, gradients=train)

    def run() -> None:
        y, _ = selective_scan(**inputs, delta_softplus=True, backend=backend)
        if train:
            torch.autograd.grad(y.sum(), list(inputs.values()), allow_unused=True)

    passes = 'forward + backward' if train else 'forward'
    return f'scan {shape}, {passes}', run


def conv_case(shape: tuple[int, int, int, int], backend: str) -> Case:
    """Return a case that convolves with four taps."""
    b, length, d, _ = shape
    x, weight, bias = torch.randn(b, length, d), torch.randn(d, 4), torch.randn(d)
    return (
        f'convolution {shape[:3]}, forward',
        lambda: causal_conv1d(x, weight, bias, backend=backend),
    )


def backbone_case(backend: str, *, bfloat16: bool) -> Case:
    """Return a case that trains the small backbone for one step without its optimiser."""
    torch.manual_seed(0)
    backbone = MambaBackbone(SMALL, backend=backend)
    embeddings = torch.randn(TRAINING[0], TRAINING[1], SMALL.d_model)

    def run() -> None:
        with torch.autocast('cpu', torch.bfloat16) if bfloat16 else nullcontext():
            hidden, _ = backbone(embeddings)
        hidden.float().square().mean().backward()

    name = 'bfloat16 autocast' if bfloat16 else 'float32'
    return f'{SMALL.n_layer} layers x {SMALL.d_model}, b=32, l=56, training, {name}', run


def cases(backend: str) -> Iterator[Case]:
    """Yield every case for one backend."""
    yield scan_case(PROMPT, backend, train=False)
    yield scan_case(TOKEN, backend, train=False)
    yield conv_case(PROMPT, backend)
    yield scan_case(TRAINING, backend, train=True)
    yield backbone_case(backend, bfloat16=False)
    yield backbone_case(backend, bfloat16=True)


def best_ms(run: Callable[[], object], repeats: int) -> float:
    """Return the shortest of `repeats` runs in milliseconds, after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def main() -> None:
    """Print one row per case: milliseconds of each backend, and the reference's over the last's."""
    parser = argparse.ArgumentParser(description='Time the Mamba backends on this machine.')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch and the kernels')
    parser.add_argument('--repeats', type=int, default=10, help='runs per case; the best counts')
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backends = available_backends()
    print(f'{cpu_name()}, {options.threads} thread(s), torch {torch.__version__}')
    print(f'{"(b, l, d, n), ms":58}', *(f'{name:>10}' for name in backends), f'{"ratio":>7}')
    for rows in zip(*(cases(name) for name in backends), strict=True):
        times = [best_ms(run, options.repeats) for _, run in rows]
        columns = ' '.join(f'{value:10.3f}' for value in times)
        print(f'{rows[0][0]:58} {columns} {times[0] / times[-1]:6.1f}x')


if __name__ == '__main__':
    main()
