"""Tokens one by one from a Mamba language model; each costs one step, whatever came before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import torch
from torch import Tensor

from robomamba_ros.errors import ConfigError
from robomamba_ros.mamba.language_model import MambaLanguageModel
from robomamba_ros.mamba.state import MambaState

# Picks a token from its logits (vocab_size,).
Choice = Callable[[Tensor], int]


def greedy(logits: Tensor) -> int:
    """Return the most probable token."""
    return int(logits.argmax())


class TopP:
    """Draws from the fewest tokens that hold at least `top_p` of the probability.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    temperature: divides the logits before. seed: the same draws follow from the same seed. Raises
    ConfigError where top_p is not in (0, 1] or the temperature not above 0.
    """

    def __init__(self, top_p: float, *, temperature: float = 1.0, seed: int = 0) -> None:
        if not 0.0 < top_p <= 1.0:
            raise ConfigError(f'top_p is {top_p}; give a probability above 0, at most 1')
        if not temperature > 0.0:
            raise ConfigError(f'temperature is {temperature}; give a number above 0, or use greedy')
        self._top_p = top_p
        self._temperature = temperature
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, logits: Tensor) -> int:
        """Return a token drawn at random."""
        # On the CPU, so that a seed means the same on every device.
        scaled = logits.float().cpu() / self._temperature
        probabilities, tokens = scaled.softmax(dim=-1).sort(descending=True, stable=True)
        before = probabilities.cumsum(dim=-1) - probabilities
        kept = probabilities.where(before < self._top_p, 0.0)
        return int(tokens[torch.multinomial(kept, 1, generator=self._generator)])


@torch.inference_mode()
def generate(
    model: MambaLanguageModel,
    prompt: Tensor,
    state: MambaState | None = None,
    *,
    max_tokens: int,
    stop: Collection[int] = (),
    choose: Choice = greedy,
) -> Iterator[int]:
    """Yield the tokens that follow `prompt`, each as soon as it is known, at most `max_tokens`.

    prompt (1, l >= 1, d_model): embeddings read in one pass from `state` (empty where None), which
    is not written to. A token of `stop` ends it and is not yielded.
    """
    embeddings = prompt
    for _ in range(max_tokens):
        hidden, state = model.backbone(embeddings, state)
        token = choose(model.logits(hidden[:, -1])[0])
        if token in stop:
            return
        yield token
        embeddings = model.embedding(torch.tensor([[token]], device=prompt.device))
