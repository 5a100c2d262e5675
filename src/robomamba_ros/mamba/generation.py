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
        settings = {name: x.to(logits.device) for name, x in self.draw().items()}
        return int(drawn(logits, **settings))

    def draw(self) -> dict[str, Tensor]:
        """Return what `drawn` takes beside logits, for one token.

        The number is drawn on the CPU, so that a seed means the same on every device.
        """
        return {
            'number': torch.rand((), generator=self._generator),
            'top_p': torch.tensor(self._top_p),
            'temperature': torch.tensor(self._temperature),
        }


def drawn(logits: Tensor, number: Tensor, top_p: Tensor, temperature: Tensor) -> Tensor:
    """Return a token () of its logits (v,), without waiting for the device.

    Of the fewest tokens that hold at least `top_p` of the probability, the most probable one first,
    it is that in which the share `number`, 0 to 1, of their sum is reached.
    """
    scaled = logits.float() / temperature
    probabilities, tokens = scaled.softmax(dim=-1).sort(descending=True, stable=True)
    reached = probabilities.cumsum(dim=-1)
    kept = probabilities.where(reached - probabilities < top_p, 0.0).cumsum(dim=-1)
    # Rounding must not lead beyond the last that is kept, which is where the sum stops to grow.
    last = (kept < kept[-1:]).sum()
    place = torch.searchsorted(kept, number * kept[-1:], right=True).minimum(last)
    # Indexed by a number of the device, which indexing by brackets would wait for.
    return tokens.index_select(0, place)[0]


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
