"""The schema for editors: it takes what the contract's reader takes, and refuses what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from robomamba_ros.cli.main import main
from robomamba_ros.common.resources import share_directory

ARMS = sorted((share_directory() / 'config' / 'arms').glob('*.yaml'))
GUIDE = Path(__file__).parents[2] / 'docs' / 'adding_an_arm.md'
TYPES = {
    'object': dict,
    'array': list,
    'string': str,
    'boolean': bool,
    'integer': int,
    'number': (int, float),
}


def takes(schema: dict, value: object) -> bool:
    """Return whether a value is what the words of JSON Schema that are used here allow."""
    if 'anyOf' in schema:
        return any(takes(each, value) for each in schema['anyOf'])
    if 'enum' in schema:
        return value in schema['enum']
    names = schema.get('type', list(TYPES))
    names = [names] if isinstance(names, str) else names
    if isinstance(value, bool):
        return 'boolean' in names
    if not any(isinstance(value, TYPES[name]) for name in names):
        return False
    if isinstance(value, dict):
        inside = schema.get('properties', {})
        return (
            set(schema.get('required', ())) <= set(value)
            and (schema.get('additionalProperties', True) or set(value) <= set(inside))
            and all(takes(inside.get(key, {}), each) for key, each in value.items())
        )
    if isinstance(value, list):
        least, most = schema.get('minItems', 0), schema.get('maxItems', len(value))
        fits = all(takes(schema.get('items', {}), each) for each in value)
        return fits and least <= len(value) <= most
    if isinstance(value, str):
        return re.search(schema.get('pattern', ''), value) is not None
    if 'exclusiveMinimum' in schema and value <= schema['exclusiveMinimum']:
        return False
    return schema.get('minimum', value) <= value <= schema.get('maximum', value)


@pytest.fixture
def schema(capsys) -> dict:
    assert main(['inspect', '--schema']) == 0
    return json.loads(capsys.readouterr().out)


def guide() -> dict:
    return yaml.safe_load(re.findall(r'```yaml\n(.*?)```', GUIDE.read_text(), re.DOTALL)[0])


def test_contracts_are_taken(schema):
    for path in ARMS:
        assert takes(schema, yaml.safe_load(path.read_text())), path.stem
    assert takes(schema, guide())


@pytest.mark.parametrize(
    ('keys', 'wrong'),
    [
        (('speeds',), 1),
        (('control_rate_hz',), 1e6),
        (('control_rate_hz',), '100'),
        (('joints', 0, 'velocty'), 1.0),
        (('joints', 0, 'velocity'), -1.0),
        (('joints', 0, 'position'), [0.0]),
        (('cameras', 0, 'encoding'), 'rgb9'),
        (('cameras', 0, 'required'), 'yes'),
        (('cameras', 0, 'topic'), 'with a blank'),
        (('inputs', 'joint_states', 'budget_s'), -1.0),
        (('workspace', 'lower'), [0.0, 0.0, 1e9]),
        (('outputs', 0, 'kind'), 'position'),
        (('gripper',), None),
    ],
)
def test_wrong_ones_are_refused(schema, keys, wrong):
    document = guide()
    place = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = wrong
    assert not takes(schema, document)


def test_a_policy_or_the_schema(capsys):
    assert main(['inspect']) != 0
    assert 'either a policy or --schema' in capsys.readouterr().err
