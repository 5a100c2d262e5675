"""Text to token ids and, piece by piece, back to text, by a Hugging Face `tokenizers` file.

For byte-level vocabularies such as GPT-NeoX's.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders

from robomamba_ros.errors import CheckpointError
from robomamba_ros.language.vocabulary import (
    encode,
    fit_vocabulary,
    read_tokenizer,
    vocabulary_size,
)

END = '<|endoftext|>'


class TextTokenizer:
    """A byte-level tokenizer: every text has ids, and ids give back the text's bytes."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        end = tokenizer.token_to_id(END)
        if end is None:
            raise CheckpointError(f'the tokenizer lacks the token {END}, which ends an answer')
        if not isinstance(tokenizer.decoder, decoders.ByteLevel):
            raise CheckpointError('the tokenizer is not byte-level, as that of GPT-NeoX is')
        self._tokenizer = tokenizer
        self._special = {
            token_id
            for token_id, token in tokenizer.get_added_tokens_decoder().items()
            if token.special
        }
        self.end = int(end)

    @classmethod
    def train(cls, corpus: Iterable[str], vocabulary: int) -> TextTokenizer:
        """Return a tokenizer of GPT-NeoX's kind fitted to texts; the end token has the id 0."""
        return cls(fit_vocabulary(corpus, vocabulary, [END], words=False))

    @classmethod
    def load(cls, path: Path) -> TextTokenizer:
        """Read a tokenizer.json; raises CheckpointError where it cannot be used."""
        return read_tokenizer(path, cls)

    def save(self, path: Path) -> None:
        """Write tokenizer.json."""
        self._tokenizer.save(str(path))

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return vocabulary_size(self._tokenizer)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, with nothing added to it."""
        return encode(self._tokenizer, text)

    def pieces(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield the text of `ids` as soon as its characters are whole; never an empty piece.

        A character may take several tokens. Bytes that are no UTF-8, which a model can produce,
        and special tokens have no text. Raises ValueError for an id outside the vocabulary.
        """
        decoder = codecs.getincrementaldecoder('utf-8')(errors='ignore')
        for token_id in ids:
            text = decoder.decode(self._bytes(token_id))
            if text:
                yield text

    def _bytes(self, token_id: int) -> bytes:
        token = self._tokenizer.id_to_token(token_id)
        if token is None:
            raise ValueError(
                f'token {token_id} is not among the {self.vocabulary} of the tokenizer'
            )
        if token_id in self._special:
            return b''
        known = [BYTES.get(character) for character in token]
        # Added tokens, such as GPT-NeoX's runs of blanks, are spelled as they are.
        whole = [byte for byte in known if byte is not None]
        return bytes(whole) if len(whole) == len(known) else token.encode()


def _byte_alphabet() -> dict[str, int]:
    """Return which byte each letter of a byte-level vocabulary stands for (GPT-2's table).

    Bytes that print stand for themselves, the others for the code points from 256 on.
    """
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {
        chr(256 + index): byte for index, byte in enumerate(others)
    }


BYTES = _byte_alphabet()
