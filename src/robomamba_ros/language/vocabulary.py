"""Byte-level vocabularies: fitted to texts, and read from a Hugging Face `tokenizers` file.

Knows nothing about what the ids are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from robomamba_ros.errors import CheckpointError

Use = TypeVar('Use')


def fit_vocabulary(
    corpus: Iterable[str], size: int, special: Sequence[str], *, words: bool
) -> Tokenizer:
    """Return a byte-level BPE tokenizer fitted to texts; the special tokens have the first ids.

    words: whether case and a blank before the text are to make no difference.
    """
    tokenizer = Tokenizer(models.BPE())
    if words:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=words)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def read_tokenizer(path: Path, use: Callable[[Tokenizer], Use]) -> Use:
    """Return what `use` makes of a tokenizer.json; raises CheckpointError where it cannot."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f'{path} is not a tokenizer ({error}); copy it again') from error
    try:
        return use(tokenizer)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
