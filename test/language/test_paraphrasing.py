"""Other words for an instruction: what the table gives, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robomamba_ros.common.resources import find_file
from robomamba_ros.errors import ConfigError
from robomamba_ros.language.instructions import normalize
from robomamba_ros.language.paraphrasing import Paraphrasing

TABLE = """
synonyms: ["open, pull open", "drawer, sliding tray"]
articles: [a, the]
before: [could you]
after: [now]
moved_to_the_front: [with]
"""


def made(folder: Path, text: str = TABLE) -> Paraphrasing:
    path = folder / 'words.yaml'
    path.write_text(text)
    return Paraphrasing.load(path)


def test_a_text_is_said_by_what_the_table_has_and_nothing_else(tmp_path: Path) -> None:
    said = made(tmp_path).variants('Open a drawer with care', 500, np.random.default_rng(0))
    assert said[0] == 'Open a drawer with care'
    assert (
        60 < len(said) == len(set(said)) <= 2 * 2 * 2 * 3 * 2 * 2
    )  # each choice, with every other
    assert {'pull open the sliding tray with care', 'could you open drawer with care now'} < {*said}
    assert 'with care open a drawer' in said
    words = {word for text in said[1:] for word in text.split()}
    assert ' '.join(sorted(words)) == 'a care could drawer now open pull sliding the tray with you'


def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    table = made(tmp_path)
    first, again, other = (
        table.variants('Open a drawer', 10, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_longest_phrase_counts_and_other_words_stay(tmp_path: Path) -> None:
    table = made(tmp_path, TABLE.replace('"open, pull open"', '"pull, drag", "pull open, open"'))
    said = table.variants('pull open it', 50, np.random.default_rng(0))
    assert not any('drag' in text for text in said)
    assert set(table.variants('fly', 50, np.random.default_rng(0))) == {
        *('fly', 'could you fly', 'fly now', 'could you fly now')
    }


def test_a_table_that_is_none_is_refused_by_its_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"synonyms.*'open'|synonyms.*open"):
        made(tmp_path, TABLE.replace('"open, pull open"', '"open"'))
    with pytest.raises(ConfigError, match=r'befor.*before'):
        made(tmp_path, TABLE.replace('before:', 'befor:'))


def test_the_shipped_table_has_words_as_they_are_compared() -> None:
    text = find_file('paraphrases', 'english').read_text()
    table = Paraphrasing.load(find_file('paraphrases', 'english'))
    phrases = [' '.join(phrase) for group in table.synonyms for phrase in group]
    assert all(phrase == normalize(phrase) and phrase in text for phrase in phrases)
    assert all(len(group) == len(set(group)) > 1 for group in table.synonyms)
