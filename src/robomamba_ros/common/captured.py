"""A function on memory that stays where it is: on CUDA a graph, whose launch costs one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

# Bytes; each input begins at a multiple, so that kernels may read it in wide words.
ALIGNMENT = 256
# Runs before a capture: kernels compile, and libraries choose theirs.
WARM_UPS = 2
_log = logging.getLogger(__name__)
_T = TypeVar('_T')


def where_possible(capture: Callable[[], _T], device: torch.device) -> _T | None:
    """Return what `capture` returns on CUDA; None elsewhere, or where it fails, with a warning.

    What a graph may hold depends on the GPU, its driver and the libraries: without one the same
    steps run one by one.
    """
    if device.type != 'cuda':
        return None
    try:
        return capture()
    except RuntimeError as error:
        reason = str(error).strip().partition('\n')[0]
        _log.warning('%s takes no CUDA graph of the policy (%s): step by step then', device, reason)
        return None


class Captured:
    """Runs function(**inputs) on `device`, from memory of the host to memory of the host.

    All inputs go over in one copy and the result comes back in one. On CUDA both copies and
    whatever the function launches are captured once in a graph, and replayed. So the function must
    depend on its tensors alone: no branch on their numbers, nothing that waits for the device. On
    another device the same steps run one by one, which is how they are tested; on `meta`, where
    nothing is computed, they can be counted.

    function: takes the inputs by name, on the device; returns a tensor, or None for work that
    leaves its result in `keeps`. inputs: an example of each, of its shape and type, with values
    that the function can take. keeps: what the function reads and writes beside them, at addresses
    that must not change; the runs before a capture write to it too.
    """

    def __init__(
        self,
        function: Callable[..., Tensor | None],
        inputs: Mapping[str, Tensor],
        device: torch.device,
        keeps: Iterable[Tensor] = (),
    ) -> None:
        self._function = function
        self._device = device
        self._keeps = tuple(keeps)
        self._graph: Any = None
        pinned = device.type == 'cuda'
        size = sum(_aligned(x.nbytes) for x in inputs.values())
        self._here = torch.device('meta' if device.type == 'meta' else 'cpu')
        self._host = self._on_host((size,), torch.uint8)
        self._there = torch.zeros(size, dtype=torch.uint8, device=device)
        self._inputs = _views(self._host, inputs)
        for name, example in inputs.items():
            self._inputs[name].copy_(example)
        self._arguments = _views(self._there, inputs)
        self._result: Tensor | None = None
        with torch.inference_mode():
            if pinned:
                self._capture()
            else:
                self._run()
        self._addresses = self._measure()

    def __call__(self, **inputs: Any) -> Tensor | None:
        """Run with these inputs, tensors or arrays of the host; those left out stay as they were.

        The result is on the host; the next call writes over it. Raises RuntimeError where memory of
        `keeps` has moved.
        """
        for name, value in inputs.items():
            self._inputs[name].copy_(torch.as_tensor(value))
        self.start()
        if self._device.type == 'cuda':
            torch.cuda.current_stream(self._device).synchronize()
        return self._result

    def start(self) -> None:
        """Run with the inputs as they are, without waiting for the result."""
        if self._measure() != self._addresses:
            raise RuntimeError('memory that a captured function keeps has moved; capture it again')
        if self._graph is not None:
            self._graph.replay()
            return
        with torch.inference_mode():
            self._run()

    def _run(self) -> None:
        self._there.copy_(self._host, non_blocking=True)
        result = self._function(**self._arguments)
        if result is None:
            return
        if self._result is None:
            self._result = self._on_host(result.shape, result.dtype)
        self._result.copy_(result, non_blocking=True)

    def _capture(self) -> None:
        stream: Any = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.device(self._device):
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    self._run()
            torch.cuda.current_stream(self._device).wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream):
                self._run()

    def _on_host(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        # A device copies by itself from memory and to it only where that cannot be moved.
        pinned = self._device.type == 'cuda'
        return torch.zeros(shape, dtype=dtype, device=self._here, pin_memory=pinned)

    def _measure(self) -> list[int]:
        return [x.data_ptr() for x in self._keeps]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _views(buffer: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of these shapes and types, one behind the other in a buffer of bytes."""
    views, offset = {}, 0
    for name, x in like.items():
        views[name] = buffer[offset : offset + x.nbytes].view(x.dtype).view(x.shape)
        offset += _aligned(x.nbytes)
    return views
