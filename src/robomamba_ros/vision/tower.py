"""Sizes of a vision transformer, under the names of transformers."""

from __future__ import annotations

from dataclasses import dataclass

from robomamba_ros.errors import ConfigError


@dataclass(frozen=True)
class TowerConfig:
    """Sizes of an image tower. Raises ConfigError for sizes that do not divide one another."""

    # Side of an image, and of a patch [px].
    image_size: int
    patch_size: int
    # Width of a token, and of the inner layer of a block's MLP.
    hidden_size: int
    intermediate_size: int
    # Blocks that run.
    num_hidden_layers: int
    # Of each block; they share `hidden_size`.
    num_attention_heads: int

    def __post_init__(self) -> None:
        for big, small in (('image_size', 'patch_size'), ('hidden_size', 'num_attention_heads')):
            if getattr(self, big) % getattr(self, small):
                raise ConfigError(
                    f'{big} {getattr(self, big)} is no multiple of {small} {getattr(self, small)}'
                )

    @property
    def tokens(self) -> int:
        """Vision tokens of an image: one for each patch."""
        return (self.image_size // self.patch_size) ** 2
