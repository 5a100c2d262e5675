"""The type in which training multiplies; weights and optimizer stay float32."""

from __future__ import annotations

import torch

from robomamba_ros.common.machine import choose_dtype, compute_device

_MIXED = {'float32': False, 'bfloat16': True}


def resolve_dtype(asked: str, device: torch.device) -> str:
    """Return 'float32' or 'bfloat16'; auto is bfloat16 where the device is fast in it."""
    return choose_dtype(asked, compute_device(device), 'bfloat16')


def autocast(device: torch.device, dtype: str) -> torch.autocast:
    """Return the context of a forward pass; dtype: as `resolve_dtype` returns it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=_MIXED[dtype])
