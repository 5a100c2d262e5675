"""Text through a byte-level tokenizer and back, in pieces that are never half a character."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from robomamba_ros.errors import CheckpointError
from robomamba_ros.language.text import END, TextTokenizer

CORPUS = ['the drawer is open, grüße an 机器人 und 🤖', 'the robot opens the drawer']


def make_library_tokenizer(folder):
    """Return a tokenizer of GPT-NeoX's kind as the library reads it: with runs of blanks."""
    path = folder / 'tokenizer.json'
    TextTokenizer.train(CORPUS, 400).save(path)
    library = Tokenizer.from_file(str(path))
    library.add_tokens([AddedToken('   ', normalized=True, special=False)])
    return library


with TemporaryDirectory() as scratch:
    LIBRARY = make_library_tokenizer(Path(scratch))
TOKENIZER = TextTokenizer(LIBRARY)
IDS = st.lists(st.integers(0, TOKENIZER.vocabulary - 1), max_size=40)


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_text_comes_back_whole(text):
    # The end token spelled out in a text is that token.
    text = text.replace(END, '')
    assert ''.join(TOKENIZER.pieces(TOKENIZER.encode(text))) == text


@given(IDS)
@settings(max_examples=300, deadline=None)
def test_any_ids_give_the_librarys_text_without_broken_characters(ids):
    whole = LIBRARY.decode(ids, skip_special_tokens=True).replace('\ufffd', '')
    pieces = list(TOKENIZER.pieces(ids))
    assert ''.join(pieces) == whole
    assert '' not in pieces


def test_a_character_of_several_tokens_waits_for_its_last():
    ids = TOKENIZER.encode('a🦾b')  # its first two bytes are one token, as in the corpus
    assert len(ids) == 5
    read = []
    seen = [(len(read), piece) for piece in TOKENIZER.pieces(read.append(i) or i for i in ids)]
    assert seen == [(1, 'a'), (4, '🦾'), (5, 'b')]


def test_merged_tokens_and_runs_of_blanks_keep_their_blanks():
    ids = TOKENIZER.encode('the drawer   is')
    assert LIBRARY.token_to_id('   ') in ids
    assert len(ids) < len('the drawer   is')
    assert list(TOKENIZER.pieces(ids))[:2] == ['the', ' drawer']
    assert ''.join(TOKENIZER.pieces(ids)) == 'the drawer   is'


def test_the_end_token_has_no_text_and_stray_ids_are_refused():
    assert list(TOKENIZER.pieces([TOKENIZER.end])) == []
    with pytest.raises(ValueError, match=r'token 9999 is not among the 304'):
        list(TOKENIZER.pieces([9999]))


def test_it_is_read_back(tmp_path):
    TOKENIZER.save(tmp_path / 'tokenizer.json')
    read = TextTokenizer.load(tmp_path / 'tokenizer.json')
    assert (read.vocabulary, read.end) == (TOKENIZER.vocabulary, TOKENIZER.end)
    assert read.encode(CORPUS[0]) == TOKENIZER.encode(CORPUS[0])


def test_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / 'tokenizer.json'
    path.write_text('{}')
    with pytest.raises(CheckpointError, match=r'tokenizer\.json is not a tokenizer'):
        TextTokenizer.load(path)
    words = Tokenizer(models.WordLevel({END: 0, 'a': 1}, unk_token=END))
    words.save(str(path))
    with pytest.raises(CheckpointError, match=r'tokenizer\.json: .* is not byte-level'):
        TextTokenizer.load(path)
    endless = Tokenizer(models.BPE())
    endless.decoder = decoders.ByteLevel()
    endless.save(str(path))
    with pytest.raises(CheckpointError, match=r'lacks the token <\|endoftext\|>'):
        TextTokenizer.load(path)
