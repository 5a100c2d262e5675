"""Two ways not to compute the same tokens twice: a cached prefix, and a stream."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor

from robomamba_ros.mamba.backbone import MambaBackbone
from robomamba_ros.mamba.state import MambaState


class PrefixCache:
    """Continues a prefix that seldom changes from the state after it, computed once per prefix.

    The prefix is always a pass of its own, so an answer has the same bits whether the state was
    reused, has just been computed, or is never kept (`enabled=False`). For inference: the kept
    state has no gradient history.
    """

    def __init__(self, backbone: MambaBackbone, *, enabled: bool = True) -> None:
        self._backbone = backbone
        self._enabled = enabled
        self._prefix: Tensor | None = None
        self._key: Hashable = None
        self._state: MambaState | None = None

    def __call__(
        self, prefix: Tensor, rest: Tensor, key: Hashable = None
    ) -> tuple[Tensor, MambaState]:
        """Return the hidden states of `rest` (b, m, d_model) and the state after it.

        prefix (b, l, d_model): the embeddings in front of `rest`; the kept state is used where
        they are equal to those it was computed from. key: stands for all numbers of the prefix,
        so that a GPU need not be waited for to compare them. The weights must not change meanwhile.
        """
        hidden, state = self._backbone(rest, self.state(prefix, key))
        return hidden, state

    def state(self, prefix: Tensor, key: Hashable = None) -> MambaState:
        """Return the state after `prefix` (b, l, d_model); it is shared, never written to."""
        if self._state is not None and self._is_kept(prefix, key):
            return self._state
        state: MambaState = self._backbone(prefix)[1]
        if self._enabled:
            self._prefix = prefix.detach().clone() if key is None else None
            self._key, self._state = key, state.detach()
        return state

    def _is_kept(self, prefix: Tensor, key: Hashable) -> bool:
        if key is not None or self._prefix is None:
            return key is not None and key == self._key
        return _same(prefix, self._prefix)

    def clear(self) -> None:
        """Forget the prefix, as is needed after the weights changed."""
        self._prefix = self._key = self._state = None


class Stream:
    """Carries the state from call to call, so that each costs only its new tokens."""

    def __init__(self, backbone: MambaBackbone) -> None:
        self._backbone = backbone
        self._state: MambaState | None = None

    def __call__(self, tokens: Tensor) -> Tensor:
        """Return the hidden states of `tokens` (b, l, d_model) after all tokens since reset.

        Raises ValueError where the batch differs from that of the call before; nothing is lost.
        """
        hidden: Tensor
        hidden, self._state = self._backbone(tokens, self._state)
        return hidden

    def reset(self) -> None:
        """Begin a new episode: the next call starts from an empty state."""
        self._state = None


def _same(first: Tensor, second: Tensor) -> bool:
    """Tell whether two tensors agree in shape, type, device and every value."""
    return (
        first.shape == second.shape
        and first.dtype == second.dtype
        and first.device == second.device
        and torch.equal(first, second)
    )
