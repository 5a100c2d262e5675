"""A Mamba language model: token embeddings, the backbone, and a head over the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from robomamba_ros.errors import ConfigError
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.packing import Packable, pack, packed
from robomamba_ros.mamba.scan.dispatch import AUTO
from robomamba_ros.mamba.state import MambaState


@dataclass(frozen=True)
class LanguageModelConfig:
    """Sizes of a language model around a backbone. Raises ConfigError for impossible sizes."""

    # Sizes of the blocks.
    backbone: MambaConfig
    # Number of token ids.
    vocab_size: int
    # Rows of the embedding, padded to a multiple that suits matrix products.
    vocab_rows: int
    # Whether the head is the embedding.
    tied: bool = True

    def __post_init__(self) -> None:
        sizes = (self.vocab_size, self.vocab_rows)
        if (
            not all(isinstance(x, int) for x in sizes)
            or not 1 <= self.vocab_size <= self.vocab_rows
        ):
            raise ConfigError(
                f'vocab_size is {self.vocab_size!r} with {self.vocab_rows!r} rows of the '
                'embedding; a vocabulary needs an integer from 1 to the number of rows'
            )


class MambaLanguageModel(nn.Module, Packable):
    """Predicts the next token from tokens and a recurrent state (Gu and Dao 2023, section 4.2)."""

    def __init__(self, config: LanguageModelConfig, *, backend: str = AUTO) -> None:
        super().__init__()
        self.config = config
        width = config.backbone.d_model
        self.embedding = nn.Embedding(config.vocab_rows, width)
        self.backbone = MambaBackbone(config.backbone, backend=backend)
        self.lm_head = None if config.tied else nn.Linear(width, config.vocab_rows, bias=False)
        self._tied_head: nn.Module | None = None

    def forward(self, tokens: Tensor, state: MambaState | None = None) -> tuple[Tensor, MambaState]:
        """Continue from `state` (empty where None) with tokens (b, l >= 1), int64.

        Returns the logits of each next token (b, l, vocab_size) and the new state; the given state
        is not written to.
        """
        hidden, state = self.backbone(self.embedding(tokens), state)
        return self.logits(hidden), state

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of each next token (..., vocab_size) from hidden (..., d_model)."""
        head = self.lm_head or self._tied_head
        logits: Tensor = F.linear(hidden, self.embedding.weight) if head is None else head(hidden)
        return logits[..., : self.config.vocab_size]

    def pack(self) -> None:
        """Lay out the weights for inference; on the CPU a tied head becomes a copy of its own."""
        if self.lm_head is None:
            self._tied_head = packed(self.embedding.weight)
        pack(self)
