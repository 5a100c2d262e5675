"""Says an instruction in other words, from a table of them, for a policy to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.language.instructions import normalize

# How often something is said otherwise, where it can be.
_SYNONYM, _ARTICLE, _FRONT, _ADDED = 0.5, 0.5, 0.15, 0.3
# Attempts at each variant; a short text has not many.
_TRIES = 8

Words = tuple[str, ...]


@dataclass(frozen=True)
class Paraphrasing:
    """A table of config/paraphrases; every entry is the words of a text in its spelling.

    synonyms: of each group, any may stand for any other. before, after: what people add. fronted:
    words with which a part begins that may come first.
    """

    synonyms: tuple[tuple[Words, ...], ...]
    articles: tuple[str, ...]
    before: tuple[Words, ...]
    after: tuple[Words, ...]
    fronted: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Paraphrasing:
        """Read a table; raises ConfigError with every error at once."""
        document, errors = read_yaml(path)
        keys = ('synonyms', 'articles', 'before', 'after', 'moved_to_the_front')
        root = Section(document, '', errors, keys)
        lines = root.texts('synonyms', 'lines of phrases between commas', r'[^,]+(,[^,]+)+')
        groups = tuple(_phrases(line.split(',')) for line in lines)
        before, after = (_phrases(root.texts(key, 'texts')) for key in ('before', 'after'))
        articles, fronted = (root.texts(key, 'words') for key in (keys[1], keys[4]))
        refuse(f'the paraphrases {path}', errors)
        return cls(groups, tuple(articles), before, after, tuple(fronted))

    def variants(self, text: str, count: int, rng: np.random.Generator) -> list[str]:
        """Return up to `count` ways to say a text, all different; the first is the text itself."""
        found = {normalize(text): text}
        for _ in range(_TRIES * count):
            if len(found) == count:
                break
            said = ' '.join(self._said(tuple(normalize(text).split()), rng))
            found.setdefault(said, said)
        return list(found.values())

    def _said(self, words: Words, rng: np.random.Generator) -> Words:
        said: list[str] = []
        while words:
            found, length = self._alternatives(words)
            if length:
                other = found[rng.integers(len(found))]
                said += other if rng.random() < _SYNONYM else words[:length]
            elif words[0] in self.articles and rng.random() < _ARTICLE:
                length = 1
                said += [('', *self.articles)[rng.integers(len(self.articles) + 1)]]
            else:
                length = 1
                said.append(words[0])
            words = words[length:]
        starts = [i for i, word in enumerate(said) if i and word in self.fronted]
        if starts and rng.random() < _FRONT:
            said = said[starts[0] :] + said[: starts[0]]
        before, after = (
            list(added[rng.integers(len(added))]) if added and rng.random() < _ADDED else []
            for added in (self.before, self.after)
        )
        return tuple(word for word in (*before, *said, *after) if word)

    def _alternatives(self, words: Words) -> tuple[list[Words], int]:
        """Return what else may be said for the beginning of `words`, and how many words that is."""
        known = self._groups_by_word.get(words[0], ())
        longest = max((len(p) for g in known for p in g if p == words[: len(p)]), default=0)
        groups = [group for group in known if words[:longest] in group]
        return [phrase for group in groups for phrase in group], longest

    @cached_property
    def _groups_by_word(self) -> dict[str, list[tuple[Words, ...]]]:
        """Return, by a first word, the groups in which a phrase begins with it."""
        found: dict[str, list[tuple[Words, ...]]] = {}
        for group in self.synonyms:
            for word in dict.fromkeys(phrase[0] for phrase in group):
                found.setdefault(word, []).append(group)
        return found


def _phrases(texts: Sequence[str]) -> tuple[Words, ...]:
    return tuple(tuple(normalize(text).split()) for text in texts)
