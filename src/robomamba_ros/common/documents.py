"""Reads YAML and JSON from people and programs, in bounded time and memory.

One reader for every configuration file. An invalid file gives one line: file, line, remedy. It
makes mappings, lists, texts, numbers, flags and None, nothing else.

YAML is read as its version 1.2 has it and as it looks: `yes` is a text, `1e-3` a number. What
version 1.1 would turn into another number (0100 into 64, 1:40 into 100) stays a text, which no
number is read from.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from robomamba_ros.common.files import read_bounded
from robomamba_ros.errors import ConfigError, RoboMambaError

MEGABYTES = 1  # of a file of settings, far above any that people write
DEPTH = 32
# What the aliases stand for counts as often as it is named.
VALUES = 200_000
DIGITS = 30

# libyaml is ten times as fast; without it the same text is read by PyYAML's own parser.
_LOADER: type = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(('', '~', 'null', 'Null', 'NULL')),
    **dict.fromkeys(('true', 'True', 'TRUE'), True),
    **dict.fromkeys(('false', 'False', 'FALSE'), False),
}
_WHOLE = re.compile(r'[-+]?(0|[1-9][0-9]*)')
_NUMBER = re.compile(r'[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?')
_INFINITE = re.compile(r'([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)')


class _UnreadableError(Exception):
    """Something that is not read: the line, from 1, and what to do; `read_yaml` adds the file."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f', line {line}: {problem}')


def read_yaml(path: Path, *, megabytes: int = MEGABYTES) -> tuple[Any, list[str]]:
    """Return the document and an error for each key given twice, of which the last counts.

    Raises ConfigError, in one line, where the file is missing, too large, not UTF-8 or not YAML, or
    holds what is not read: tags, merge keys, aliases without end, values deeper than DEPTH or more
    than VALUES, numbers beyond what a number can hold.
    """
    text = read_text(path, megabytes, ConfigError)
    try:
        return _parse(text)
    except _UnreadableError as error:
        raise ConfigError(f'{path}{error}') from None


def parse_yaml(text: str, where: str) -> Any:
    """Return the value of a short text, as of a command line; `where` names it in a ConfigError."""
    try:
        value, errors = _parse(text)
    except _UnreadableError as error:
        raise ConfigError(f'{where}{error}') from None
    if errors:
        raise ConfigError(f'{where}: {errors[0]}')
    return value


def read_json(
    path: Path, *, megabytes: int = MEGABYTES, error: type[RoboMambaError] = ConfigError
) -> Any:
    """Return what a JSON file holds; raises `error` naming file, line and remedy.

    A key given twice, NaN and infinity are errors: they are not JSON.
    """
    return parse_json(read_text(path, megabytes, error), str(path), error=error)


def parse_json(text: str, where: str, *, error: type[RoboMambaError] = ConfigError) -> Any:
    """Return the value of a JSON text; `where` names it in what is raised, an `error`."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_whole,
            parse_float=_number,
        )
        if '\\u' in text:
            # Half a surrogate pair is valid JSON and no text: nothing could print or store it.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as problem:
        raise error(
            f'{where}, line {problem.lineno} is not valid JSON ({problem.msg}); copy or write the '
            'file again'
        ) from None
    except RecursionError:
        raise error(f'{where} is nested too deeply; copy or write the file again') from None
    except ValueError as problem:
        raise error(f'{where}: {problem}; correct the file') from None


def read_text(path: Path, megabytes: int, error: type[RoboMambaError]) -> str:
    """Return the text of a file in UTF-8; raises `error` naming file, line and remedy."""
    try:
        content = read_bounded(path, megabytes)
    except FileNotFoundError:
        raise error(f"there is no file '{path}'") from None
    except OSError as problem:
        raise error(f'{path} cannot be read: {problem.strerror or problem}') from None
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as problem:
        line = content.count(b'\n', 0, problem.start) + 1
        raise error(
            f'{path}, line {line} is not UTF-8 (byte 0x{content[problem.start]:02x}); save the '
            'file as UTF-8, comments too'
        ) from None


@dataclass
class _Open:
    """A mapping or list that has not ended. key: what the next value of a mapping belongs to."""

    value: Any
    line: int
    anchor: str | None
    counted: int
    key: str | None = None
    repeated: set[str] = field(default_factory=set)


def _parse(text: str) -> tuple[Any, list[str]]:
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except yaml.reader.ReaderError as error:
        line = text.count('\n', 0, error.position) + 1
        raise _UnreadableError(line, 'a control character, which YAML has not; remove it') from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ' '.join(str(part) for part in (error.context, error.problem) if part)
        raise _UnreadableError(mark.line + 1 if mark else 1, f'not valid YAML: {problem}') from None
    return reader.document, reader.errors


class _Reader:
    """Makes a value of YAML's events, without recursion."""

    def __init__(self) -> None:
        self.document: Any = None
        self.errors: list[str] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Take up the next event."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _UnreadableError(line, 'a second document (---); keep one in a file')
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor, line)
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            if event.tag is not None and event.tag != '!':
                raise _UnreadableError(line, f'the tag {event.tag}; write the value alone')
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            else:
                self._begin(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()

    def _begin(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if len(self._open) >= DEPTH:
            raise _UnreadableError(line, f'nested deeper than {DEPTH}; write it flat')
        if self._open and self._expects_key:
            raise _UnreadableError(line, 'a mapping or list as a key; a key is a text')
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._add(1, line)
        self._open.append(_Open(value, line, event.anchor, self._count))
        self._anchors.pop(event.anchor, None)

    def _end(self) -> None:
        ended = self._open.pop()
        for key in sorted(ended.repeated):
            self.errors.append(
                f'{key}: found twice in the mapping at line {ended.line}, allowed: once'
            )
        if ended.anchor is not None:
            self._anchors[ended.anchor] = (ended.value, self._count - ended.counted + 1)
        self._put(ended.value)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        self._add(1, line)
        plain = event.implicit[0] and event.tag is None
        if self._open and self._expects_key:
            self._name(event.value, plain, line)
            return
        try:
            value = _resolve(event.value) if plain else event.value
        except ValueError as error:
            raise _UnreadableError(line, str(error)) from None
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._put(value)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self._anchors:
            raise _UnreadableError(line, f'*{anchor} stands for nothing before it, or for itself')
        if self._open and self._expects_key:
            raise _UnreadableError(line, f'*{anchor} as a key; write the key out')
        value, count = self._anchors[anchor]
        self._add(count, line)
        self._put(value)

    def _name(self, key: str, plain: bool, line: int) -> None:
        if plain and key == '<<':
            raise _UnreadableError(line, 'a merge key (<<); write its keys out')
        mapping = self._open[-1]
        if key in mapping.value:
            mapping.repeated.add(key)
        mapping.key = key

    @property
    def _expects_key(self) -> bool:
        return isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _put(self, value: Any) -> None:
        if not self._open:
            self.document = value
        elif isinstance(self._open[-1].value, dict):
            self._open[-1].value[self._open[-1].key] = value
            self._open[-1].key = None
        else:
            self._open[-1].value.append(value)

    def _add(self, count: int, line: int) -> None:
        self._count += count
        if self._count > VALUES:
            raise _UnreadableError(
                line, f'more than {VALUES} values, aliases written out; shorten it'
            )


def _resolve(text: str) -> Any:
    """Return what a plain scalar is; raises ValueError for a number that none can hold."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _WHOLE.fullmatch(text):
        return _whole(text)
    if _NUMBER.fullmatch(text):
        return _number(text)
    infinite = _INFINITE.fullmatch(text)
    if infinite:
        return math.nan if infinite[3] else math.copysign(math.inf, -1 if infinite[1] == '-' else 1)
    return text


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f'a number of {len(text)} digits; write one of at most {DIGITS}')
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f'{text[:DIGITS]} is more than a number can hold; write a smaller one')
    return number


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f'{text} is not a number')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key '{name[:80]}' is given twice")
        found[name] = value
    return found
