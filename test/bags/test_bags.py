from __future__ import annotations

import importlib
import itertools
import os
import re
import shutil
import sqlite3
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from support.full_disk import disk_of

import robomamba_ros.bags
from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.recovery import RecoveredMcap
from robomamba_ros.bags.topics import require_topic
from robomamba_ros.bags.types import standard_types
from robomamba_ros.bags.writer import BagWriter, message
from robomamba_ros.errors import BackendError, DataError

STRING, IMAGE = 'std_msgs/msg/String', 'sensor_msgs/msg/Image'
PLUGINS = {'.mcap': StoragePlugin.MCAP, '.db3': StoragePlugin.SQLITE3}
# Message i of /text: long enough that a file has many pages and several chunks.
TEXTS = [f'{i} ' + chr(97 + i % 26) * 20_000 for i in range(120)]
PERIOD_NS = 1_000_000


def write_texts(
    folder: Path,
    suffix: str = '.mcap',
    mode: CompressionMode = CompressionMode.NONE,
    texts: list[str] = TEXTS,
    start_ns: int = 0,
    times_ns: list[int] | None = None,
) -> Path:
    """Write /text, a message each millisecond or at given times; return the storage file."""
    store = get_typestore(Stores.ROS2_JAZZY)
    writer = Writer(folder, version=9, storage_plugin=PLUGINS[suffix])
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/text', STRING, typestore=store)
        for i, text in enumerate(texts):
            data = store.serialize_cdr(store.types[STRING](data=text), STRING)
            time_ns = times_ns[i] if times_ns else start_ns + i * PERIOD_NS
            writer.write(connection, time_ns, data)
    return next(path for path in folder.iterdir() if path.name != 'metadata.yaml')


def read(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return the times and beginnings of the messages of /text, and all warnings."""
    with Bag(path) as bag:
        topics = [name for name in ('/text',) if name in bag.topics]
        found = [(m.log_ns, m.content.data.split()[0]) for m in bag.messages(topics)]
        return found, '\n'.join(bag.warnings)


def expected(count: int = len(TEXTS), start_ns: int = 0) -> list[tuple[int, str]]:
    return [(start_ns + i * PERIOD_NS, str(i)) for i in range(count)]


@pytest.mark.parametrize(
    ('suffix', 'mode'),
    # SQLite has no compression of its own.
    [(s, m) for s in PLUGINS for m in CompressionMode if (s, m.name) != ('.db3', 'STORAGE')],
)
def test_every_storage_and_compression_is_read(
    tmp_path: Path, suffix: str, mode: CompressionMode
) -> None:
    file = write_texts(tmp_path / 'bag', suffix, mode)
    assert read(tmp_path / 'bag') == (expected(), '')
    assert read(file) == (expected(), '')
    with Bag(tmp_path / 'bag') as bag:
        topic = bag.topics['/text']
        assert (topic.type, topic.count, topic.problem, bag.count) == (STRING, 120, '', 120)
        assert bag.duration_s == pytest.approx(0.119)


def split_bag(folder: Path) -> list[str]:
    """Write a bag of eleven files, named so that their text order is not their order."""
    folder.mkdir()
    names = []
    for part in range(11):
        file = write_texts(folder / f'bag_{part}', texts=TEXTS[:4], start_ns=part * 4 * PERIOD_NS)
        file.replace(folder / file.name)
        names.append(file.name)
    document = {'rosbag2_bagfile_information': {'relative_file_paths': names}}
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(document))
    return names


def test_a_split_bag_is_one_stream_whether_or_not_its_metadata_is_there(tmp_path: Path) -> None:
    folder = tmp_path / 'bag'
    split_bag(folder)
    with Bag(folder) as bag:
        times = [m.log_ns for m in bag.messages(['/text'])]
        assert times == [i * PERIOD_NS for i in range(44)]
        assert bag.warnings == []
    for text, reason in (
        (None, 'is missing'),
        ('a: [', ', line 2: not valid YAML'),
        ('7', 'does not list the files'),
    ):
        metadata = folder / 'metadata.yaml'
        metadata.unlink() if text is None else metadata.write_text(text)
        with Bag(folder) as bag:
            assert [m.log_ns for m in bag.messages(['/text'])] == times
            assert len(bag.warnings) == 1
            assert re.search(rf'metadata.yaml ?{reason}.*ros2 bag reindex', bag.warnings[0])


def test_a_missing_or_unreadable_file_of_several_is_named_and_the_others_are_read(
    tmp_path: Path,
) -> None:
    folder = tmp_path / 'bag'
    names = split_bag(folder)
    (folder / names[1]).unlink()
    (folder / names[2]).write_bytes(b'')
    (folder / names[3]).write_bytes(b'not a bag')
    with Bag(folder) as bag:
        assert bag.count == 8 * 4
        warnings = '\n'.join(bag.warnings)
    assert f'{names[1]} is missing' in warnings
    assert f'{names[2]} is empty' in warnings
    assert re.search(f'{names[3]} cannot be read: .*; it is left out', warnings)


@pytest.mark.parametrize('suffix', PLUGINS)
def test_files_are_merged_by_time(tmp_path: Path, suffix: str) -> None:
    (tmp_path / 'bag').mkdir()
    for name, start_ns in (('one', 0), ('two', PERIOD_NS // 2)):
        file = write_texts(tmp_path / 'bag' / name, suffix, texts=TEXTS[:5], start_ns=start_ns)
        file.replace(tmp_path / 'bag' / file.name)
    found, _ = read(tmp_path / 'bag')
    assert [time_ns for time_ns, _ in found] == [i * PERIOD_NS // 2 for i in range(10)]


@pytest.fixture(scope='module')
def sound_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp('sound')
    kinds = {
        'plain.mcap': CompressionMode.NONE,
        'chunks.mcap': CompressionMode.STORAGE,
        'plain.db3': CompressionMode.NONE,
        'message.db3': CompressionMode.MESSAGE,
        'file.db3.zstd': CompressionMode.FILE,
        'file.mcap.zstd': CompressionMode.FILE,
    }
    # Random text, because a truncated file of repetitions is whole or nothing when compressed.
    rng = np.random.default_rng(0)
    texts = [f'{i} ' + rng.bytes(20_000).hex() for i in range(120)]
    return {
        name: write_texts(
            folder / name.replace('.', '_'), f'.{name.split(".")[1]}', mode, texts
        ).read_bytes()
        for name, mode in kinds.items()
    }


@pytest.mark.parametrize(
    ('name', 'least'),
    [
        ('plain.mcap', 58),
        ('chunks.mcap', 50),
        ('plain.db3', 57),
        ('message.db3', 57),
        ('file.db3.zstd', 50),
        ('file.mcap.zstd', 50),
    ],
)
def test_half_a_file_gives_its_messages(
    tmp_path: Path, sound_files: dict[str, bytes], name: str, least: int
) -> None:
    whole = sound_files[name]
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    found, warnings = read(tmp_path / name)
    assert least <= len(found) <= 61
    assert found == expected(len(found))
    remedy = 'sqlite3 OLD .recover' if 'db3' in name else 'mcap recover'
    assert re.search(rf'{name} is damaged: .*{len(found)} messages.*{remedy}', warnings)


@settings(max_examples=30, deadline=None)
@given(part=st.floats(0.0, 1.0), name=st.sampled_from(['plain.mcap', 'chunks.mcap', 'plain.db3']))
def test_a_file_cut_anywhere_gives_its_first_messages_or_says_why_not(
    tmp_path_factory: pytest.TempPathFactory,
    sound_files: dict[str, bytes],
    part: float,
    name: str,
) -> None:
    path = tmp_path_factory.mktemp('cut') / name
    size = int(part * len(sound_files[name]))
    path.write_bytes(sound_files[name][:size])
    try:
        found, warnings = read(path)
    except DataError as error:
        named = name in str(error)
        assert (named, size < 50_000) == (True, True)
    else:
        assert found == expected(len(found))
        assert warnings or len(found) == 120


@settings(max_examples=40, deadline=None)
@given(at=st.floats(0.05, 1.0), junk=st.binary(min_size=8, max_size=64))
def test_junk_within_a_file_costs_no_message_that_does_not_hold_it(
    tmp_path_factory: pytest.TempPathFactory,
    sound_files: dict[str, bytes],
    at: float,
    junk: bytes,
) -> None:
    whole = bytearray(sound_files['plain.mcap'])
    begin = int(at * (len(whole) - 64))
    whole[begin : begin + len(junk)] = junk
    path = tmp_path_factory.mktemp('junk') / 'plain.mcap'
    path.write_bytes(whole)
    found, _ = read(path)
    before = int(begin / len(whole) * 120) - 2
    assert [text for _, text in found[: max(before, 0)]] == [str(i) for i in range(before)]


def test_damage_in_the_middle_leaves_both_sides(
    tmp_path: Path, sound_files: dict[str, bytes]
) -> None:
    whole = bytearray(sound_files['chunks.mcap'])
    middle = len(whole) // 2
    whole[middle : middle + 1000] = bytes(1000)
    path = tmp_path / 'chunks.mcap'
    path.write_bytes(whole)
    found, warnings = read(path)
    assert (found[0], found[-1]) == (expected()[0], expected()[-1])
    assert 50 < len(found) < 120
    assert len(set(found)) == len(found)
    assert 'is damaged: a chunk of it is damaged' in warnings


def test_a_file_without_its_index_is_read_whole(
    tmp_path: Path, sound_files: dict[str, bytes]
) -> None:
    whole = sound_files['plain.mcap']
    path = tmp_path / 'plain.mcap'
    path.write_bytes(whole[: len(whole) - 37])
    found, warnings = read(path)
    assert found == expected()
    assert 'mcap recover' in warnings


def test_messages_in_a_journal_are_read_too(tmp_path: Path) -> None:
    """As a recorder that was killed leaves them, with the resilient preset of its storage."""
    file = write_texts(tmp_path / 'bag', '.db3', texts=TEXTS[:5])
    data = bytes(standard_types().serialize_cdr(message(STRING, data='late'), STRING))
    (tmp_path / 'killed').mkdir()
    database = sqlite3.connect(file)
    database.execute('PRAGMA journal_mode=WAL')
    insert = 'INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)'
    with database:
        database.execute(insert, (9 * PERIOD_NS, data))
    for part in file.parent.glob(f'{file.name}*'):
        shutil.copyfile(part, tmp_path / 'killed' / part.name)
    database.close()
    found, warnings = read(tmp_path / 'killed' / file.name)
    assert found == [*expected(5), (9 * PERIOD_NS, 'late')]
    assert f'{file.name} was not closed' in warnings


def test_an_empty_bag_says_so(tmp_path: Path) -> None:
    for suffix in PLUGINS:
        write_texts(tmp_path / suffix[1:], suffix, texts=[])
        found, warnings = read(tmp_path / suffix[1:])
        assert (found, warnings) == ([], f'{tmp_path / suffix[1:]} holds no messages')


def test_a_bag_without_topics_offers_none(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'a.mcap'):
        pass
    none = r"unknown topic '/text': there is none at all\.$"
    with Bag(tmp_path / 'a.mcap') as bag, pytest.raises(DataError, match=none):
        bag.require('/text', [STRING])


def test_without_rosbags_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'rosbags', None)
    with pytest.raises(BackendError, match=r"'rosbags': pip install 'robomamba_ros\[bags\]'"):
        importlib.reload(robomamba_ros.bags)


def test_what_is_no_bag_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"there is no bag '{tmp_path / 'none'}'"):
        Bag(tmp_path / 'none')
    with pytest.raises(DataError, match=r'holds no \.mcap or \.db3 file'):
        Bag(tmp_path)
    for name, reason in (('a.bag', 'give a folder'), ('a.mcap', 'does not begin'), ('a.db3', '')):
        (tmp_path / name).write_bytes(b'something else' * 100)
        with pytest.raises(DataError, match=rf'{name} .*{reason}'):
            Bag(tmp_path / name)
    (tmp_path / 'empty.mcap').write_bytes(b'')
    with pytest.raises(DataError, match=r'empty\.mcap is empty'):
        Bag(tmp_path / 'empty.mcap')


def test_a_topic_that_is_missing_or_of_another_type_is_named(tmp_path: Path) -> None:
    write_texts(tmp_path / 'bag')
    with Bag(tmp_path / 'bag') as bag:
        with pytest.raises(DataError, match=r"'/txt'\. Did you mean '/text'\?"):
            list(bag.messages(['/txt']))
        with pytest.raises(DataError, match=rf"'/text' of .* carries {STRING}; allowed: {IMAGE}"):
            bag.require('/text', [IMAGE])
        assert bag.require('/text', [IMAGE, STRING]).count == 120


def write_custom(folder: Path, suffix: str) -> None:
    """Write two topics of types that no ROS comes with; one message of /own is damaged."""
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg('float64 force\nlab_msgs/Tool tool', 'lab_msgs/msg/Grip'))
    store.register(get_types_from_msg('string name', 'lab_msgs/msg/Tool'))
    with Writer(folder, version=9, storage_plugin=PLUGINS[suffix]) as writer:
        own = writer.add_connection('/own', 'lab_msgs/msg/Grip', typestore=store)
        other = writer.add_connection(
            '/other', 'lab_msgs/msg/Lost', msgdef='not a ( definition', rihs01='RIHS01_0'
        )
        tool = store.types['lab_msgs/msg/Tool'](name='cup')
        grip = store.serialize_cdr(
            store.types['lab_msgs/msg/Grip'](force=2.5, tool=tool), own.msgtype
        )
        writer.write(own, 1, grip)
        writer.write(own, 2, bytes(grip)[:9])
        writer.write(own, 3, grip)
        writer.write(other, 4, b'\0\1\0\0')


@pytest.mark.parametrize('suffix', PLUGINS)
def test_types_come_from_the_bag_and_those_that_cannot_be_decoded_are_named(
    tmp_path: Path, suffix: str
) -> None:
    write_custom(tmp_path / 'bag', suffix)
    with Bag(tmp_path / 'bag') as bag:
        found = [(m.log_ns, m.content.force, m.content.tool.name) for m in bag.messages(['/own'])]
        assert found == [(1, 2.5, 'cup'), (3, 2.5, 'cup')]
        assert len(bag.warnings) == 1
        assert re.search(r"1 messages of topic '/own' .* left out: .*lab_msgs", bag.warnings[0])
        assert 'lab_msgs/msg/Lost' in bag.topics['/other'].problem
        with pytest.raises(DataError, match=r"topic '/other' .*lab_msgs/msg/Lost.*definition"):
            list(bag.messages(['/other']))


def test_bags_without_definitions_are_read_by_the_types_of_ros(tmp_path: Path) -> None:
    """As rosbag2 of Humble wrote SQLite files."""
    file = write_texts(tmp_path / 'bag', '.db3')
    with sqlite3.connect(file) as database:
        database.execute('DROP TABLE message_definitions')
        database.execute('DROP TABLE schema')
    database.close()
    assert read(tmp_path / 'bag') == (expected(), '')


def test_times_that_go_back_are_put_in_order_or_said(tmp_path: Path) -> None:
    """As where the clock of the recording computer was set back while it recorded."""
    times = [1000 + i if i < 60 else i for i in range(120)]
    file = write_texts(tmp_path / 'bag', times_ns=times)
    in_order = sorted(zip(times, map(str, range(120)), strict=True))
    assert read(tmp_path / 'bag') == (in_order, '')
    (tmp_path / 'cut.mcap').write_bytes(file.read_bytes()[:-37])
    found, warnings = read(tmp_path / 'cut.mcap')
    assert sorted(found) == in_order
    assert found != in_order
    assert re.search(r'cut\.mcap is damaged: it is cut off', warnings)
    assert re.search(r'times of recording in .*cut\.mcap go backwards \d+ times', warnings)


@pytest.mark.parametrize('suffix', PLUGINS)
@pytest.mark.parametrize('definition', ['string data', ''])
def test_types_without_their_kind_are_read(tmp_path: Path, suffix: str, definition: str) -> None:
    """As rosbag2 of Crystal, and recorders that came from ROS 1, write them."""
    data = bytes(standard_types().serialize_cdr(message(STRING, data='0 old'), STRING))
    with Writer(tmp_path / 'bag', version=9, storage_plugin=PLUGINS[suffix]) as writer:
        topic = writer.add_connection(
            '/text', 'std_msgs/String', msgdef=definition, rihs01='RIHS01_0'
        )
        writer.write(topic, 0, data)
    with Bag(tmp_path / 'bag') as bag:
        assert bag.require('/text', [STRING]).count == 1
    for path in (tmp_path / 'bag', next((tmp_path / 'bag').glob(f'*{suffix}'))):
        assert read(path) == ([(0, '0')], '')


def test_types_of_installed_packages_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_custom(tmp_path / 'bag', '.db3')
    with sqlite3.connect(tmp_path / 'bag' / 'bag.db3') as database:
        database.execute('DELETE FROM message_definitions')
    database.close()
    with Bag(tmp_path / 'bag') as bag:
        assert "install the package 'lab_msgs'" in bag.topics['/own'].problem
    share = tmp_path / 'share' / 'lab_msgs' / 'msg'
    share.mkdir(parents=True)
    (share / 'Grip.msg').write_text('float64 force\nTool tool\n')
    (share / 'Tool.msg').write_text('string name\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    with Bag(tmp_path / 'bag') as bag:
        assert [m.content.tool.name for m in bag.messages(['/own'])] == ['cup', 'cup']


def test_memory_does_not_grow_with_the_bag(tmp_path: Path) -> None:
    peaks = []
    for count in (200, 1600):
        path = tmp_path / f'{count}.mcap'
        with BagWriter(path) as writer:
            writer.add_topic('/text', STRING)
            for i in range(count):
                writer.write('/text', i, message(STRING, data=f'{i} ' + 'x' * 20_000))
        with Bag(path) as bag:
            tracemalloc.start()
            assert sum(1 for _ in bag.messages(['/text'])) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def write_some(path: Path, count: int = 3) -> None:
    with BagWriter(path) as writer:
        writer.add_topic('/text', STRING)
        for i in range(count):
            writer.write('/text', i * PERIOD_NS, message(STRING, data=TEXTS[i % len(TEXTS)]))


def test_what_is_written_is_read_and_its_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ('one', 'two'):
        write_some(tmp_path / name / 'predictions.mcap')
    assert read(tmp_path / 'one' / 'predictions.mcap') == (expected(3), '')
    first, second = (tmp_path / n / 'predictions.mcap' for n in ('one', 'two'))
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in (tmp_path / 'one').iterdir()] == ['predictions.mcap']


@pytest.mark.parametrize(
    ('chosen', 'running', 'distro', 'version', 'keys'),
    [
        ('humble', 'jazzy', None, 5, set()),
        ('', 'iron', None, 7, {'custom_data'}),
        ('', 'kilted', 'kilted', 9, {'custom_data', 'ros_distro'}),
        ('', '', 'jazzy', 9, {'custom_data', 'ros_distro'}),
    ],
)
def test_a_lone_file_carries_the_metadata_of_the_distribution(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    running: str,
    distro: str | None,
    version: int,
    keys: set[str],
) -> None:
    monkeypatch.setenv('ROS_DISTRO', running)
    with BagWriter(tmp_path / 'a.mcap', chosen) as writer:
        writer.add_topic('/text', STRING)
        writer.write('/text', 1, message(STRING, data='open'))
    # What rosbag2's McapStorage::get_metadata reads where there is no metadata.yaml.
    _, mark, rest = (tmp_path / 'a.mcap').read_bytes().partition(b'serialized_metadata')
    assert mark
    info = yaml.safe_load(rest[4 : 4 + int.from_bytes(rest[:4], 'little')])
    assert (info['version'], info.get('ros_distro')) == (version, distro)
    assert {'custom_data', 'ros_distro'} & set(info) == keys
    (topic,) = info['topics_with_message_count']
    assert topic['topic_metadata']['offered_qos_profiles'] == ('' if version < 9 else [])
    with Bag(tmp_path / 'a.mcap') as bag:
        assert [each.content.data for each in bag.messages(['/text'])] == ['open']
    with pytest.raises(DataError, match=r"'jazy'.*Did you mean 'jazzy'"):
        BagWriter(tmp_path / 'b.mcap', 'jazy')


@pytest.mark.parametrize(('count', 'size'), [(3, 10_000), (400, 3_000_000)])
@pytest.mark.parametrize('before', [False, True])
def test_a_full_disk_leaves_no_partial_file(
    tmp_path: Path, count: int, size: int, before: bool
) -> None:
    path = tmp_path / 'predictions.mcap'
    if before:
        path.write_bytes(b'earlier')
    with (
        disk_of(size),
        pytest.raises(DataError, match=r'predictions\.mcap cannot be written.*free'),
    ):
        write_some(path, count)
    assert [p.name for p in tmp_path.iterdir()] == (['predictions.mcap'] if before else [])
    assert not before or path.read_bytes() == b'earlier'


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def write(numbers: Iterator[Any]) -> None:
        with BagWriter(tmp_path / 'predictions.mcap') as writer:
            writer.add_topic('/text', STRING)
            for i in numbers:
                writer.write('/text', i, message(STRING, data=str(1 // (2 - i))))

    with pytest.raises(ZeroDivisionError):
        write(itertools.count())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match=r"written as \.mcap, not 'a\.db3'"):
        BagWriter(tmp_path / 'a.db3')


def test_a_damaged_file_names_its_topics_without_messages(
    tmp_path: Path, sound_files: dict[str, bytes]
) -> None:
    path = tmp_path / 'plain.mcap'
    path.write_bytes(sound_files['plain.mcap'][:2000])
    assert [(t.name, t.count) for t in RecoveredMcap(path).topics] == [('/text', 0)]


def test_a_definition_that_lacks_a_field_of_its_type_is_named(tmp_path: Path) -> None:
    quaternion = 'geometry_msgs/msg/Quaternion'
    short = get_typestore(Stores.EMPTY)
    short.register(get_types_from_msg('float64 x\nfloat64 z\nfloat64 w\n', quaternion))
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/turn', quaternion, typestore=short)
        content = short.serialize_cdr(short.types[quaternion](0.0, 0.0, 1.0), quaternion)
        writer.write(connection, 0, content)
    with Bag(tmp_path / 'bag') as bag:
        with pytest.raises(DataError, match=rf"'/turn' of .*definition of {quaternion} has no 'y'"):
            require_topic(bag, 'turn', quaternion)
        # What nobody reads by its standard fields is decoded by its own.
        assert next(bag.messages(['/turn'])).content.z == 0.0


@pytest.mark.parametrize('column', ['name', 'type'])
def test_a_table_of_topics_that_is_damaged_is_said_in_one_line(tmp_path: Path, column: str) -> None:
    path = write_texts(tmp_path / 'bag', '.db3')
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE topics SET {column} = CAST(x'80ff' AS TEXT)")
    connection.close()
    try:
        with Bag(path) as bag:
            said = [*bag.warnings, *(topic.problem for topic in bag.topics.values())]
            with pytest.raises(DataError) as raised:
                bag.require('/text', [STRING])
            said.append(str(raised.value))
    except DataError as error:
        said = [str(error)]
    assert any(str(path) in each for each in said)
    assert all('\n' not in each for each in said)


@pytest.mark.parametrize('name', ['pipe.mcap', 'pipe.mcap.zstd'])
def test_a_pipe_among_the_files_of_a_bag_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match='cannot be read: it is no regular file'):
        Bag(tmp_path)
    with pytest.raises(DataError, match='neither a file nor a folder'):
        Bag(tmp_path / name)
