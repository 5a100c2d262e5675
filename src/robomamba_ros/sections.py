"""Reads a YAML file section by section and collects every error instead of stopping at the first.

Knows nothing about what the sections mean.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

from robomamba_ros.errors import ConfigError

_Value = TypeVar('_Value')
_NOTHING = object()


def read_yaml(path: Path) -> tuple[object, list[str]]:
    """Return the document and an error for each key given twice, of which PyYAML keeps the last.

    Raises ConfigError where the file is not YAML at all.
    """
    text = path.read_text(encoding='utf-8')
    try:
        return yaml.safe_load(text), list(_repeated_keys(yaml.compose(text)))
    except yaml.YAMLError as error:
        raise ConfigError(f'{path} is not valid YAML: {error}') from error


def _repeated_keys(node: yaml.Node | None) -> Iterator[str]:
    children = [] if node is None or isinstance(node, yaml.ScalarNode) else node.value
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in children]
        for key in sorted({str(key) for key in keys if keys.count(key) > 1}):
            line = node.start_mark.line + 1
            yield f'{key}: found twice in the mapping at line {line}, allowed: once'
        children = [value for _, value in children]
    for child in children:
        yield from _repeated_keys(child)


def refuse(what: str, errors: Sequence[str]) -> None:
    """Raise ConfigError with every error of `what` at once, if there are any."""
    if errors:
        lines = '\n'.join(f'  - {error}' for error in errors)
        raise ConfigError(f'{what} has {len(errors)} error(s):\n{lines}')


class Section:
    """One mapping of the file. A read returns the value, or a stand-in after noting the error.

    key: where the section stands in the file; errors: collects 'key: found .., allowed: ..'.
    required, optional: the keys it may have. `clean` tells whether all reads so far were right.
    """

    def __init__(
        self,
        value: object,
        key: str,
        errors: list[str],
        required: Sequence[str],
        optional: Sequence[str] = (),
    ) -> None:
        self._key = key
        self._errors = errors
        self._values: Mapping[str, object] = {}
        self.clean = True
        allowed = (*required, *optional)
        if not isinstance(value, Mapping):
            self.error('', _show(value), f'a mapping with the keys {", ".join(allowed)}')
            # Reads of a section that is not there would only repeat this error.
            self._errors = []
            return
        self._values = value
        for unknown in (str(name) for name in value if name not in allowed):
            self.error(unknown, 'an unknown key', _listed(allowed, unknown))

    def error(self, key: str, found: str, allowed: str) -> None:
        """Note one error: where, what was found, what is allowed."""
        self.problem(key, f'found {found}, allowed: {allowed}')

    def problem(self, key: str, text: str) -> None:
        """Note one error in words of its own."""
        self.clean = False
        self._errors.append(f'{self._path(key)}: {text}')

    def has(self, key: str) -> bool:
        """Return whether an optional key is given."""
        return key in self._values

    def section(self, key: str, required: Sequence[str], optional: Sequence[str] = ()) -> Section:
        """Return the mapping under `key`."""
        value = self._values.get(key, _NOTHING)
        return Section(value, self._path(key), self._errors, required, optional)

    def sections(
        self,
        key: str,
        required: Sequence[str],
        optional: Sequence[str] = (),
        *,
        empty: bool = False,
    ) -> list[Section]:
        """Return the mappings of the list under `key`; at least one, unless it may be `empty`."""
        stand_in: list[object] = []
        if empty and self._values.get(key) == []:
            return []
        entries = self._read(key, 'a list with at least one entry', _as_list, stand_in)
        return [
            Section(entry, f'{self._path(key)}[{index}]', self._errors, required, optional)
            for index, entry in enumerate(entries)
        ]

    def integer(self, key: str, least: int, unit: str = '') -> int:
        """Return a whole number that is at least `least`, in `unit`."""

        def convert(value: object) -> int | None:
            # A bool is an int in Python.
            whole = value if isinstance(value, int) and not isinstance(value, bool) else None
            return whole if whole is not None and whole >= least else None

        allowed = f'a whole number from {least}' + (f' [{unit}]' if unit else '')
        return self._read(key, allowed, convert, max(least, 1))

    def number(self, key: str) -> float:
        """Return a finite number."""
        return self._read(key, 'a finite number', _as_number, 0.0)

    def positive(self, key: str, unit: str) -> float:
        """Return a finite number above 0, in `unit`."""
        return self._read(key, f'a number above 0 [{unit}]', _as_positive, 1.0)

    def numbers(self, key: str, length: int, *, infinite: bool = False) -> list[float]:
        """Return a list of `length` numbers, which may be -.inf or .inf where `infinite`."""

        def convert(value: object) -> list[float] | None:
            numbers = [
                entry if infinite and entry in (math.inf, -math.inf) else _as_number(entry)
                for entry in _as_list(value) or []
            ]
            known = [float(number) for number in numbers if number is not None]
            return known if len(known) == len(numbers) == length else None

        kind = 'numbers, -.inf or .inf' if infinite else 'finite numbers'
        return self._read(key, f'a list of {length} {kind}', convert, [0.0] * length)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return self._read(
            key, 'true or false', lambda value: value if isinstance(value, bool) else None, False
        )

    def text(self, key: str, allowed: str, pattern: str = r'.+') -> str:
        """Return a text that matches `pattern`, which `allowed` says in words."""

        def convert(value: object) -> str | None:
            return value if isinstance(value, str) and re.fullmatch(pattern, value) else None

        return self._read(key, allowed, convert, '')

    def texts(self, key: str, allowed: str, pattern: str = r'.+') -> tuple[str, ...]:
        """Return a list of texts, each given once, that match `pattern`, `allowed` in words."""

        def convert(value: object) -> tuple[str, ...] | None:
            entries = value if isinstance(value, list) else [None]
            texts = [x for x in entries if isinstance(x, str) and re.fullmatch(pattern, x)]
            return tuple(texts) if len(texts) == len(entries) == len(set(texts)) else None

        return self._read(key, f'a list of {allowed}, each once', convert, ())

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Return one of `choices`."""
        allowed = _listed(choices, self._values.get(key))
        return self._read(key, allowed, lambda value: str(value) if value in choices else None, '')

    def _read(
        self,
        key: str,
        allowed: str,
        convert: Callable[[object], _Value | None],
        stand_in: _Value,
    ) -> _Value:
        found = self._values.get(key, _NOTHING)
        value = convert(found)
        if value is None:
            self.error(key, _show(found), allowed)
            return stand_in
        return value

    def _path(self, key: str) -> str:
        return '.'.join(part for part in (self._key, key) if part) or 'the file'


def _listed(choices: Sequence[str], found: object) -> str:
    """Return the choices in words, with the one that `found` may have been meant to be."""
    close = difflib.get_close_matches(str(found), choices, n=1)
    return ', '.join(choices) + (f"; did you mean '{close[0]}'?" if close else '')


def _show(value: object) -> str:
    return 'nothing' if value is _NOTHING or value is None else repr(value)


def _as_list(value: object) -> list[object] | None:
    return value if isinstance(value, list) and value else None


def _as_number(value: object) -> float | None:
    # A bool is an int in Python, and YAML reads `yes` as one.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _as_positive(value: object) -> float | None:
    number = _as_number(value)
    return number if number is not None and number > 0 else None
