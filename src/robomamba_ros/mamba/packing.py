"""Weights laid out once for inference, and what depends on them alone computed once.

On the CPU linear layers get the layout that oneDNN wants: torch keeps a weight row by row, and
every product reorders it anew or runs on a slower library, which is most of the time of one token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

# Rows that the layout is made for. With AVX-512 the layout for many rows serves a single one as
# well. With AVX2 a single row takes up to 1.6 times as long in it, and many rows take the same time
# in the layout for one.
MANY, ONE = 256, 1


class Packable(ABC):
    """A module with its own way to be packed."""

    @abstractmethod
    def pack(self) -> None:
        """Lay out what the module computes with; it is for inference only from then on."""


class PackedLinear(nn.Module):
    """What nn.Linear computes; its weight can no longer be read, trained or saved."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = None if bias is None else bias.detach()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(
            weight.detach().contiguous(), laid_out_rows()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., in) times the weight, plus the bias: (..., out)."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, 'none', [], '')
        return y

    def _save_to_state_dict(self, *args: Any) -> None:
        raise RuntimeError('a packed model cannot be saved: save it before pack() is called')


def laid_out_rows() -> int:
    """Return the rows that weights are laid out for, by the instructions that PyTorch uses."""
    return ONE if torch.backends.cpu.get_cpu_capability() == 'AVX2' else MANY


def pack(module: nn.Module) -> None:
    """Replace every nn.Linear inside `module` by a PackedLinear, where that is possible.

    Layers on another device, or in a type that oneDNN has no fast product for on this machine,
    stay as they are. The memory of a replaced weight is free as soon as nobody else refers to it.
    """
    for name, child in module.named_children():
        if isinstance(child, Packable):
            child.pack()
        elif type(child) is nn.Linear:
            setattr(module, name, packed(child.weight, child.bias) or child)
        elif not isinstance(child, nn.MultiheadAttention):  # reads its children's weights
            pack(child)


def packed(weight: Tensor, bias: Tensor | None = None) -> PackedLinear | None:
    """Return the layer of a weight (out, in) and bias (out,), None where it cannot be packed."""
    possible = weight.device.type == 'cpu' and torch.backends.mkldnn.is_available()
    if weight.dtype == torch.bfloat16:
        possible = possible and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    else:
        possible = possible and weight.dtype == torch.float32
    return PackedLinear(weight, bias) if possible else None
