"""RMSNorm of a residual stream that has more precision than the weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robomamba_ros.mamba.scan.dispatch import CPU, TRITON, autocast_dtype, resolve_backend


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) * weight, computed in the type of the stream."""

    def __init__(self, width: int, epsilon: float, backend: str) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.backend = backend
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., d), float32 or float64, normed: (..., d) in the type of the weight."""
        return self.add(x, None)[1]

    def add(self, x: Tensor, update: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return x + update, or x where that is None, in the type of x, and its norm."""
        weight = self.weight
        backend = resolve_backend(self.backend, x.device, x.dtype)
        rounded = autocast_dtype(x.device.type)
        if backend == TRITON and rounded is None and not _differentiated(x, update, weight):
            from robomamba_ros.mamba.triton import norm as fused

            return fused.add_rms_norm(x, update, weight, self.epsilon)
        total = x if update is None else x + update
        if backend == CPU:
            from robomamba_ros.mamba.kernels import norm

            # What autocast would round it to anyway, in the same pass.
            dtype = weight.dtype if rounded is None else rounded
            return total, norm.rms_norm(total, weight.to(x.dtype), self.epsilon, dtype)
        normed = F.rms_norm(total, x.shape[-1:], weight.to(x.dtype), self.epsilon)
        return total, normed.to(weight.dtype)


def _differentiated(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)
