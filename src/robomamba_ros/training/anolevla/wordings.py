"""What training says an instruction by: its own words, and others that mean the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.common.resources import find_file
from robomamba_ros.errors import ObservationError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.language.paraphrasing import Paraphrasing
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.simulation.tasks import load_paraphrases
from robomamba_ros.training.anolevla.config import TrainConfig

# Ways to say each instruction; half of the inferences are given its own words.
WORDINGS = 64
_TEXTS_STREAM, _DRAW_STREAM = 6, 7


@dataclass(frozen=True)
class Wordings:
    """Of each instruction of the data, in its order, the texts for it; its own spelling first."""

    texts: tuple[tuple[str, ...], ...]

    @classmethod
    def own(cls, known: Instructions, texts: Sequence[str]) -> Wordings:
        """Return each text in its own words alone, spelled as `known` spells it."""
        return cls(tuple((known.spelled(text),) for text in texts))

    @classmethod
    def of(cls, config: TrainConfig, known: Instructions, texts: Sequence[str]) -> Wordings:
        """Return those of a run, a function of its seed; a text that means another is none.

        known: the instructions of the policy. Raises ConfigError for a table that cannot be read.
        """
        own = cls.own(known, texts)
        if not config.paraphrases:
            return own
        table = Paraphrasing.load(find_file('paraphrases', config.paraphrases))
        # What `robomamba evaluate` asks a policy that was not trained on it.
        reserved = Instructions.of(text for texts in load_paraphrases().values() for text in texts)
        found = []
        for text in own.corpus:
            rng = np.random.default_rng([config.seed, _TEXTS_STREAM, *text.encode()])
            said, *others = table.variants(text, WORDINGS, rng)
            meant = (other for other in others if not known.known(other))
            found.append((said, *(other for other in meant if not reserved.known(other))))
        return cls(tuple(found))

    @property
    def corpus(self) -> Iterable[str]:
        """All texts."""
        return (text for texts in self.texts for text in texts)

    def tokens(self, tokenizer: InstructionTokenizer) -> NDArray[np.int64]:
        """Return (instructions, WORDINGS or 1, length) ids, of texts that are not too long.

        Raises ObservationError where an instruction's own words are.
        """
        count = WORDINGS if any(len(texts) > 1 for texts in self.texts) else 1
        return np.stack([self._encoded(texts, count, tokenizer) for texts in self.texts])

    @staticmethod
    def _encoded(
        texts: tuple[str, ...], count: int, tokenizer: InstructionTokenizer
    ) -> NDArray[np.int64]:
        encoded = [tokenizer.encode(texts[0])]
        for text in texts[1:]:
            try:
                encoded.append(tokenizer.encode(text))
            except ObservationError:
                continue
        return np.resize(np.stack(encoded), (count, tokenizer.length))

    def described(self, known: Instructions) -> Instructions:
        """Return the policy's instructions, with the words of other texts for them."""
        several = any(len(texts) > 1 for texts in self.texts)
        return known.said_by(self.corpus) if several else known


def draw(seed: int, step: int, count: int) -> NDArray[np.int64]:
    """Return which wording each of `count` sequences of a training step is told by."""
    rng = np.random.default_rng([seed, step, _DRAW_STREAM])
    return rng.integers(0, WORDINGS, count) * (rng.random(count) < 0.5)
