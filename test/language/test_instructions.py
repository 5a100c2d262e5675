"""What counts as the same instruction, what a policy refuses, and what travels in a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import CheckpointError, ConfigError, ObservationError
from robomamba_ros.language.instructions import LONGEST, Instructions, check_text, normalize
from robomamba_ros.simulation.tasks import known_tasks

DRAWER, DOOR = 'Open a drawer', 'Open a door with a revolving joint'
TEN = Instructions((DRAWER, 'Push and close a drawer', DOOR, 'Insert a peg sideways'))
ALL = json.loads((share_directory() / 'config' / 'metaworld_mt50.json').read_text())['tasks']


@pytest.mark.parametrize(
    'said',
    [
        *('Open a drawer', 'Open a drawer.', 'Open a drawer!', 'open drawer', 'OPEN THE DRAWER'),
        *(' open\ta\n drawer ', 'open a\u00a0drawer', '"Open a drawer"', '«open, a drawer…»'),
        *('Please open a drawer', 'Ｏｐｅｎ a drawer。', '\ufeffopen a drawer', 'open-a-drawer'),
    ],
)
def test_case_punctuation_white_space_and_articles_do_not_matter(said: str) -> None:
    assert TEN.known(said) == TEN.spelled(said) == DRAWER
    assert TEN.remark(said) == ''


@pytest.mark.parametrize('said', ['Open the door', 'close a drawer', 'open drawers', 'a', 'opn'])
def test_other_words_are_another_instruction(said: str) -> None:
    assert TEN.known(said) is None


def test_what_belongs_to_a_number_or_a_word_is_kept() -> None:
    assert normalize("Turn by -30.5°, then 5% more; don't stop (yet)!") == (
        "turn by -30.5° then 5% more don't stop yet"
    )
    turns = Instructions(('Turn by 30 degrees', 'Turn by -30 degrees'))
    assert [turns.known(f'turn by {n} degrees!') for n in ('30', '-30', '3.0')] == [
        *turns.trained,
        None,
    ]


def test_scripts_that_are_not_latin_keep_their_letters() -> None:
    assert normalize('  दराज़ खोलो। ') == normalize('दराज़ खोलो')
    assert normalize('打开抽屉。') == '打开抽屉'


def test_every_text_of_the_benchmark_is_its_own_spelling() -> None:
    """So that the shipped policies answer to it as they did before there were spellings."""
    known = Instructions.of(task['instruction'] for task in ALL)
    assert len(known.trained) == 49  # push and push-back share one
    assert [known.spelled(text) for text in known.trained] == list(known.trained)
    assert [known.known(f'{text.upper()}!') for text in known.trained] == list(known.trained)


@pytest.mark.parametrize(
    ('said', 'nearest'),
    [
        ('Open the door', DOOR),
        ('open drawr', DRAWER),
        ('close the drawer', 'Push and close a drawer'),
        ('put the peg in', 'Insert a peg sideways'),
    ],
)
def test_a_remark_names_the_nearest(said: str, nearest: str) -> None:
    assert TEN.remark(said) == (
        f"the instruction '{said}' is none of the 4 that the policy was trained on; the nearest "
        f"is '{nearest}'"
    )


def test_others_are_followed_or_refused_as_the_rule_says() -> None:
    TEN.allowing('auto').check('Open the door')
    closed = TEN.allowing('trained_only')
    closed.check('open the drawer!')
    with pytest.raises(ObservationError, match=r"nearest is 'Open a door with .*instructions any"):
        closed.check('Open the door')
    closed.allowing('any').check('Open the door')
    with pytest.raises(ConfigError, match=r"instructions 'never'.*any, auto, trained_only"):
        TEN.allowing('never')
    with pytest.raises(ConfigError, match=r'does not say .* instructions any'):
        Instructions().allowing('trained_only')


@pytest.mark.parametrize('blank', ['', ' \t\n', '...', '!?', '\u200b', '👍', '-'])
def test_what_says_nothing_is_no_instruction(blank: str) -> None:
    with pytest.raises(ObservationError, match='the instruction is blank'):
        Instructions().check(blank)


def test_an_endless_text_is_refused_in_one_short_line() -> None:
    with pytest.raises(ObservationError) as refused:
        check_text('question', 'lift ' * 2_000_000)
    assert str(refused.value) == (
        f'the question has 10,000,000 characters; say it in at most {LONGEST:,}'
    )


def test_bytes_that_are_no_text_are_refused_in_one_line() -> None:
    said = b'open\xff \x1b[31ma drawer'.decode('utf-8', 'surrogateescape')
    with pytest.raises(ObservationError) as refused:
        TEN.check(said)
    assert str(refused.value) == "the instruction 'open\ufffd \ufffd[31ma drawer' is not UTF-8"


def test_they_travel_in_a_checkpoint(tmp_path: Path) -> None:
    assert Instructions.load(tmp_path, own_words=True) == Instructions()
    TEN.save(tmp_path / 'instructions.json')
    assert Instructions.load(tmp_path, own_words=False) == TEN
    assert Instructions.load(tmp_path, own_words=True) == TEN.allowing('trained_only')


def test_two_spellings_in_the_data_are_one_instruction() -> None:
    assert Instructions.of([DRAWER, 'open the drawer.', DOOR]).trained == (DRAWER, DOOR)
    with pytest.raises(ConfigError, match=r"the instruction ' ', .*give every episode a task"):
        Instructions.of([DRAWER, ' '])


@pytest.mark.parametrize(
    'text',
    [
        *('', '[]', '{}', '{"trained": null}', '{"trained": []}', '{"trained": ["open", 3]}'),
        *('{"trained": [" "]}', '{"trained": "open"}', '[' * 100_000, '{"trained": {"a": "b"}}'),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / 'instructions.json').write_text(text)
    with pytest.raises(CheckpointError, match=r'instructions\.json does not say what'):
        Instructions.load(tmp_path, own_words=True)


def test_a_link_that_leads_nowhere_is_not_the_same_as_no_file(tmp_path: Path) -> None:
    (tmp_path / 'instructions.json').symlink_to(tmp_path / 'gone.json')
    with pytest.raises(CheckpointError, match=r'instructions\.json does not say what'):
        Instructions.load(tmp_path, own_words=True)


@pytest.mark.parametrize(
    ('name', 'count'),
    [
        ('anolevla-mt10', 10),
        ('anolevla-mt10-clean', 10),
        ('anolevla-mt50', 49),
        ('anolevla-mt50-clean', 49),
        ('anolevla-memory', 2),
        ('robomamba-small', 20),
    ],
)
def test_the_shipped_policies_say_what_they_were_trained_on(name: str, count: int) -> None:
    found = Instructions.load(share_directory() / 'models' / name, own_words=True)
    assert len(found.trained) == count
    assert set(found.trained) <= {task.instruction for task in known_tasks().values()}


SAID = ('shut that drawer', 'could you pull the door open', 'put in a peg sideways', *TEN.trained)


@pytest.mark.parametrize('said', ['shut the door', 'could you put the peg in now', 'pull it open'])
def test_a_policy_that_learnt_other_words_follows_them(said: str) -> None:
    known = TEN.allowing('trained_only').said_by(SAID)
    known.check(said)
    assert not known.refuses(said)
    assert known.remark(said) == TEN.remark(said) != ''
    for strict in (TEN.allowing('trained_only'), known.allowing('trained_only')):
        with pytest.raises(ObservationError, match='is none of the 4'):
            strict.check(said)


@pytest.mark.parametrize('said', ['fly a kite', 'open a window', 'sideways peeling of bananas'])
def test_what_is_far_from_all_that_was_trained_is_refused(said: str) -> None:
    known = TEN.allowing('trained_only').said_by(SAID)
    assert known.refuses(said)
    with pytest.raises(ObservationError, match=r'is none of the 4 .*the nearest is'):
        known.check(said)
    known.allowing('any').check(said)


def test_the_words_travel_in_a_checkpoint(tmp_path: Path) -> None:
    known = TEN.allowing('trained_only').said_by(SAID)
    known.save(tmp_path / 'instructions.json')
    assert Instructions.load(tmp_path, own_words=True) == known
    document = json.loads((tmp_path / 'instructions.json').read_text())
    for wrong in ('open', ['open', 5], {'open': 1}):
        (tmp_path / 'instructions.json').write_text(json.dumps({**document, 'words': wrong}))
        with pytest.raises(CheckpointError, match=r'`words` is no list'):
            Instructions.load(tmp_path, own_words=True)
