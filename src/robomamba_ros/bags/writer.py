"""Writes a bag of one .mcap file, which appears under its name only when it is whole.

The same messages give the same bytes.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from robomamba_ros.bags.distributions import DistroStorage, layout, ros_distro
from robomamba_ros.bags.types import standard_types
from robomamba_ros.errors import DataError

SUFFIX = '.mcap'


def message(type_: str, **fields: Any) -> Any:
    """Return a message of a type that ROS 2 comes with, such as `std_msgs/msg/String`."""
    return message_class(type_)(**fields)


@cache
def message_class(type_: str) -> Any:
    """Return the class of a type that ROS 2 comes with; its fields are in the order of the type."""
    return standard_types().types[type_]


class BagWriter:
    """A .mcap file to be; use it with `with`.

    It is written beside its place and moved there at the end. An error leaves what was there
    before, and nothing else. distro: whose rosbag2 is to read it; '' takes that of the
    environment, see ros_distro. Raises DataError for an unknown one, and where the disk does not
    take it.
    """

    def __init__(self, path: Path, distro: str = '') -> None:
        if path.suffix != SUFFIX:
            raise DataError(f"a bag is written as {SUFFIX}, not '{path.name}'")
        self.path = path
        self._distro = ros_distro(distro)
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # In the same folder, so that the move is one step.
            self._folder = Path(mkdtemp(prefix=f'.{self.path.stem}_', dir=self.path.parent))
            # The name of the file within it is in its bytes.
            self._writer = Writer(
                self._folder / self.path.stem,
                version=layout(self._distro),
                storage_plugin=StoragePlugin.MCAP,
            )
            self._writer.open()
        except OSError as error:
            raise self._failure(error) from error
        return self

    def add_topic(self, name: str, type_: str) -> None:
        """Announce a topic of messages of `type_`."""
        self._connections[name] = self._writer.add_connection(
            name, type_, typestore=standard_types()
        )

    def write(self, topic: str, log_ns: int, content: Any) -> None:
        """Write a message, recorded at `log_ns` [ns]."""
        type_ = self._connections[topic].msgtype
        self.write_data(topic, log_ns, standard_types().serialize_cdr(content, type_))

    def write_data(self, topic: str, log_ns: int, data: bytes | memoryview) -> None:
        """Write a message that is serialised already."""
        try:
            self._writer.write(self._connections[topic], log_ns, data)
        except OSError as error:
            raise self._failure(error) from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                storage_of_distro: Any = DistroStorage(self._writer.storage, self._distro)
                self._writer.storage = storage_of_distro
                self._writer.close()
                written = self._folder / self.path.stem / f'{self.path.stem}{SUFFIX}'
                with written.open('rb') as file:
                    os.fsync(file.fileno())
                written.replace(self.path)
        except OSError as failure:
            raise self._failure(failure) from failure
        finally:
            with suppress(Exception):
                self._writer.abort()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _failure(self, error: OSError) -> DataError:
        return DataError(
            f'{self.path} cannot be written: {error.strerror}; free space, or choose another place'
        )
