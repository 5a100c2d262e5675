"""Demonstrations one by one: what falls between two of them is in none."""

from __future__ import annotations

import pytest
from rosbags.typesys import Stores, get_typestore

from robomamba_ros.bags.definitions import find_definition
from robomamba_ros.bags.episodes import EpisodeRecording, Topic
from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.records import Offer, Record
from robomamba_ros.errors import DataError

STORE = get_typestore(Stores.ROS2_JAZZY)
TEXT = 'std_msgs/msg/String'
PLAIN, LATCHED = Offer('reliable', 'volatile'), Offer('reliable', 'transient_local')


def text(topic, said, log_ns=5):
    message = STORE.types[TEXT](said)
    return Record(topic, TEXT, log_ns, bytes(STORE.serialize_cdr(message, TEXT)))


def texts(folder):
    with Bag(folder) as bag:
        return [(m.topic, m.content.data) for m in bag.messages([*bag.topics])], bag.warnings


@pytest.fixture
def episodes(tmp_path):
    task = Topic('/instruction', TEXT, find_definition(TEXT), (LATCHED,))
    made = EpisodeRecording(
        tmp_path / 'drawer', 'mcap', 1 << 20, fixed=[(task, text('', 'Open it').data)]
    )
    made.add_topic('/state', TEXT, find_definition(TEXT), [PLAIN])
    made.add_topic('/robot', TEXT, find_definition(TEXT), [LATCHED])
    yield made
    if made.recording:
        made.keep()


def test_an_episode_holds_the_task_what_was_latched_and_what_came_in_it(episodes):
    episodes.put(text('/robot', 'urdf'))
    episodes.put(text('/state', 'before'))
    for number in range(2):
        assert episodes.begin() == episodes.folder / f'00{number}'
        episodes.put(text('/state', f'in {number}', 2**62))
        kept = episodes.keep()
        assert kept.messages == {'/instruction': 1, '/robot': 1, '/state': 1}
        episodes.put(text('/state', 'between'))
        assert texts(kept.folder) == (
            [('/instruction', 'Open it'), ('/robot', 'urdf'), ('/state', f'in {number}')],
            [],
        )
    assert episodes.kept == 2


def test_what_is_discarded_is_gone_and_nothing_else(episodes, tmp_path):
    mine = episodes.folder / 'mine'
    mine.mkdir(parents=True)
    episodes.begin()
    first = episodes.keep().folder
    episodes.begin()
    assert episodes.discard() == episodes.folder / '001'
    # The episode before was kept, and a second thought about this one does not reach it.
    with pytest.raises(DataError, match='there is no episode to discard'):
        episodes.discard()
    assert (episodes.kept, sorted(episodes.folder.iterdir())) == (1, [first, mine])
    episodes.begin()
    second = episodes.keep().folder
    assert episodes.discard() == second
    assert (episodes.kept, sorted(episodes.folder.iterdir())) == (1, [first, mine])


def test_another_session_goes_on_after_the_last_number(episodes):
    (episodes.folder / '017').mkdir(parents=True)
    assert episodes.begin().name == '018'
    with pytest.raises(DataError, match='episode 018 is being recorded; end it first'):
        episodes.begin()
    episodes.keep()
    with pytest.raises(DataError, match='no episode is being recorded'):
        episodes.keep()


def test_a_topic_that_comes_to_be_in_an_episode_is_in_it_and_in_the_next(episodes):
    episodes.begin()
    episodes.add_topic('/late', TEXT, find_definition(TEXT), [PLAIN])
    episodes.put(text('/late', 'here'))
    assert ('/late', 'here') in texts(episodes.keep().folder)[0]
    episodes.begin()
    assert '/late' not in episodes.keep().messages
    assert '/late' in episodes.topics


def test_a_place_that_is_a_file_is_refused(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(DataError, match='is a file; choose another place'):
        EpisodeRecording(tmp_path / 'file', 'mcap', 1)
