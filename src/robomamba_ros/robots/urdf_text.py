"""Reads a URDF as text and as XML, in bounded time and memory, and the numbers in it.

Text comes from files in any encoding and from topics that anybody may publish.
"""

from __future__ import annotations

import codecs
import importlib
import math
import re
from pathlib import Path
from xml.etree import ElementTree

from robomamba_ros.common.files import read_bounded
from robomamba_ros.errors import ConfigError

Element = ElementTree.Element

# The largest URDF of a maker that we know has 0.5 MB; meshes are files of their own.
MEGABYTES = 32
# Links and joints, of which no robot has a tenth, and how deep a part of one is. Pinocchio goes
# through a tree by recursion, and dies on a chain of ten thousand.
PARTS, DEPTH = 2000, 32
# A joint further from the one before is written in other units [m].
MAX_DISTANCE = 100.0

_DECLARATION = re.compile(r'\A\ufeff?\s*<\?xml[^>]*\?>')
_DECLARED = re.compile(rb'\A\s*<\?xml[^>]*?encoding\s*=\s*["\']([A-Za-z0-9._-]+)["\']')
_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)', re.IGNORECASE)


def read_text(path: Path) -> str:
    """Return the text of a URDF file, of a .xacro expanded where the package xacro is installed.

    Raises ConfigError, with the remedy, and OSError where the file cannot be read.
    """
    if path.suffix == '.xacro':
        return _expanded(path)
    data = read_bounded(path, MEGABYTES)
    found = _DECLARED.match(data)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = 'utf-16'
    elif data.startswith(codecs.BOM_UTF8) or found is None:
        encoding = 'utf-8-sig'
    else:
        encoding = found[1].decode('ascii')
    try:
        return data.decode(encoding)
    except (LookupError, UnicodeError, ValueError) as error:
        where = f' (byte {error.start})' if isinstance(error, UnicodeDecodeError) else ''
        name = 'UTF-8' if encoding == 'utf-8-sig' else f"'{encoding}', which it declares"
        raise ConfigError(
            f'{path} is not in {name}{where}; save it as UTF-8, or declare its encoding in its '
            'first line, as in <?xml version="1.0" encoding="GBK"?>'
        ) from error


def _expanded(path: Path) -> str:
    by_hand = (
        f'expand it with `xacro {path.name} > {path.stem}` and name that file, or take the URDF '
        'from the robot_description topic'
    )
    if not path.is_file():
        raise ConfigError(f'the URDF {path} cannot be read: there is no such file')
    try:
        xacro = importlib.import_module('xacro')
    except ImportError as error:
        raise ConfigError(
            f'{path} is a xacro file; `pip install xacro` has it expanded here. Or {by_hand}'
        ) from error
    try:
        return str(xacro.process_file(str(path)).toxml())
    except Exception as error:  # the expressions of the file raise errors of any kind
        reason = ' '.join(str(error).split())[:200]
        raise ConfigError(f'{path} cannot be expanded: {reason}; {by_hand}') from error


def parse(text: str, arm: str) -> Element:
    """Return the root of a URDF; raises ConfigError naming `arm` where the text is none."""
    what = f"the URDF of arm '{arm}'"
    if len(text) > MEGABYTES << 20:
        raise ConfigError(f'{what} has {len(text)} characters; is it a URDF?')
    # What it declares has been heeded: this is text.
    text = _DECLARATION.sub('', text, count=1)
    if '<!ENTITY' in text:
        raise ConfigError(f'{what} declares XML entities, which no URDF needs; write them out')
    try:
        root = ElementTree.fromstring(text.encode('utf-8', 'surrogatepass'))
    except (ElementTree.ParseError, ValueError) as error:
        raise ConfigError(f'{what} is not XML: {error}') from error
    _check_size(root, what)
    if any('/xacro}' in each.tag for each in root.iter() if isinstance(each.tag, str)):
        raise ConfigError(
            f'{what} is xacro that was not expanded; expand it with `xacro FILE > robot.urdf`, '
            'and name or publish what comes out'
        )
    return root


def _check_size(root: Element, what: str) -> None:
    parts = sum(each.tag in ('link', 'joint') for each in root)
    if parts > PARTS:
        raise ConfigError(f'{what} has {parts} links and joints, more than {PARTS}; shorten it')
    level, depth = list(root), 0
    while level:
        level = [child for each in level for child in each]
        depth += 1
        if depth > DEPTH:
            raise ConfigError(f'{what} is nested deeper than {DEPTH}; is it a URDF?')


def numbers(joint: Element, tag: str, key: str, default: str, count: int = 3) -> list[float]:
    """Return the numbers of an attribute of a part of a joint, such as the xyz of its origin.

    Raises ConfigError naming the joint where they are not so many or not finite.
    """
    part = joint.find(tag)
    text = default if part is None else str(part.get(key, default))
    values = [number(each) for each in text.split()]
    if len(values) != count or not all(map(math.isfinite, values)):
        wanted = '1 finite number' if count == 1 else f'{count} finite numbers'
        raise ConfigError(
            f"the joint '{joint.get('name')}' of the URDF has the {tag} {key} '{text[:60]}', "
            f'which is not {wanted}; correct the URDF'
        )
    return values


def number(text: str) -> float:
    """Return a number as XML writes it, NaN where the text is none."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
