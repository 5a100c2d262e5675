"""What networks cost: parameters, multiply-accumulates, bytes.

Counts the products of matrices, convolutions, attention and scans; what acts on single elements
(norms, activations, exponentials, sums) is left out, as is usual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.state import MambaState


def parameters(*modules: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for module in modules for p in module.parameters())


def macs(module: nn.Module, *inputs: Tensor) -> int:
    """Return the multiply-accumulates of module(*inputs), by running it; values do not matter.

    Not for what has kernels of its own: a backbone is counted by `mamba_macs`.
    """
    with _Counter() as counter, torch.no_grad():
        module(*inputs)
    return int(counter.total)


def linear_macs(tokens: int, layer: nn.Module) -> int:
    """Return the multiply-accumulates of a linear layer on a number of tokens; 0 for none."""
    return tokens * layer.in_features * layer.out_features if isinstance(layer, nn.Linear) else 0


def mamba_macs(config: MambaConfig, tokens: int) -> int:
    """Return the multiply-accumulates of a backbone on a number of tokens.

    A state of the scan takes three for each token: decay times state, input times B, state times C.
    """
    d, inner, n, rank = config.d_model, config.d_inner, config.d_state, config.rank
    products = d * 2 * inner + inner * (rank + 2 * n) + rank * inner + inner * d
    return tokens * config.n_layer * (products + inner * config.d_conv + 3 * inner * n)


def state_bytes(config: MambaConfig) -> int:
    """Return the bytes of a backbone's recurrent state, which is float32 always."""
    state = MambaState.empty(config, 1, device='meta')
    return sum(4 * (layer.conv.numel() + layer.ssm.numel()) for layer in state.layers)


class _Counter(TorchFunctionMode):
    """Adds up the multiply-accumulates of the functions that a module calls.

    PyTorch's own counter imports triton where that is installed, which crashes a process that has
    loaded Mesa's LLVM, as a simulation that renders in software does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, '__name__', '')
        if name in ('linear', 'matmul', '__matmul__', 'bmm'):
            # Every number of the result is a sum over the last dimension of the first factor.
            self.total += result.numel() * args[0].shape[-1]
        elif name == 'conv2d':
            self.total += result.numel() * prod(args[1].shape[1:])
        elif name == 'scaled_dot_product_attention':
            query, key, value = args[:3]
            scores = prod(query.shape[:-1]) * key.shape[-2]
            self.total += scores * (query.shape[-1] + value.shape[-1])
        return result
