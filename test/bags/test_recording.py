"""Bags written while messages come in: whole when closed, and readable as far as they got."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.full_disk import disk_of

from robomamba_ros.bags.definitions import find_definition
from robomamba_ros.bags.distributions import ros_distro
from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.recording import FLUSH_NS, Recording, RecordingThread
from robomamba_ros.bags.records import Offer, Record
from robomamba_ros.bags.types import standard_types
from robomamba_ros.bags.writer import message
from robomamba_ros.errors import DataError

STRING = 'std_msgs/msg/String'
OFFERS = (
    Offer('reliable', 'transient_local', 'keep_last', 1),
    Offer('best_effort', 'volatile', lifespan_ns=10_000_000_001),
)
STORAGES = ('mcap', 'sqlite3')


def text(i: int, size: int = 0) -> Record:
    content = message(STRING, data=f'{i} ' + 'x' * size)
    return Record('/text', STRING, i, bytes(standard_types().serialize_cdr(content, STRING)))


def found(path: Path) -> tuple[list[int], str]:
    """Return the numbers of the messages of /text, and all warnings."""
    with Bag(path) as bag:
        numbers = [int(m.content.data.split()[0]) for m in bag.messages(['/text'])]
        return numbers, '\n'.join(bag.warnings)


@pytest.mark.parametrize('storage', STORAGES)
def test_what_is_recorded_is_read_with_what_its_publishers_offered(
    tmp_path: Path, storage: str
) -> None:
    recording = RecordingThread(tmp_path / 'a' / 'bag', storage, 1 << 20)
    recording.add_topic('/text', STRING, find_definition(STRING), OFFERS)
    for i in range(300):
        recording.put(text(i, 100))
    recording.close()
    assert (recording.failure, recording.dropped) == ('', {})
    assert found(tmp_path / 'a' / 'bag') == (list(range(300)), '')
    with Bag(tmp_path / 'a' / 'bag') as bag:
        topic = bag.topics['/text']
        assert (topic.type, topic.count, topic.offers) == (STRING, 300, OFFERS)
        assert [record.data for record in bag.records(['/text'], start_ns=298)] == [
            text(298, 100).data,
            text(299, 100).data,
        ]
    metadata = yaml.safe_load((tmp_path / 'a' / 'bag' / 'metadata.yaml').read_text())
    info = metadata['rosbag2_bagfile_information']
    assert (info['version'], info['storage_identifier'], info['message_count']) == (9, storage, 300)
    described = info['topics_with_message_count'][0]['topic_metadata']
    assert described['serialization_format'] == 'cdr'
    assert described['type_description_hash'] == find_definition(STRING).hash
    assert [offer['durability'] for offer in described['offered_qos_profiles']] == [
        'transient_local',
        'volatile',
    ]


# What each distribution's rosbag2 encodes, and all of it decodes: rosbag2_storage/yaml.hpp.
BAG_KEYS = {
    *('version', 'storage_identifier', 'duration', 'starting_time', 'message_count', 'files'),
    *('topics_with_message_count', 'compression_format', 'compression_mode'),
    'relative_file_paths',
}
TOPIC_KEYS = {'name', 'type', 'serialization_format', 'offered_qos_profiles'}


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize(
    ('distro', 'version', 'more', 'more_of_topics'),
    [
        ('humble', 5, set(), set()),
        ('iron', 7, {'custom_data'}, {'type_description_hash'}),
        ('jazzy', 9, {'custom_data', 'ros_distro'}, {'type_description_hash'}),
        ('kilted', 9, {'custom_data', 'ros_distro'}, {'type_description_hash'}),
    ],
)
def test_a_bag_is_as_the_rosbag2_of_the_distribution_writes_it(
    tmp_path: Path,
    storage: str,
    distro: str,
    version: int,
    more: set[str],
    more_of_topics: set[str],
) -> None:
    recording = Recording(tmp_path / 'bag', storage, distro)
    recording.add_topic('/text', STRING, find_definition(STRING), OFFERS)
    recording.add_topic('/none', STRING, find_definition(STRING), ())
    recording.write(text(0))
    recording.close()
    assert {path.name for path in (tmp_path / 'bag').iterdir()} == {
        'metadata.yaml',
        f'bag.{"mcap" if storage == "mcap" else "db3"}',
    }
    written = (tmp_path / 'bag' / 'metadata.yaml').read_text()
    info = yaml.safe_load(written)['rosbag2_bagfile_information']
    assert (info['version'], set(info)) == (version, BAG_KEYS | more)
    assert info.get('ros_distro', distro) == distro
    assert info.get('custom_data', {}) == {}
    topics = {
        t['topic_metadata']['name']: t['topic_metadata'] for t in info['topics_with_message_count']
    }
    assert all(set(topic) == TOPIC_KEYS | more_of_topics for topic in topics.values())
    offered, none = (topics[name]['offered_qos_profiles'] for name in ('/text', '/none'))
    if version < 9:
        assert (isinstance(offered, str), none) == (True, '')
        offered = yaml.safe_load(offered)
        # rmw_qos_durability_policy_t, rmw_qos_reliability_policy_t
        assert [offer['durability'] for offer in offered] == [1, 2]
        assert [offer['reliability'] for offer in offered] == [1, 2]
    else:
        assert (offered[0]['durability'], none) == ('transient_local', [])
    # The storage keeps the same for `ros2 bag reindex`.
    content = (tmp_path / 'bag' / info['relative_file_paths'][0]).read_bytes()
    assert re.search(rf'\bversion: {version}\b'.encode(), content)
    assert (b'ros_distro: rosbags' in content, 'rosbags' in written) == (False, False)
    with Bag(tmp_path / 'bag') as bag:
        assert (bag.topics['/text'].offers, bag.warnings) == (OFFERS, [])


def test_a_bag_is_for_the_running_distribution_else_for_jazzy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('ROS_DISTRO', 'iron')
    assert ros_distro() == 'iron'
    assert ros_distro('humble') == 'humble'
    for unknown in ('', 'newest'):
        monkeypatch.setenv('ROS_DISTRO', unknown)
        assert ros_distro() == 'jazzy'
    with pytest.raises(DataError, match=r"'jazy'.*Did you mean 'jazzy'"):
        RecordingThread(tmp_path / 'bag', 'mcap', 1 << 20, 'jazy')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('storage', STORAGES)
def test_a_killed_recording_is_read_as_far_as_it_was_flushed(tmp_path: Path, storage: str) -> None:
    recording = Recording(tmp_path / 'bag', storage)
    recording.add_topic('/text', STRING, find_definition(STRING), ())
    for i in range(5):
        recording.write(text(i))
    recording.flush()
    recording.write(text(5))
    # As its files are if the process ends now.
    shutil.copytree(tmp_path / 'bag', tmp_path / 'killed')
    recording.close()
    numbers, warnings = found(tmp_path / 'killed')
    assert numbers == [0, 1, 2, 3, 4]
    assert 'metadata.yaml is missing: it was not closed' in warnings
    assert found(tmp_path / 'bag') == ([0, 1, 2, 3, 4, 5], '')


@pytest.mark.parametrize('storage', STORAGES)
def test_a_full_disk_is_said_and_what_was_written_stays_readable(
    tmp_path: Path, storage: str
) -> None:
    with disk_of(1_000_000):
        recording = RecordingThread(tmp_path / 'bag', storage, 1 << 26)
        recording.add_topic('/text', STRING, find_definition(STRING), ())
        for i in range(400):
            # A message in a second each: each is flushed.
            recording.put(text(i, 10_000)._replace(log_ns=(i + 1) * 2 * FLUSH_NS))
        recording.close()
    assert f'{tmp_path / "bag"} cannot be written' in recording.failure
    assert 'stay readable' in recording.failure
    assert not (tmp_path / 'bag' / 'metadata.yaml').exists()
    numbers, warnings = found(tmp_path / 'bag')
    assert numbers == list(range(len(numbers)))
    assert 50 < len(numbers) < 100
    assert 'metadata.yaml is missing' in warnings


def test_what_finds_the_buffer_full_is_dropped_and_counted(tmp_path: Path) -> None:
    recording = RecordingThread(tmp_path / 'bag', 'mcap', capacity=200)
    recording.add_topic('/text', STRING, find_definition(STRING), ())
    recording.put(text(1))
    recording.put(text(2, 1000))
    recording.put(text(3, 1000))
    recording.close()
    assert recording.dropped == {'/text': 2}
    assert found(tmp_path / 'bag') == ([1], '')


def test_a_recording_replaces_nothing_and_knows_its_storages(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f'{tmp_path} exists already'):
        RecordingThread(tmp_path, 'mcap', 1)
    with pytest.raises(DataError, match=r"'mcp'.*Did you mean 'mcap'"):
        RecordingThread(tmp_path / 'bag', 'mcp', 1)


def test_nothing_recorded_is_an_empty_bag(tmp_path: Path) -> None:
    for storage in STORAGES:
        recording = RecordingThread(tmp_path / storage, storage, 1)
        recording.close()
        assert recording.failure == ''
        with Bag(tmp_path / storage) as bag:
            assert (bag.count, bag.topics) == (0, {})
