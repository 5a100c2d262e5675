"""A JSON Schema of the arm contract for editors, made from what its reader asks for.

The shipped contracts are read by sections that note each question, so that nothing is described
twice. A key that none of them gives is known by its name alone. Lists with ends at infinity have
no bounds here, and what keys must be together only the reader checks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

from robomamba_ros.common.config_file import Range, Section
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.common.resources import share_directory
from robomamba_ros.robots.arm import read_arm

Schema = dict[str, Any]


def contract_schema() -> Schema:
    """Return the JSON Schema (draft 7) of what the reader asks the shipped contracts for."""
    schemas = []
    for path in sorted((share_directory() / 'config' / 'arms').glob('*.yaml')):
        roots: list[_Noting] = []

        class Root(_Noting):
            """The section that is begun first is the whole document."""

            noted_in = roots

        document, errors = read_yaml(path)
        read_arm(document, path.parent, errors, Root)
        schemas.append(roots[0].schema())
    return {'$schema': 'http://json-schema.org/draft-07/schema#', **_either(schemas)}


class _Noting(Section):
    """A section that notes what it is asked for, and itself in `noted_in`."""

    noted_in: list[_Noting]

    def __init__(
        self,
        value: object,
        key: str,
        errors: list[str],
        required: Sequence[str],
        optional: Sequence[str] = (),
    ) -> None:
        super().__init__(value, key, errors, required, optional)
        self._required, self._allowed = list(required), (*required, *optional)
        self._notes: dict[str, list[Schema]] = defaultdict(list)
        self._inside: dict[str, Section] = {}
        self._lists: dict[str, list[Section]] = {}
        self.noted_in.append(self)

    def schema(self) -> Schema:
        """Return what this section may be."""
        for key, section in self._inside.items():
            self._notes[key].append(_schemas([section])[0])
        for key, sections in self._lists.items():
            items = _either(_schemas(sections))
            self._notes[key].append({'type': 'array', 'minItems': 1, 'items': items})
        return {
            'type': 'object',
            'properties': {key: _either(self._notes.get(key, [])) for key in self._allowed},
            'required': self._required,
            'additionalProperties': False,
        }

    def section(self, key: str, required: Sequence[str], optional: Sequence[str] = ()) -> Section:
        """Note a section."""
        self._inside[key] = super().section(key, required, optional)
        return self._inside[key]

    def sections(
        self,
        key: str,
        required: Sequence[str],
        optional: Sequence[str] = (),
        *,
        empty: bool = False,
    ) -> list[Section]:
        """Note a list of sections."""
        self._lists[key] = super().sections(key, required, optional, empty=empty)
        return self._lists[key]

    def integer(self, key: str, least: int, unit: str = '', *, most: int | None = None) -> int:
        """Note a whole number."""
        bounds: Schema = {'minimum': least} | ({} if most is None else {'maximum': most})
        words = {'description': f'[{unit}]'} if unit else {}
        self._notes[key].append({'type': 'integer', **bounds, **words})
        return super().integer(key, least, unit, most=most)

    def number(self, key: str) -> float:
        """Note a number."""
        self._notes[key].append({'type': 'number'})
        return super().number(key)

    def positive(self, key: str, unit: str) -> float:
        """Note a number above 0."""
        above = {'type': 'number', 'exclusiveMinimum': 0, 'description': f'above 0 [{unit}]'}
        self._notes[key].append(above)
        return super().positive(key, unit)

    def within(self, key: str, allowed: Range) -> float:
        """Note a number of a range."""
        self._notes[key].append({**_bounds(allowed), 'description': allowed.bounds})
        return super().within(key, allowed)

    def numbers(
        self, key: str, length: int, *, infinite: bool = False, within: Range | None = None
    ) -> list[float]:
        """Note a list of numbers."""
        number = {'type': 'number'} if infinite or within is None else _bounds(within)
        words = {} if within is None else {'description': within.bounds}
        fixed = {'type': 'array', 'items': number, 'minItems': length, 'maxItems': length}
        self._notes[key].append({**fixed, **words})
        return super().numbers(key, length, infinite=infinite, within=within)

    def flag(self, key: str) -> bool:
        """Note true or false."""
        self._notes[key].append({'type': 'boolean'})
        return super().flag(key)

    def text(self, key: str, allowed: str, pattern: str = r'.+') -> str:
        """Note a text."""
        # The whole text has to match. JavaScript knows no (?a), and means it.
        whole = f'^(?:{pattern.removeprefix("(?a)")})$'
        self._notes[key].append({'type': 'string', 'pattern': whole, 'description': allowed})
        return super().text(key, allowed, pattern)

    def scalars(self, key: str) -> tuple[bool | int | float | str, ...]:
        """Note a list of values."""
        scalar = {'type': ['boolean', 'number', 'string']}
        self._notes[key].append({'type': 'array', 'items': scalar, 'minItems': 1})
        return super().scalars(key)

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Note a choice."""
        self._notes[key].append({'enum': list(choices)})
        return super().choice(key, choices)


def _bounds(allowed: Range) -> Schema:
    return {'type': 'number', 'minimum': allowed.lower, 'maximum': allowed.upper}


def _schemas(sections: Iterable[Section]) -> list[Schema]:
    return [section.schema() for section in sections if isinstance(section, _Noting)]


def _either(schemas: Sequence[Schema]) -> Schema:
    """Return the schema of what one of `schemas` allows; of nothing noted, anything."""
    return reduce(_joined, schemas) if schemas else {}


def _joined(one: Schema, other: Schema) -> Schema:
    if one == other or not other:
        return one
    if not one:
        return other
    if 'anyOf' in one:
        return one if other in one['anyOf'] else {'anyOf': [*one['anyOf'], other]}
    if 'enum' in one and 'enum' in other:
        return {'enum': list(dict.fromkeys([*one['enum'], *other['enum']]))}
    if 'properties' in one and one.get('required') == other.get('required'):
        both = {
            key: _joined(one['properties'].get(key, {}), other['properties'].get(key, {}))
            for key in {**one['properties'], **other['properties']}
        }
        return {**one, 'properties': both}
    if one.get('type') == other.get('type') == 'array' and one['items'] != other['items']:
        return {**one, 'items': _joined(one['items'], other['items'])}
    return {'anyOf': [one, other]}
