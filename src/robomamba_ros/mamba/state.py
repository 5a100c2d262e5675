"""The recurrent state of a Mamba backbone: made empty, carried, snapshot, restored, reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which scan, convolution and their states are computed for inputs of one.

    A decay near one loses its memory in 16 bits.
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


class StateSizes(Protocol):
    """The numbers of a configuration that fix the size of its state."""

    @property
    def n_layer(self) -> int:
        """Number of layers."""

    @property
    def d_inner(self) -> int:
        """Channels of the convolution and the scan."""

    @property
    def d_state(self) -> int:
        """States per channel."""

    @property
    def d_conv(self) -> int:
        """Taps of the convolution."""


@dataclass(frozen=True)
class LayerState:
    """What one layer remembers.

    conv: the last d_conv - 1 inputs of the convolution, oldest first (b, d_conv - 1, d_inner).
    ssm: the state of the scan (b, d_inner, d_state). Both float32 (float64 in a float64 model).
    """

    conv: Tensor
    ssm: Tensor


@dataclass(frozen=True)
class MambaState:
    """What a whole backbone remembers: one LayerState per layer, first layer first.

    A forward pass returns a new state and never writes to the one it was given, unless it is told
    to; `restore` and `reset` write in place, so that buffers in a CUDA graph keep their addresses.
    """

    layers: tuple[LayerState, ...]

    @classmethod
    def empty(
        cls,
        config: StateSizes,
        batch: int,
        *,
        device: torch.device | str = 'cpu',
        dtype: torch.dtype = torch.float32,
    ) -> MambaState:
        """Return the state before the first token: all zeros."""
        conv = (batch, config.d_conv - 1, config.d_inner)
        # The backends read and write the channels next to each other.
        ssm = (batch, config.d_state, config.d_inner)
        return cls(
            tuple(
                LayerState(
                    torch.zeros(conv, device=device, dtype=dtype),
                    torch.zeros(ssm, device=device, dtype=dtype).transpose(1, 2),
                )
                for _ in range(config.n_layer)
            )
        )

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> MambaState:
        """Return the state that has these `tensors`."""
        return cls(tuple(map(LayerState, tensors[::2], tensors[1::2])))

    def tensors(self) -> list[Tensor]:
        """Return conv and ssm of the first layer, of the second, and so on."""
        return [tensor for layer in self.layers for tensor in (layer.conv, layer.ssm)]

    def to(self, device: torch.device) -> MambaState:
        """Return this state on a device."""
        return MambaState.of([tensor.to(device) for tensor in self.tensors()])

    @property
    def batch(self) -> int:
        """Number of sequences b."""
        return self.layers[0].ssm.shape[0]

    def snapshot(self) -> MambaState:
        """Return a copy that shares no memory and no gradient history with this state."""
        return MambaState.of([tensor.detach().clone() for tensor in self.tensors()])

    def where(self, chosen: Tensor, other: MambaState) -> MambaState:
        """Return this state for the sequences that are chosen (b,), and the other for the rest."""
        mask = chosen[:, None, None]
        pairs = zip(self.tensors(), other.tensors(), strict=True)
        return MambaState.of([torch.where(mask, mine, others) for mine, others in pairs])

    def detach(self) -> MambaState:
        """Return this state without its gradient history; the memory is shared."""
        return MambaState.of([tensor.detach() for tensor in self.tensors()])

    @torch.no_grad()
    def restore(self, snapshot: MambaState) -> None:
        """Copy `snapshot` into this state's own memory; raises ValueError where sizes differ."""
        if self._shapes() != snapshot._shapes():
            raise ValueError(
                f'a snapshot of {len(snapshot.layers)} layers and batch {snapshot.batch} does not '
                f'fit a state of {len(self.layers)} layers and batch {self.batch}: '
                f'{snapshot._shapes()[0]} against {self._shapes()[0]}'
            )
        # On a GPU a few launches for all layers.
        torch._foreach_copy_(self.tensors(), snapshot.tensors())

    @torch.no_grad()
    def reset(self) -> None:
        """Forget everything: fill this state's own memory with zeros."""
        torch._foreach_zero_(self.tensors())

    def _shapes(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        return [(tuple(layer.conv.shape), tuple(layer.ssm.shape)) for layer in self.layers]
