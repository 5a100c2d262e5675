"""What the rosbag2 of each distribution writes into a bag's metadata, and so what it can read.

After rosbag2_storage's bag_metadata.hpp and yaml.hpp on the branches humble, iron and jazzy. Until
version 8 the offered QoS is a text; a reader of that age refuses the list that came with 9.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from robomamba_ros.errors import DataError, unknown_name

# The version that each one's rosbag2 writes. Those after Jazzy write what it does.
VERSIONS = {'humble': 5, 'iron': 7, 'jazzy': 9, 'kilted': 9, 'lyrical': 9, 'rolling': 9}
DEFAULT = 'jazzy'
_BAG = 'rosbag2_bagfile_information'
# Keys of the whole and of each topic, and the version that brought them.
_SINCE = {'custom_data': 6, 'ros_distro': 8}
_TOPIC_SINCE = {'type_description_hash': 7}


def ros_distro(given: str = '') -> str:
    """Return the distribution to write for: the one given, else that of the environment.

    Raises DataError on an unknown one; one in the environment that is newer is taken as DEFAULT.
    """
    if given and given not in VERSIONS:
        raise DataError(unknown_name('ROS distribution', given, VERSIONS))
    found = given or os.environ.get('ROS_DISTRO', '')
    return found if found in VERSIONS else DEFAULT


def layout(distro: str) -> Literal[8, 9]:
    """Return how the writer of rosbags has to write the offered QoS: as text, 8, or as list, 9."""
    return 9 if VERSIONS[distro] >= 9 else 8


def metadata_for(text: str, distro: str) -> str:
    """Return the YAML of a bag's metadata, whole or without its first line, as of a distro."""
    yaml = YAML(typ='safe')
    yaml.default_flow_style = False
    document: dict[str, Any] = yaml.load(text)
    bag = document.get(_BAG, document)
    version = bag['version'] = VERSIONS[distro]
    bag['ros_distro'] = distro
    # An empty mapping, as rosbag2 writes it, and not null.
    bag['custom_data'] = bag.get('custom_data') or {}
    _drop(bag, _SINCE, version)
    for topic in bag['topics_with_message_count']:
        _drop(topic['topic_metadata'], _TOPIC_SINCE, version)
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue().strip()


class DistroStorage:
    """A storage of a rosbags Writer that is closed with the metadata of a distribution.

    The storage keeps the metadata too: `ros2 bag reindex` and readers of a lone file use it.
    """

    def __init__(self, storage: Any, distro: str) -> None:
        self._storage = storage
        self._distro = distro
        self.path: Path = storage.path

    def close(self, _: int, metadata: str) -> None:
        """Close the storage; the version and the metadata are those that rosbags has made."""
        self._storage.close(VERSIONS[self._distro], metadata_for(metadata, self._distro))

    def abort(self) -> None:
        """Close the file as it is."""
        self._storage.abort()


def _drop(values: dict[str, Any], since: Mapping[str, int], version: int) -> None:
    for key, first in since.items():
        if version < first:
            values.pop(key, None)
