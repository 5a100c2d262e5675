"""Reads a document section by section and collects every error instead of stopping at the first."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from robomamba_ros.errors import ConfigError

_Value = TypeVar('_Value')
_NOTHING = object()
# Of what is shown: an error that nobody can read to its end says nothing.
_SHOWN, _ERRORS, _HINTS = 100, 50, 10
# Entries of a list, and letters of a text: no robot has more joints, no name is longer.
_ENTRIES, _LETTERS = 200, 4096
# What YAML 1.1 takes for numbers, and for others than they look: 0100, 1:40, 1_000.
_ALMOST = re.compile(r'[-+]?[0-9][0-9:_.]*').fullmatch


@dataclass(frozen=True)
class Range:
    """What a number may be: lower..upper in `unit`, and `why` not beyond, for who wrote it so."""

    lower: float
    upper: float
    unit: str
    why: str

    @property
    def bounds(self) -> str:
        """The ends and the reason in words."""
        return f'from {self.lower:g} to {self.upper:g} [{self.unit}]: {self.why}'

    def holds(self, number: float) -> bool:
        """Return whether a number lies in the range."""
        return self.lower <= number <= self.upper


def refuse(what: str, errors: Sequence[str]) -> None:
    """Raise ConfigError with every error of `what` at once, if there are any."""
    if errors:
        lines = '\n'.join(f'  - {error}' for error in errors[:_ERRORS])
        more = f'\n  - and {len(errors) - _ERRORS} more' if len(errors) > _ERRORS else ''
        raise ConfigError(f'{what} has {len(errors)} error(s):\n{lines}{more}')


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
        unknown = [str(name) for name in value if name not in allowed]
        for name in unknown[:_HINTS]:
            self.error(_cut(name), 'an unknown key', _listed(allowed, name))
        if len(unknown) > _HINTS:
            self.problem('', f'{len(unknown) - _HINTS} more unknown keys')

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

    def is_list(self, key: str) -> bool:
        """Return whether a list stands under `key`, where one mapping would do too."""
        return isinstance(self._values.get(key), list)

    def section(self, key: str, required: Sequence[str], optional: Sequence[str] = ()) -> Section:
        """Return the mapping under `key`."""
        value = self._values.get(key, _NOTHING)
        # Of the same class, so that one that notes what is asked sees all of it.
        return type(self)(value, self._path(key), self._errors, required, optional)

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
        if len(entries) > _ENTRIES:
            self.error(key, f'{len(entries)} entries', f'at most {_ENTRIES}')
            return []
        return [
            type(self)(entry, f'{self._path(key)}[{index}]', self._errors, required, optional)
            for index, entry in enumerate(entries)
        ]

    def integer(self, key: str, least: int, unit: str = '', *, most: int | None = None) -> int:
        """Return a whole number that is at least `least`, at most `most`, in `unit`."""

        def convert(value: object) -> int | None:
            # A bool is an int in Python.
            if not isinstance(value, int) or isinstance(value, bool):
                return None
            return value if least <= value and (most is None or value <= most) else None

        allowed = f'a whole number from {least}' + ('' if most is None else f' to {most}')
        allowed += f' [{unit}]' if unit else ''
        return self._read(key, allowed, convert, max(least, 1))

    def number(self, key: str) -> float:
        """Return a finite number."""
        return self._read(key, 'a finite number', _as_number, 0.0)

    def positive(self, key: str, unit: str) -> float:
        """Return a finite number above 0, in `unit`."""
        return self._read(key, f'a number above 0 [{unit}]', _as_positive, 1.0)

    def within(self, key: str, allowed: Range) -> float:
        """Return a number of a range."""

        def convert(value: object) -> float | None:
            number = _as_number(value)
            return number if number is not None and allowed.holds(number) else None

        stand_in = max(allowed.lower, min(1.0, allowed.upper))
        return self._read(key, f'a number {allowed.bounds}', convert, stand_in)

    def within_each(self, key: str, allowed: Range) -> dict[str, float]:
        """Return the numbers of a range under `key`, by their names."""
        value = self._values.get(key)
        names = tuple(map(str, value)) if isinstance(value, Mapping) else ()
        if isinstance(value, Mapping) and len(names) > _ENTRIES:
            self.error(key, f'{len(names)} entries', f'at most {_ENTRIES}')
            return {}
        section = self.section(key, (), names)
        self.clean &= section.clean
        return {name: section.within(name, allowed) for name in names}

    def numbers(
        self, key: str, length: int, *, infinite: bool = False, within: Range | None = None
    ) -> list[float]:
        """Return a list of `length` numbers of a range; -.inf or .inf too where `infinite`."""
        ends = (math.inf, -math.inf) if infinite else ()

        def number(entry: object) -> float | None:
            if isinstance(entry, float) and entry in ends:
                return entry
            found = _as_number(entry)
            return None if found is None or not (within is None or within.holds(found)) else found

        def convert(value: object) -> list[float] | None:
            entries = _as_list(value) or []
            if len(entries) != length:
                return None
            numbers = [number(entry) for entry in entries]
            return None if None in numbers else [each for each in numbers if each is not None]

        kind = 'numbers, -.inf or .inf' if infinite else 'finite numbers'
        bounds = f' {within.bounds}' if within is not None else ''
        return self._read(key, f'a list of {length} {kind}{bounds}', convert, [0.0] * length)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return self._read(
            key, 'true or false', lambda value: value if isinstance(value, bool) else None, False
        )

    def text(self, key: str, allowed: str, pattern: str = r'.+') -> str:
        """Return a text that matches `pattern`, which `allowed` says in words."""

        def convert(value: object) -> str | None:
            if not isinstance(value, str) or len(value) > _LETTERS:
                return None
            return value if re.fullmatch(pattern, value) else None

        return self._read(key, allowed, convert, '')

    def texts(self, key: str, allowed: str, pattern: str = r'.+') -> tuple[str, ...]:
        """Return a list of texts, each given once, that match `pattern`, `allowed` in words."""

        def convert(value: object) -> tuple[str, ...] | None:
            entries = value if isinstance(value, list) else [None]
            texts = [x for x in entries if isinstance(x, str) and re.fullmatch(pattern, x)]
            return tuple(texts) if len(texts) == len(entries) == len(set(texts)) else None

        return self._read(key, f'a list of {allowed}, each once', convert, ())

    def scalars(self, key: str) -> tuple[bool | int | float | str, ...]:
        """Return a list of values that a field of a message may have."""

        def convert(value: object) -> tuple[bool | int | float | str, ...] | None:
            entries = _as_list(value) or []
            scalars = [x for x in entries if isinstance(x, (bool, int, float, str))]
            return tuple(scalars) if entries and len(scalars) == len(entries) else None

        return self._read(key, 'a list of true, false, numbers or texts', convert, ())

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
    close = difflib.get_close_matches(_cut(str(found)), choices, n=1)
    return ', '.join(choices) + (f"; did you mean '{close[0]}'?" if close else '')


def _show(value: object) -> str:
    if value is _NOTHING or value is None:
        return 'nothing'
    if isinstance(value, str):
        hint = ' (a text: a number has no 0 before it, no : and no _)' if _ALMOST(value) else ''
        return repr(_cut(value)) + hint
    # Of values inside values too, which aliases can make a long text of.
    short = reprlib.Repr()
    short.maxlist = short.maxdict = 8
    short.maxstring = short.maxother = short.maxlong = 40
    return _cut(short.repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]} .. ({len(text)} letters)'


def _as_list(value: object) -> list[object] | None:
    return value if isinstance(value, list) and value else None


def _as_number(value: object) -> float | None:
    # A bool is an int in Python.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _as_positive(value: object) -> float | None:
    number = _as_number(value)
    return number if number is not None and number > 0 else None
