"""Which instructions a policy was trained on, and what it makes of any other.

The one place where case, punctuation and white space are taken out of an instruction: training,
inference and evaluation all ask here.
"""

from __future__ import annotations

import difflib
import json
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from robomamba_ros.common.documents import read_json
from robomamba_ros.errors import CheckpointError, ConfigError, ObservationError, unknown_name

MEGABYTES = 16  # of instructions.json, a hundred thousand of them
FILE = 'instructions.json'
CHOICES = ('auto', 'trained_only', 'any')
# A longer one is no instruction but a mistake, or an attack: tokens cost time for each character.
LONGEST = 1000
# Of a text that is quoted in a message.
SHOWN = 80
# Words that make no difference to what is meant.
FILLERS = ('a', 'an', 'the', 'please')
# Letters that must agree for two words to count as one, as `drawr` and `drawer` do.
ALIKE = 0.75
# Words of a text by which the nearest trained one is looked for.
LONGEST_SEARCH = 20


@dataclass(frozen=True)
class Instructions:
    """The texts a policy was trained on, as they were spelled there; empty where nobody knows.

    trained_only: whether any other is refused. The spelling of a text does not count: one that
    differs from a trained one by case, punctuation, white space, articles or `please` is that one.
    words: all that training said them by, where it did in several ways. Then a text is refused only
    where half of its words or more are none of these.
    """

    trained: tuple[str, ...] = ()
    trained_only: bool = False
    words: frozenset[str] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Instructions:
        """Return those of a data set, each meaning once; raises ConfigError for a blank one."""
        found: dict[str, str] = {}
        for text in texts:
            if not _key(text):
                raise ConfigError(
                    f'the data has episodes with the instruction {text!r}, which says nothing, so '
                    'the policy could never be told to do this; give every episode a task in words'
                )
            found.setdefault(_key(text), text)
        return cls(tuple(found.values()))

    @classmethod
    def load(cls, folder: Path, *, own_words: bool) -> Instructions:
        """Return those that a checkpoint directory names; none where it has no instructions.json.

        own_words: whether its words were learned from these texts alone. Such a policy gives any
        motion at all for another text, so it refuses them; one with a language model's words may
        know what is meant. Raises CheckpointError.
        """
        path = folder / FILE
        # A link that leads nowhere is not the same as none: the policy would take any text.
        if not os.path.lexists(path):
            return cls()
        try:
            document = read_json(path, megabytes=MEGABYTES)
            texts, words = document['trained'], document.get('words', [])
            if not (texts and isinstance(texts, list) and all(map(_usable, texts))):
                raise ValueError('`trained` is no list of texts with words in them')
            if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
                raise ValueError('`words` is no list of words')
        except (ConfigError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f'{path} does not say what the policy was trained on ({error}); copy the '
                'checkpoint again'
            ) from error
        return cls(tuple(texts), own_words, frozenset(words))

    def said_by(self, texts: Iterable[str]) -> Instructions:
        """Return these with the words of all texts that training said them by."""
        return replace(self, words=frozenset(word for text in texts for word in _key(text).split()))

    def save(self, path: Path) -> None:
        """Write what `load` reads from a file of a checkpoint directory."""
        document: dict[str, object] = {'trained': self.trained}
        if self.words:
            document['words'] = sorted(self.words)
        text = json.dumps(document, indent=1, ensure_ascii=False)
        path.write_text(f'{text}\n', encoding='utf-8')

    def allowing(self, choice: str) -> Instructions:
        """Return these with the rule of CHOICES: auto changes nothing.

        Raises ConfigError for another rule, and for trained_only where the texts are not known.
        """
        if choice not in CHOICES:
            raise ConfigError(unknown_name('value of instructions', choice, CHOICES))
        if choice == 'auto':
            return self
        if choice == 'trained_only' and not self.trained:
            raise ConfigError(
                'the policy does not say which instructions it was trained on, so none can be '
                f'refused; write them into {FILE} of its checkpoint, or give instructions any'
            )
        return replace(self, trained_only=choice == 'trained_only', words=frozenset())

    def known(self, text: str) -> str | None:
        """Return the trained instruction that a text means, as it was spelled; None for another."""
        return self._by_key.get(_key(text))

    def spelled(self, text: str) -> str:
        """Return the trained spelling of a text, or the words of one that was not trained."""
        known = self.known(text)
        return normalize(text) if known is None else known

    def remark(self, text: str) -> str:
        """Return what there is to say about an instruction that was not trained; else ''."""
        if not self.trained or self.known(text) is not None:
            return ''
        return (
            f"the instruction '{shown(text)}' is none of the {len(self.trained)} that the policy "
            f"was trained on; the nearest is '{shown(self.nearest(text))}'"
        )

    def check(self, text: str) -> None:
        """Raise ObservationError for what is no instruction, or one that is refused."""
        check_text('instruction', text)
        if self.refuses(text):
            raise ObservationError(
                f'{self.remark(text)}. Give one of them, or allow others by instructions any.'
            )

    def refuses(self, text: str) -> bool:
        """Return whether a text is refused for its meaning."""
        other = bool(self.trained) and self.known(text) is None
        return self.trained_only and other and not self._familiar(text)

    def _familiar(self, text: str) -> bool:
        """Return whether more than half of a text's words are among `words`."""
        said = _key(text).split()
        return sum(word in self.words for word in said) > len(said) / 2

    def nearest(self, text: str) -> str:
        """Return the trained instruction that has most of a text's words, and fewest others."""
        said = _key(text).split()[:LONGEST_SEARCH]
        likeness: dict[str, list[tuple[str, float]]] = {}
        for word in said:
            close = difflib.get_close_matches(word, self._words, n=5, cutoff=ALIKE)
            likeness[word] = [(x, difflib.SequenceMatcher(None, word, x).ratio()) for x in close]

        def shared(trained: str) -> tuple[float, float]:
            words = set(_key(trained).split())
            found = [max((r for x, r in likeness[w] if x in words), default=0.0) for w in said]
            return sum(found), -len(words)

        return max(self.trained, key=shared)

    @cached_property
    def _words(self) -> list[str]:
        return sorted({word for key in self._by_key for word in key.split()})

    @cached_property
    def _by_key(self) -> dict[str, str]:
        # Reversed, so that of two spellings the first counts.
        return {_key(text): text for text in reversed(self.trained)}


def check_text(kind: str, text: str) -> None:
    """Raise ObservationError for a text that says nothing: blank, endless, or no UTF-8."""
    if len(text) > LONGEST:
        raise ObservationError(
            f'the {kind} has {len(text):,} characters; say it in at most {LONGEST:,}'
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ObservationError(f"the {kind} '{shown(text)}' is not UTF-8") from None
    if not any(map(str.isalnum, text)):
        raise ObservationError(f'the {kind} is blank; say it in words')


def normalize(text: str) -> str:
    """Return the words of a text: lower case, single blanks, no punctuation but within numbers.

    A sign before a number, and what stands between its digits or ends it as %, is part of it; so
    is an apostrophe of its word.
    """
    text = unicodedata.normalize('NFKC', text).lower()
    return ' '.join(''.join(_letter(text, index) for index in range(len(text))).split())


def shown(text: str, longest: int = SHOWN) -> str:
    """Return a text for a message: one line of at most `longest` characters, all printable."""
    line = ' '.join(text[: 4 * longest].split())
    line = ''.join(c if c.isprintable() else '\N{REPLACEMENT CHARACTER}' for c in line)
    return line if len(line) <= longest else f'{line[: longest - 3]}...'


def _letter(text: str, index: int) -> str:
    """Return the character of a text there, or a blank in its place."""
    character = text[index]
    # Marks are letters' accents, and the vowels of many scripts.
    if character.isalnum() or unicodedata.category(character).startswith('M'):
        return character
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    kept = (
        (character in '+-\N{MINUS SIGN}' and after.isdigit() and not before.isalnum())
        or (character in '.,:/\N{FRACTION SLASH}' and before.isdigit() and after.isdigit())
        or (character in '%\N{DEGREE SIGN}' and before.isdigit())
        or (
            character in "'\N{RIGHT SINGLE QUOTATION MARK}" and before.isalpha() and after.isalpha()
        )
    )
    return character if kept else ' '


def _key(text: str) -> str:
    """Return what a text means, for comparing: its words without those that add nothing."""
    return ' '.join(word for word in normalize(text).split() if word not in FILLERS)


def _usable(text: object) -> bool:
    return isinstance(text, str) and len(text) <= LONGEST and bool(_key(text))
