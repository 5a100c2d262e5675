"""Bags that ask for more than a recording: refused or cut short, in bounded time and memory."""

from __future__ import annotations

import sqlite3
import struct
import tracemalloc
from pathlib import Path

import lz4.frame
import pytest
import yaml
from backports import zstd
from support.full_disk import disk_of
from support.made_recording import Recording

from robomamba_ros.bags.limits import CHUNK_BYTES, FILE_BYTES, decompress
from robomamba_ros.bags.reader import Bag
from robomamba_ros.cli.main import main
from robomamba_ros.errors import DataError

MAGIC = b'\x89MCAP0\r\n'
MIB = 1 << 20


def text(value: str) -> bytes:
    return struct.pack('<I', len(value)) + value.encode()


def record(operation: int, content: bytes) -> bytes:
    return bytes([operation]) + struct.pack('<Q', len(content)) + content


def mcap(compression: str, data: bytes, declared: int) -> bytes:
    head = struct.pack('<QQQI', 0, 0, declared, 0) + text(compression)
    chunk = record(6, head + struct.pack('<Q', len(data)) + data)
    end = record(2, bytes(20)) + MAGIC
    return MAGIC + record(1, text('ros2') + text('x')) + chunk + end


def schema(definition: str) -> bytes:
    """Return an MCAP of one message with a type of its own."""
    parts = (
        record(1, text('ros2') + text('x')),
        record(3, struct.pack('<H', 1) + text('p/msg/A') + text('ros2msg') + text(definition)),
        record(4, struct.pack('<HH', 1, 1) + text('/t') + text('cdr') + struct.pack('<I', 0)),
        record(5, struct.pack('<HIQQ', 1, 0, 5, 5) + b'\0\1\0\0' + bytes(64)),
    )
    return MAGIC + b''.join(parts)


def read(path: Path) -> tuple[int, list[str]]:
    """Read every message; return how many there are, and the warnings."""
    with Bag(path) as bag:
        topics = [name for name, topic in bag.topics.items() if not topic.problem]
        return sum(1 for _ in bag.messages(topics)), bag.warnings


@pytest.mark.parametrize('declared', [200 * MIB, 10], ids=['true', 'false'])
def test_a_chunk_that_unpacks_to_much_is_damage(tmp_path: Path, declared: int) -> None:
    data = zstd.compress(bytes(200 * MIB))
    (path := tmp_path / 'bag.mcap').write_bytes(mcap('zstd', data, declared))
    tracemalloc.start()
    count, warnings = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 0
    assert 'is damaged' in warnings[0]
    assert peak < 60 * MIB


def test_what_compresses_well_and_is_small_or_real_is_unpacked() -> None:
    for compression, pack in (('zstd', zstd.compress), ('lz4', lz4.frame.compress)):
        for size in (1, 100_000, CHUNK_BYTES):
            assert decompress(compression, pack(bytes(size)), size) == (bytes(size), '')
        twice = pack(b'one') + pack(b'two')
        assert decompress(compression, twice, 6) == (b'onetwo', '')
        raw, problem = decompress(compression, pack(b'whole' * 100)[:-5], 500)
        assert b'whole'.startswith(raw[:5])
        assert problem
    assert decompress('', b'as it is') == (b'as it is', '')


def pack(path: Path, mebibytes: int) -> None:
    with zstd.open(path, 'wb') as file:
        for _ in range(mebibytes):
            file.write(bytes(MIB))
    assert path.stat().st_size < MIB


def test_a_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'bag.mcap.zstd'
    pack(path, FILE_BYTES // MIB + 1)
    with pytest.raises(DataError, match=r'bag.mcap.zstd cannot be read: .* unpack to more than'):
        Bag(path)


def test_the_files_of_a_bag_share_what_they_may_unpack_to(tmp_path: Path) -> None:
    folder = tmp_path / 'bag'
    folder.mkdir()
    whole = Recording().run(stop=200).write(tmp_path / 'whole.mcap').read_bytes()
    for number in range(3):
        (folder / f'{number}.mcap.zstd').write_bytes(zstd.compress(whole))
    with Bag(folder) as bag:
        everything, said = bag.count, len(bag.warnings)
    with Bag(folder, most_unpacked=2 * len(whole)) as bag:
        assert bag.count == everything * 2 // 3
        assert len(bag.warnings) == said + 1
        [left_out] = [each for each in bag.warnings if '2.mcap.zstd cannot be read' in each]
        assert '--unpack-gib' in left_out


def test_more_is_unpacked_where_somebody_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'bag.mcap.zstd'
    pack(path, 3)
    words = ['dataset', 'from-bag', str(path), '--arm', 'sawyer_sim', '--fps', '10']
    words += ['--output', str(tmp_path / 'set')]
    assert main([*words, '--unpack-gib', '0.002']) == 2
    assert f'unpack to more than {int(0.002 * 1024 * MIB)}' in capsys.readouterr().err
    assert main([*words, '--unpack-gib', '0.004']) == 2
    assert 'does not begin as an MCAP file does' in capsys.readouterr().err
    assert main([*words, '--unpack-gib', '-1']) == 2
    assert 'give a number above 0' in capsys.readouterr().err
    assert not (tmp_path / 'set').exists()


def test_a_full_disk_for_temporary_files_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'bag.mcap.zstd'
    pack(path, 3)
    with disk_of(MIB), pytest.raises(DataError, match=r'no room to unpack it in .*; set TMPDIR'):
        Bag(path)


@pytest.mark.parametrize('lines', [20_000, 200_000])
def test_a_definition_of_too_many_fields_is_not_used(tmp_path: Path, lines: int) -> None:
    definition = ''.join(f'int32 x{number}\n' for number in range(lines))
    (path := tmp_path / 'bag.mcap').write_bytes(schema(definition))
    with Bag(path) as bag:
        assert 'its stored definition cannot be used (it has ' in bag.topics['/t'].problem


def test_a_file_that_is_listed_twice_is_read_once(tmp_path: Path) -> None:
    folder = tmp_path / 'bag'
    folder.mkdir()
    Recording().run(stop=200).write(folder / 'a.mcap')
    once, _ = read(folder / 'a.mcap')
    listed = {'rosbag2_bagfile_information': {'relative_file_paths': ['a.mcap', 'a.mcap']}}
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(listed))
    assert read(folder) == (once, [])


def database(path: Path, messages: str) -> Path:
    topics = 'id integer, name text, type text, serialization_format text'
    connection = sqlite3.connect(path)
    connection.executescript(
        f'create table topics({topics}, offered_qos_profiles text);'
        "insert into topics values(1, '/t', 'std_msgs/msg/String', 'cdr', '');" + messages
    )
    connection.commit()
    connection.close()
    return path


COLUMNS = 'id integer, topic_id integer, timestamp integer, data blob'
HELLO = "x'00010000060000006865' || x'6c6c6f00'"


@pytest.mark.parametrize(
    ('messages', 'said'),
    [
        (
            'create view messages as with recursive r(id) as (select 1 union all select id + 1 '
            "from r) select id, 1 as topic_id, id as timestamp, x'00010000' as data from r;",
            "its 'messages' is no table but a view",
        ),
        (
            'create table messages(id integer, topic_id integer, timestamp integer, data blob '
            'generated always as (zeroblob(1000000000)));insert into messages values(1, 1, 1);',
            "its table 'messages' has columns that are computed",
        ),
    ],
    ids=['a view without end', 'a computed gigabyte'],
)
def test_a_database_that_computes_its_messages_is_refused(
    tmp_path: Path, messages: str, said: str
) -> None:
    path = database(tmp_path / 'bag.db3', messages)
    with pytest.raises(DataError, match=f'bag.db3 cannot be read: {said}'):
        Bag(path)


def test_rows_that_are_no_messages_are_left_out(tmp_path: Path) -> None:
    rows = (
        "(1, 1, 'abc', 'text')",
        '(2, 1, null, null)',
        f'(3, 1, 7, cast({HELLO} as blob))',
    )
    create = f'create table messages({COLUMNS});'
    values = f'insert into messages values{", ".join(rows)};'
    path = database(tmp_path / 'bag.db3', create + values)
    count, warnings = read(path)
    assert count == 1
    assert any('no time or no bytes' in warning for warning in warnings)


def test_a_chunk_that_the_index_names_twice_is_read_once(tmp_path: Path) -> None:
    path = Recording().run(stop=200).write(tmp_path / 'bag.mcap')
    data = path.read_bytes()
    count, _ = read(path)
    summary = struct.unpack('<Q', data[-28:-20])[0]
    # The first chunk index of the summary, once more before it.
    place = summary
    while data[place] != 8:
        place += 9 + struct.unpack('<Q', data[place + 1 : place + 9])[0]
    end = place + 9 + struct.unpack('<Q', data[place + 1 : place + 9])[0]
    (twice := tmp_path / 'twice.mcap').write_bytes(data[:end] + data[place:end] + data[end:])
    found, warnings = read(twice)
    assert found == count
    assert 'its index names a chunk twice' in warnings[0]
