"""YAML and JSON of any kind end in a value or in one line that names file, line and remedy."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import yaml

from robomamba_ros.common.documents import (
    DEPTH,
    VALUES,
    parse_json,
    parse_yaml,
    read_json,
    read_yaml,
)
from robomamba_ros.errors import ConfigError, DataError

ALIASES = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]\n' for i in range(1, 9)
)


def read(folder: Path, content: str | bytes) -> object:
    path = folder / 'file.yaml'
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    document, errors = read_yaml(path)
    assert not errors
    return document


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('', None),
        ('~', None),
        ('true', True),
        ('FALSE', False),
        ('-17', -17),
        ('1.5', 1.5),
        ('1e-3', 0.001),
        ('.5', 0.5),
        ('-.inf', -math.inf),
        ('"1"', '1'),
        # What YAML 1.1 reads otherwise than it looks stays a text.
        ('yes', 'yes'),
        ('off', 'off'),
        ('0100', '0100'),
        ('1:40', '1:40'),
        ('1_000', '1_000'),
        ('2001-99-99', '2001-99-99'),
        ('[a, {b: 1}, &x c, *x]', ['a', {'b': 1}, 'c', 'c']),
        ('{1: a, 2.0: b, yes: c}', {'1': 'a', '2.0': 'b', 'yes': 'c'}),
        ('a: &x [1, 2]\nb: *x', {'a': [1, 2], 'b': [1, 2]}),
    ],
)
def test_a_value_is_what_it_looks_like(text: str, value: object) -> None:
    found = parse_yaml(text, 'the text')
    assert found == value
    assert type(found) is type(value)


def test_what_is_plain_is_read_as_pyyaml_reads_it() -> None:
    for path in sorted((Path(__file__).parents[2] / 'config').glob('*/*.yaml')):
        document, errors = read_yaml(path)
        assert not errors
        assert document == yaml.safe_load(path.read_text()), path


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        (f'x: 1\n{ALIASES}', f'line 7: more than {VALUES} values'),
        ('x: &r [*r]', r'line 1: \*r stands for nothing before it, or for itself'),
        ('\n- ' * 1 + '[' * 20000, r'line 2: (nested deeper than|not valid YAML: .*nesting)'),
        ('\n- ' + '[' * 40, f'line 2: nested deeper than {DEPTH}'),
        ('a: 1\nrate: 1' + '0' * 400, 'line 2: a number of 401 digits'),
        ('rate: 1' + '0' * 5000, 'line 1: a number of 5001 digits'),
        ('rate: 1e999', 'line 1: 1e999 is more than a number can hold'),
        ('a: 1\nb: !!python/object/apply:os.system ["ls"]', 'line 2: the tag .*os.system'),
        ('a: !mine 3', 'line 1: the tag !mine'),
        ('a: {b: 1}\n<<: {a: 2}', r'line 2: a merge key \(<<\)'),
        ('? [a]\n: b', 'line 1: a mapping or list as a key'),
        ('a: &x b\n*x : c', r'line 2: \*x as a key'),
        ('a: 1\n---\nb: 2', r'line 2: a second document \(---\)'),
        ('a: 1\nb: \0', 'line 2: a control character'),
        ('a: [1\nb: 2', 'line 2: not valid YAML'),
        ('a: 1\n# 速度\n'.encode('gbk') + b'b: 2', r'line 2 is not UTF-8 \(byte 0xcb\)'),
        ('a: 1'.encode('utf-16'), r'line 1 is not UTF-8'),
        (b'a' * (1 << 20) + b'a', 'cannot be read: it is larger than 1 MiB'),
        ('[' + 'a,' * VALUES + ']', f'line 1: more than {VALUES} values'),
    ],
    ids=range(19),
)
def test_what_is_not_read_is_one_line_with_the_file(
    tmp_path: Path, content: str | bytes, problem: str
) -> None:
    with pytest.raises(ConfigError, match=f'{tmp_path}/file.yaml.*{problem}') as raised:
        read(tmp_path, content)
    assert '\n' not in str(raised.value)
    assert len(str(raised.value)) < 300 + len(str(tmp_path))


def test_a_pipe_or_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path / 'pipe', tmp_path, Path('/dev/zero')):
        with pytest.raises(ConfigError, match='it is no regular file'):
            read_yaml(path)
    with pytest.raises(ConfigError, match='there is no file'):
        read_yaml(tmp_path / 'nothing')


def test_a_byte_order_mark_is_no_letter(tmp_path: Path) -> None:
    assert read(tmp_path, b'\xef\xbb\xbfa: 1') == {'a': 1}


def test_keys_given_twice_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / 'file.yaml'
    path.write_text('a: 1\nb: {c: 1, c: 2, d: 3, d: 4}\na: 2\na: 3\n')
    document, errors = read_yaml(path)
    assert document == {'a': 3, 'b': {'c': 2, 'd': 4}}
    assert errors == [
        'c: found twice in the mapping at line 2, allowed: once',
        'd: found twice in the mapping at line 2, allowed: once',
        'a: found twice in the mapping at line 1, allowed: once',
    ]


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('[' * 100_000, 'nested too deeply'),
        ('{"a":' * 100_000, 'nested too deeply'),
        ('{"a": NaN}', 'NaN is not a number'),
        ('{"a": 1e999}', '1e999 is more than a number can hold'),
        ('{"a": 1' + '0' * 400 + '}', 'a number of 401 digits'),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ('{"a": 1\n"b"}', 'line 2 is not valid JSON'),
        (r'{"a": "\ud800"}', 'surrogates not allowed'),
        ('', 'line 1 is not valid JSON'),
    ],
    ids=range(9),
)
def test_json_that_is_none_is_one_line(text: str, problem: str) -> None:
    with pytest.raises(DataError, match=f'the file.*{problem}') as raised:
        parse_json(text, 'the file', error=DataError)
    assert '\n' not in str(raised.value)


def test_json_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / 'file.json'
    path.write_bytes(b'\xef\xbb\xbf' + b'{"a": [1, 2.5, "\\u00e9", null]}')
    assert read_json(path) == {'a': [1, 2.5, 'é', None]}
    path.write_bytes(b'{"a":\n"\xff"}')
    with pytest.raises(DataError, match='line 2 is not UTF-8'):
        read_json(path, error=DataError)
