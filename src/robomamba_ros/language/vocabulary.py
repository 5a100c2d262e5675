"""Byte-level vocabularies: fitted to texts, and read from a Hugging Face `tokenizers` file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from robomamba_ros.common.documents import parse_json, read_text
from robomamba_ros.errors import CheckpointError, ObservationError

Use = TypeVar('Use')

MEGABYTES = 64  # GPT-NeoX's has 2
# What a byte-level tokenizer is made of. All of these take time in proportion to the text.
NORMALIZERS = ('Lowercase', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Strip', 'StripAccents')
PRE_TOKENIZERS = ('ByteLevel', 'Digits', 'Whitespace', 'WhitespaceSplit')
SEQUENCES = {'normalizer': 'normalizers', 'pre_tokenizer': 'pretokenizers'}


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
    """Return what `use` makes of a tokenizer.json; raises CheckpointError where it cannot.

    A tokenizer neither cuts nor fills texts here, whatever its file says: that is the policy's to
    do. One that rewrites texts by patterns is refused: a pattern can take hours for a sentence, or
    make gigabytes of it.
    """
    return parse_tokenizer(read_text(path, MEGABYTES, CheckpointError), str(path), use)


def parse_tokenizer(text: str, where: str, use: Callable[[Tokenizer], Use]) -> Use:
    """Return what `use` makes of the text of a tokenizer.json; as of `read_tokenizer`."""
    _check_parts(parse_json(text, where, error=CheckpointError), where)
    try:
        with _panics_as_errors():
            tokenizer = Tokenizer.from_str(text)
            tokenizer.no_truncation()
            tokenizer.no_padding()
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f'{where} is not a tokenizer ({error}); copy it again') from error
    try:
        return use(tokenizer)
    except CheckpointError as error:
        raise CheckpointError(f'{where}: {error}') from error


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the ids of a text, with nothing added; ObservationError where that cannot be."""
    try:
        with _panics_as_errors():
            return list(tokenizer.encode(text, add_special_tokens=False).ids)
    except Exception as error:  # the library raises bare Exception
        raise ObservationError(
            f"the tokenizer cannot read the text '{text[:80]}' ({error}); say it otherwise"
        ) from error


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """Return how many rows an embedding needs: ids may have gaps."""
    return 1 + max(tokenizer.get_vocab().values(), default=-1)


@contextmanager
def _panics_as_errors() -> Iterator[None]:
    """Make an error of a panic, which is a BaseException: nobody else would see it end a thread."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ == 'PanicException':
            raise RuntimeError(f'its library failed: {error}') from error
        raise


def _check_parts(document: object, where: str) -> None:
    """Raise CheckpointError naming a part that is none of a byte-level tokenizer."""
    if not isinstance(document, dict) or not isinstance(document.get('model'), dict):
        raise CheckpointError(f'{where} is not a tokenizer (it has no model); copy it again')
    for key, known in (('normalizer', NORMALIZERS), ('pre_tokenizer', PRE_TOKENIZERS)):
        for kind in _kinds(document.get(key), SEQUENCES[key]):
            if kind not in known:
                raise CheckpointError(
                    f'{where}: its {key} is {kind!r:.60}; read are {", ".join(known)}. Give the '
                    'tokenizer that the policy was trained with'
                )
    if document['model'].get('dropout'):
        raise CheckpointError(
            f'{where}: model.dropout is {document["model"]["dropout"]!r:.40}, with which a text '
            'has other tokens each time; set it to null'
        )


def _kinds(part: object, inner: str) -> Iterator[object]:
    """Yield the types of a part and of those in its sequences."""
    parts = [part]
    while parts:
        each = parts.pop()
        kind = each.get('type') if isinstance(each, dict) else each
        nested = each.get(inner) if isinstance(each, dict) and kind == 'Sequence' else None
        if isinstance(nested, list):
            parts += nested
        elif each is not None:
            yield kind
