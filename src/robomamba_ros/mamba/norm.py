"""RMSNorm of a residual stream that has more precision than the weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robomamba_ros.mamba.scan.dispatch import CPU, resolve_backend


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) * weight, computed in the type of the stream."""

    def __init__(self, width: int, epsilon: float, backend: str) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.backend = backend
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., d), float32 or float64, normed: (..., d) in the type of the weight."""
        weight = self.weight
        if resolve_backend(self.backend, x.device, x.dtype) == CPU:
            from robomamba_ros.mamba.kernels import norm

            # What autocast would round it to anyway, in the same pass.
            dtype = (
                torch.get_autocast_dtype('cpu')
                if torch.is_autocast_enabled('cpu')
                else weight.dtype
            )
            return norm.rms_norm(x, weight.to(x.dtype), self.epsilon, dtype)
        return F.rms_norm(x, x.shape[-1:], weight.to(x.dtype), self.epsilon).to(weight.dtype)
