"""The device itself, and scan, convolution and norm on it: parity with the reference, and times."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version

import torch
from torch import Tensor

from robomamba_ros.benchmarks.device_rows import Rows, median_ms
from robomamba_ros.common.captured import Captured
from robomamba_ros.common.machine import compute_device
from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.norm import RMSNorm
from robomamba_ros.mamba.scan import available_backends, selective_scan

# Steps of a scan: one, the longest that is walked token by token, one more, a chunk of a policy.
LENGTHS = (1, 16, 17, 230)
# Norm of the error over that of the result. Outputs of 16 bits are rounded to one in 256 or finer.
ERRORS = {torch.float32: 2e-5, torch.bfloat16: 6e-3, torch.float16: 2e-3}
# Of a whole gradient in float32, whose sums run in another order.
GRADIENTS = 1e-4
# In a graph, so that what is measured is the device and not Python.
IN_A_GRAPH = 20


def waiter(device: torch.device) -> Callable[[], object]:
    """Return what waits until the device has done its work."""
    return partial(torch.cuda.synchronize, device) if device.type == 'cuda' else lambda: None


def machine(rows: Rows, device: torch.device, full: bool) -> None:
    """Measure what the device does without this package."""
    facts: dict[str, Callable[[], str]] = {
        'device': lambda: compute_device(device).name,
        'torch': lambda: f'{torch.__version__}, Python {platform.python_version()}',
        'backends, the one that is chosen last': lambda: ', '.join(available_backends(device)),
    }
    if device.type == 'cuda':
        facts |= {
            'compute capability': lambda: str(torch.cuda.get_device_capability(device)),
            'CUDA': lambda: str(torch.version.cuda),
            'triton': lambda: version('triton'),
        }
    for name, fact in facts.items():
        rows.add('fact', name, fact)
    side = 4096 if full else 128
    wait = waiter(device)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):

        def product(dtype: torch.dtype = dtype) -> float:
            x, y = torch.randn(2, side, side, device=device).to(dtype).unbind()
            return 2e-9 * side**3 / median_ms(lambda: x @ y, wait, 5)

        rows.add('fact', f'product of {side} x {side}, {dtype}', product, 'TFLOP/s')

    def reading() -> float:
        # Ones: zeros that nobody wrote are all one page of a CPU.
        memory = torch.ones((1 << 30 if full else 1 << 22) // 4, device=device)
        return 1e-6 * memory.nbytes / median_ms(memory.sum, wait, 5)

    rows.add('fact', 'reading memory', reading, 'GB/s')
    x = torch.zeros(256, device=device)

    def adds() -> None:
        for _ in range(IN_A_GRAPH):
            x.add_(1.0)

    rows.add('fact', 'a launch of torch', lambda: _us(adds, wait), 'us')
    rows.add('fact', 'a launch in a graph', lambda: _us(Captured(adds, {}, device), wait), 'us')


def kernels(rows: Rows, device: torch.device, full: bool) -> None:
    """Compare every backend of the device with the recurrence in float64, and time a layer."""
    width, states = (2048, 16) if full else (40, 4)
    names = [name for name in available_backends(device) if name != 'reference']
    for backend in names:
        for dtype, allowed in ERRORS.items():
            for length in LENGTHS:
                measure = partial(_scan_error, backend, dtype, length, width, states, device)
                name = f'{backend}: scan of {length}, {dtype}'
                rows.add('parity', name, measure, target=allowed)
            measure = partial(_conv_error, backend, dtype, width, device)
            rows.add('parity', f'{backend}: convolution, {dtype}', measure, target=allowed)
            measure = partial(_norm_error, backend, dtype, width, device)
            rows.add('parity', f'{backend}: sum and norm, {dtype}', measure, target=allowed)
        measure = partial(_gradient_error, backend, width // 8, states, device)
        rows.add('parity', f'{backend}: gradients of a scan of 40', measure, target=GRADIENTS)
    fast = compute_device(device).fast_bfloat16
    dtype = torch.bfloat16 if fast else torch.float32
    for backend in names:
        _times(rows, backend, dtype, width, states, device)


def _scan_inputs(
    length: int, width: int, states: int, dtype: torch.dtype, device: torch.device
) -> dict[str, Tensor]:
    torch.manual_seed(0)
    sequence, vectors = (1, length, width), (1, length, states)
    inputs = {name: torch.randn(sequence, device=device) for name in ('u', 'delta', 'z')}
    inputs |= {name: torch.randn(vectors, device=device) for name in ('B', 'C')}
    inputs = {name: x.to(dtype) for name, x in inputs.items()}
    inputs['A'] = -states * torch.rand(width, states, device=device)
    inputs |= {name: torch.randn(width, device=device) for name in ('D', 'delta_bias')}
    # Channels next to each other, as the state of a backbone has them.
    inputs['initial_state'] = torch.randn(1, states, width, device=device).transpose(1, 2)
    return inputs


def _scan(inputs: Mapping[str, Tensor], backend: str) -> tuple[Tensor, Tensor]:
    return selective_scan(**inputs, delta_softplus=True, backend=backend)  # type: ignore[arg-type]


@torch.no_grad()
def _scan_error(
    backend: str, dtype: torch.dtype, length: int, width: int, states: int, device: torch.device
) -> float:
    inputs = _scan_inputs(length, width, states, dtype, device)
    exact = _scan({name: x.double() for name, x in inputs.items()}, 'reference')
    return _error(_scan(inputs, backend), exact)


def _gradient_error(backend: str, width: int, states: int, device: torch.device) -> float:
    def gradients(dtype: torch.dtype, name: str) -> list[Tensor]:
        inputs = _scan_inputs(40, width, states, torch.float32, device)
        inputs = {key: x.to(dtype).requires_grad_() for key, x in inputs.items()}
        y, last = _scan(inputs, name)
        # No two outputs count alike.
        counts = torch.linspace(0.5, 1.5, y.numel(), device=device, dtype=dtype).view(y.shape)
        return list(torch.autograd.grad((y * counts).sum() + last.sum(), list(inputs.values())))

    return _error(gradients(torch.float32, backend), gradients(torch.float64, 'reference'))


@torch.no_grad()
def _conv_error(backend: str, dtype: torch.dtype, width: int, device: torch.device) -> float:
    torch.manual_seed(0)
    x = torch.randn(1, 37, width, device=device).to(dtype)
    inputs = (torch.randn(width, 4), torch.randn(width), torch.randn(1, 3, width))
    others = [each.to(device) for each in inputs]
    exact = causal_conv1d(x.double(), *[o.double() for o in others], backend='reference')
    return _error(causal_conv1d(x, *others, backend=backend), exact)


@torch.no_grad()
def _norm_error(backend: str, dtype: torch.dtype, width: int, device: torch.device) -> float:
    torch.manual_seed(0)
    x = torch.randn(1, 37, width, device=device)
    update = torch.randn(1, 37, width, device=device).to(dtype)
    norm = RMSNorm(width, 1e-5, backend).to(device, dtype)
    exact = RMSNorm(width, 1e-5, 'reference').to(device, torch.float64)
    return _error(norm.add(x, update), exact.add(x.double(), update.double()))


def _error(
    found: tuple[Tensor, ...] | list[Tensor], exact: tuple[Tensor, ...] | list[Tensor]
) -> float:
    """Return the largest of the errors of several results, each relative to the whole of it."""
    pairs = zip(found, exact, strict=True)
    return max(float((x.double() - y).norm() / y.norm()) for x, y in pairs)


def _times(
    rows: Rows, backend: str, dtype: torch.dtype, width: int, states: int, device: torch.device
) -> None:
    """Time scan, convolution and norm of one layer."""
    wait = waiter(device)
    inputs = _scan_inputs(LENGTHS[-1], width, states, dtype, device)
    one = {name: x[:, :1] if x.ndim == 3 else x for name, x in inputs.items()}
    one['initial_state'] = inputs['initial_state']
    taps = torch.randn(width, 4, device=device)
    norm = RMSNorm(width // 2, 1e-5, backend).to(device, dtype)
    stream = torch.randn(1, LENGTHS[-1], width // 2, device=device)
    update = stream.to(dtype)
    what: dict[str, Callable[[], object]] = {
        f'scan of {LENGTHS[-1]}': lambda: _scan(inputs, backend),
        'scan of one': lambda: _scan(one, backend),
        'convolution': lambda: causal_conv1d(inputs['u'], taps, None, backend=backend),
        'sum and norm': lambda: norm.add(stream, update),
    }
    for name, run in what.items():

        def several(run: Callable[[], object] = run) -> None:
            for _ in range(IN_A_GRAPH):
                run()

        def measure(several: Callable[[], None] = several) -> float:
            return _us(Captured(several, {}, device), wait)

        # 12 us a scan: the instructions of the kernels at an H200's clock.
        target = 12.0 if name.endswith(str(LENGTHS[-1])) and device.type == 'cuda' else None
        unit = 'us'
        rows.add('time', f'{backend}: {name}, one layer, {dtype}', measure, unit, target=target)


def _us(run: Callable[[], object], wait: Callable[[], object]) -> float:
    """Return what one of the IN_A_GRAPH parts of a run takes [us]."""
    return 1e3 * median_ms(run, wait, 10) / IN_A_GRAPH
