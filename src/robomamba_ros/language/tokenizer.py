"""Instruction text to a fixed number of token ids, by a Hugging Face `tokenizers` file.

A byte-level vocabulary has no unknown words: any instruction gives ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from robomamba_ros.errors import CheckpointError, ObservationError
from robomamba_ros.language.instructions import shown
from robomamba_ros.language.vocabulary import (
    encode,
    fit_vocabulary,
    parse_tokenizer,
    read_tokenizer,
    vocabulary_size,
)

PAD = '<|padding|>'
END = '<|endoftext|>'


class InstructionTokenizer:
    """Turns an instruction into exactly `length` ids, padded on the left, closed by the end token.

    Left padding keeps the last token of a sequence a real one, whatever the instruction's length.
    """

    def __init__(self, tokenizer: Tokenizer, length: int) -> None:
        pad, end = tokenizer.token_to_id(PAD), tokenizer.token_to_id(END)
        if pad is None or end is None:
            raise CheckpointError(f'the tokenizer lacks the token {PAD} or {END}')
        self._tokenizer = tokenizer
        self._pad, self._end = int(pad), int(end)
        self.length = length

    @classmethod
    def train(cls, corpus: Iterable[str], vocabulary: int, length: int) -> InstructionTokenizer:
        """Return a byte-level BPE tokenizer fitted to the instructions of a data set."""
        return cls(fit_vocabulary(corpus, vocabulary, [PAD, END], words=True), length)

    @classmethod
    def load(cls, path: Path, length: int) -> InstructionTokenizer:
        """Read a tokenizer.json, one of `train` or GPT-NeoX's; raises CheckpointError."""
        return read_tokenizer(path, lambda tokenizer: cls(tokenizer, length))

    @classmethod
    def parse(cls, text: str, length: int, where: str) -> InstructionTokenizer:
        """Return that of the text of a tokenizer.json; raises CheckpointError naming `where`."""
        return parse_tokenizer(text, where, lambda tokenizer: cls(tokenizer, length))

    def save(self, path: Path) -> None:
        """Write tokenizer.json."""
        self._tokenizer.save(str(path))

    def text(self) -> str:
        """Return what `parse` reads."""
        return str(self._tokenizer.to_str())

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return vocabulary_size(self._tokenizer)

    def encode(self, instruction: str) -> NDArray[np.int64]:
        """Return (length,) ids; raises ObservationError where the instruction is too long."""
        ids = [*encode(self._tokenizer, instruction.strip()), self._end]
        if len(ids) > self.length:
            raise ObservationError(
                f"the instruction '{shown(instruction)}' has {len(ids)} tokens; this policy reads "
                f'at most {self.length}. Say it in fewer words.'
            )
        return np.array([self._pad] * (self.length - len(ids)) + ids, dtype=np.int64)
