"""Definitions of message types: read, and found among the packages that are installed.

Needs no ROS, only the files that every message package installs. Source: rosbag2_cpp's
local_message_definition_source, whose layout of definitions readers know.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from robomamba_ros.errors import DataError

RULE = '=' * 80 + '\n'
# Package, kind and name; the parts of a path among those of packages.
TYPE = re.compile(r'\w{1,80}(/\w{1,80}){1,3}', re.ASCII)
PREPROCESSOR = re.compile(r'^[ \t]*#.*$', re.MULTILINE)


class Definition(NamedTuple):
    """A type with all that it is made of, in .msg or .idl syntax, and its hash (REP 2011)."""

    text: str
    hash: str

    @property
    def idl(self) -> bool:
        """Whether the text is in .idl syntax."""
        return self.text.startswith(RULE)


def parse_definition(type_: str, text: str, idl: bool) -> dict[str, Any]:
    """Return the types of a definition, of several files or of one, for a store of types.

    Raises errors of many kinds, as the grammars do.
    """
    if not idl:
        return dict(get_types_from_msg(text, type_))
    # The grammar of rosbags has no preprocessor.
    text = PREPROCESSOR.sub('', text)
    types: dict[str, Any] = {}
    for part in text.split(RULE)[1:]:
        types.update(get_types_from_idl(part.split('\n', 1)[1]))
    return types or dict(get_types_from_idl(text))


def prefixes() -> list[Path]:
    """Return the folders that ROS packages are installed in; wheels are in the interpreter's."""
    listed = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return [*(Path(each) for each in listed if each), Path(sys.prefix)]


def find_definition(type_: str, folders: Iterable[Path] | None = None) -> Definition:
    """Return the definition of a type such as `std_msgs/msg/String`.

    folders: where packages are installed. Raises DataError where a file is missing or odd.
    """
    places = list(prefixes() if folders is None else folders)
    files: dict[str, Path] = {}
    types: dict[str, Any] = {}
    waiting = [type_]
    while waiting:
        name = waiting.pop(0)
        if name in files:
            continue
        files[name] = _file(name, places)
        parsed = _parse(name, files[name])
        types.update(parsed)
        waiting += _names(field for _, fields in parsed.values() for _, field in fields)
    store = get_typestore(Stores.EMPTY)
    try:
        store.register(types)
        digest = store.hash_rihs01(type_)
    except Exception as error:  # grammar and code generation raise errors of many kinds
        raise DataError(f"the definition of '{type_}' cannot be used: {error}") from error
    return Definition(_join(files), _installed_hash(files[type_], type_) or digest)


def _installed_hash(definition: Path, type_: str) -> str:
    """Return the hash beside a definition, '' before Iron: that of `char` cannot be computed."""
    try:
        document = json.loads(definition.with_suffix('.json').read_text(encoding='utf-8'))
        hashes = {each['type_name']: each['hash_string'] for each in document['type_hashes']}
        return str(hashes[type_])
    except (OSError, ValueError, KeyError, TypeError):
        return ''


def is_installed(type_: str) -> bool:
    """Return whether a package is installed that defines a type."""
    return _find(type_, prefixes()) is not None


def _file(type_: str, places: Iterable[Path]) -> Path:
    found = _find(type_, places)
    if found is None:
        shown, package = f'{type_:.80}', type_.partition('/')[0]
        raise DataError(
            f"there is no definition of '{shown}': install the package '{package:.80}', or source "
            'the workspace that has it'
        )
    return found


def _find(type_: str, places: Iterable[Path]) -> Path | None:
    """Return where a type is defined; a recording may hold any text for its name."""
    if not TYPE.fullmatch(type_):
        return None
    package, _, name = type_.partition('/')
    for suffix in ('.msg', '.idl'):
        for place in places:
            path = place / 'share' / package / f'{name}{suffix}'
            if path.is_file():
                return path
    return None


def _parse(type_: str, path: Path) -> dict[str, Any]:
    text = path.read_text(encoding='utf-8')
    try:
        return parse_definition(type_, text, path.suffix == '.idl')
    except Exception as error:  # the grammars raise errors of many kinds
        raise DataError(f'{path} cannot be read: {error}') from error


def _names(fields: Iterable[Any]) -> Iterator[str]:
    """Yield the types that fields are made of."""
    for kind, content in fields:
        if kind == Nodetype.NAME:
            yield content
        elif kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            yield from _names([content[0]])


def _join(files: dict[str, Path]) -> str:
    """Return the texts of several files as one, the type itself first."""
    texts = {name: path.read_text(encoding='utf-8') for name, path in files.items()}
    if any(path.suffix == '.idl' for path in files.values()):
        return ''.join(f'{RULE}IDL: {name}\n{text}\n' for name, text in texts.items())
    first, *others = texts.items()
    return first[1] + ''.join(
        f'\n{RULE}MSG: {name.replace("/msg/", "/")}\n{text}' for name, text in others
    )
