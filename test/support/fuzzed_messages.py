"""ROS messages of any content that their types allow: wrong, extreme and almost right."""

from __future__ import annotations

import math
import random
from typing import Any

NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-300)
INTEGERS = (0, 1, 2, 3, 16, 48, 255, 127, 4_000_000)
TEXTS = (
    *('', 'base', 'odom', 'made', 'joint1', 'joint2', 'finger', 'gripper', 'ee_delta', 'ee_pose'),
    *('joint_position', 'joint_delta', 'rgb8', 'bgr8', 'mono8', '16UC1', 'jpeg', 'png'),
    *('\x00', 'ü' * 50, ' ', '<robot/>', '<robot><link name="base"/></robot>', '/' * 20),
)
# Of an unbounded sequence; longer ones are only slower.
LONGEST = 6


def fuzzed(kind: Any, draw: random.Random) -> Any:
    """Return a message of a type with every field drawn."""
    message = kind()
    for name, type_name in kind.get_fields_and_field_types().items():
        setattr(message, name, _value(getattr(message, name), type_name, draw))
    return message


def _value(default: Any, type_name: str, draw: random.Random) -> Any:
    if type_name.startswith('sequence<'):
        inner = type_name.removeprefix('sequence<').rstrip('>').split(',')[0]
        count = draw.choice((0, 1, 1, 2, draw.randint(0, LONGEST)))
        if inner in ('uint8', 'byte', 'octet'):
            return bytes(draw.getrandbits(8) for _ in range(draw.choice((0, 1, 48, 768))))
        return [_value(None, inner, draw) for _ in range(count)]
    if '[' in type_name:
        inner = type_name.partition('[')[0]
        return [_value(None, inner, draw) for _ in range(len(default))]
    if type_name in ('double', 'float'):
        number = draw.choice(NUMBERS + (draw.gauss(0.0, 1.0),) * 8)
        return number if type_name == 'double' or abs(number) < 1e30 else 0.0
    if type_name == 'boolean':
        return draw.random() < 0.5
    if type_name.startswith(('uint', 'int', 'octet', 'byte', 'char')):
        return draw.choice(INTEGERS) % _largest(type_name)
    if type_name.startswith(('string', 'wstring')):
        return draw.choice(TEXTS)
    return fuzzed(_message_type(type_name), draw)


def _largest(type_name: str) -> int:
    bits = int(''.join(filter(str.isdigit, type_name)) or 8)
    # Whole seconds fit an int32, and signed types have a bit less.
    return int(2 ** (bits - 1))


def _message_type(type_name: str) -> Any:
    package, _, name = type_name.partition('/')
    module = __import__(f'{package}.msg', fromlist=[name])
    return getattr(module, name)
