"""Definitions of message types, from the files of installed packages."""

from __future__ import annotations

from pathlib import Path

import pytest
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo

from robomamba_ros.bags.definitions import find_definition
from robomamba_ros.bags.reader import Bag
from robomamba_ros.errors import DataError

# Importing the types of rclpy imports a module of the standard library that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

RULE = '=' * 80


def install(place: Path, name: str, text: str) -> None:
    path = place / 'share' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write(folder: Path, type_: str, data: bytes, places: list[Path] | None = None) -> Bag:
    definition = find_definition(type_, places)
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection('/x', type_, msgdef=definition.text, rihs01=definition.hash)
        writer.write(topic, 1, data)
    return Bag(folder)


def test_a_message_of_an_installed_package_is_read_by_what_is_stored(tmp_path: Path) -> None:
    sent = CameraInfo(width=7, d=[0.5, 0.25], distortion_model='plumb_bob')
    with write(tmp_path / 'bag', 'sensor_msgs/msg/CameraInfo', serialize_message(sent)) as bag:
        (found,) = bag.messages(['/x'])
        (record,) = bag.records(['/x'])
    assert (found.content.width, found.content.d.tolist()) == (7, [0.5, 0.25])
    assert deserialize_message(record.data, CameraInfo) == sent


@pytest.mark.parametrize(
    ('type_', 'hash_'),
    [
        # As `ros2 topic info --verbose` prints them; that of char cannot be computed from its text.
        ('std_msgs/msg/String', 'df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18'),
        ('std_msgs/msg/Char', '3ad2d04dd29ba19d04b16659afa3ccaedd691914b02a64e82e252f2fa6a586a9'),
    ],
)
def test_the_hash_is_that_of_the_installed_type(type_: str, hash_: str) -> None:
    assert find_definition(type_).hash == f'RIHS01_{hash_}'


def test_the_types_within_a_type_follow_it_once_each(tmp_path: Path) -> None:
    install(tmp_path, 'lab_msgs/msg/Grip.msg', 'uint8 OPEN=1\nTool[] tools\nother_msgs/A[2] a\n')
    install(tmp_path, 'lab_msgs/msg/Tool.msg', 'string name\nother_msgs/A a # which\n')
    install(tmp_path, 'other_msgs/msg/A.msg', 'float64 x\n')
    definition = find_definition('lab_msgs/msg/Grip', [tmp_path])
    assert definition.text == (
        'uint8 OPEN=1\nTool[] tools\nother_msgs/A[2] a\n'
        f'\n{RULE}\nMSG: lab_msgs/Tool\nstring name\nother_msgs/A a # which\n'
        f'\n{RULE}\nMSG: other_msgs/A\nfloat64 x\n'
    )
    data = b'\0\1\0\0' + bytes(4) + bytes(4) + bytes(16)
    with write(tmp_path / 'bag', 'lab_msgs/msg/Grip', data, [tmp_path]) as bag:
        (found,) = bag.messages(['/x'])
    assert (found.content.OPEN, len(found.content.tools), found.content.a[1].x) == (1, 0, 0.0)


def test_a_package_with_idl_only(tmp_path: Path) -> None:
    install(
        tmp_path,
        'lab_msgs/msg/Grip.idl',
        '#include "lab_msgs/msg/Tool.idl"\nmodule lab_msgs { module msg {\n'
        'struct Grip { double force; lab_msgs::msg::Tool tool; }; }; };\n',
    )
    install(
        tmp_path,
        'lab_msgs/msg/Tool.idl',
        'module lab_msgs { module msg { struct Tool { long number; }; }; };\n',
    )
    data = b'\0\1\0\0' + b'\0\0\0\0\0\0\x04\x40' + b'\7\0\0\0'
    with write(tmp_path / 'bag', 'lab_msgs/msg/Grip', data, [tmp_path]) as bag:
        (found,) = bag.messages(['/x'])
    assert (found.content.force, found.content.tool.number) == (2.5, 7)


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'lab_msgs/msg/Grip': install the package 'lab_msgs'"):
        find_definition('lab_msgs/msg/Grip', [tmp_path])
    install(tmp_path, 'lab_msgs/msg/Grip.msg', 'float64 = ( definition')
    with pytest.raises(DataError, match=r'Grip\.msg cannot be read'):
        find_definition('lab_msgs/msg/Grip', [tmp_path])


@pytest.mark.parametrize(
    'type_',
    [
        '../../lab_msgs/msg/Grip',
        '/etc/msg/x',
        'a\nb/msg/x',
        'x' * 300 + '/msg/y',
        '',
        'a/../b/msg/c',
    ],
)
def test_a_name_that_is_no_type_leads_to_no_file(tmp_path: Path, type_: str) -> None:
    install(tmp_path, 'lab_msgs/msg/Grip.msg', 'uint8 x\n')
    with pytest.raises(DataError, match='there is no definition of') as error:
        find_definition(type_, [tmp_path / 'share/inner/prefix', tmp_path])
    assert len(str(error.value)) < 400
