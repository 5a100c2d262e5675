"""Bent bags, URDFs and compressed images are read for what they are: see test/support/fuzzing.py.

ROBOMAMBA_FUZZ=20000 pytest test/fuzz tries so many of each.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from support.fuzzing import bend, hold
from support.made_arms import MADE, write_arm
from support.made_recording import ARM, Recording, said

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.types import standard_types
from robomamba_ros.datasets.from_bags.samples import BagSamples, SampleOptions
from robomamba_ros.messages.images import camera_to_rgb
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import Camera

STORAGES = {
    'plain.mcap': (StoragePlugin.MCAP, None),
    'chunks.mcap': (StoragePlugin.MCAP, CompressionMode.STORAGE),
    'message.mcap': (StoragePlugin.MCAP, CompressionMode.MESSAGE),
    'plain.db3': (StoragePlugin.SQLITE3, None),
    'message.db3': (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    'file.db3.zstd': (StoragePlugin.SQLITE3, CompressionMode.FILE),
}


@pytest.fixture(scope='module')
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return 0.2 s of an arm and its camera in each storage."""
    found, types = {}, standard_types()
    recording = Recording().run(stop=200).add(0, '/instruction', said('move'))
    for name, (plugin, mode) in STORAGES.items():
        folder = tmp_path_factory.mktemp('bags') / name
        writer = Writer(folder, version=9, storage_plugin=plugin)
        if mode is not None:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            topics: dict[str, object] = {}
            for ms, topic, type_, content in recording.messages:
                if topic not in topics:
                    topics[topic] = writer.add_connection(topic, type_, typestore=types)
                time_ns = (1_700_000_000_000 + ms) * 1_000_000
                writer.write(topics[topic], time_ns, types.serialize_cdr(content, type_))
        [path] = (each for each in folder.iterdir() if each.suffix != '.yaml')
        found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize('name', STORAGES)
def test_bent_bags(bags: dict[str, bytes], tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def read(rng: np.random.Generator) -> None:
        path.write_bytes(bend(bags[name], rng))
        with Bag(path) as bag:
            for _ in bag.messages([each for each, t in bag.topics.items() if not t.problem]):
                pass
            samples = BagSamples(bag, ARM, SampleOptions(fps=20))
            for _, found in samples.read():
                for _ in found:
                    pass

    hold(read, 25)


def test_bent_urdfs(tmp_path: Path) -> None:
    made = MADE['six']
    joint = '<joint name="joint3" type="revolute">'
    text = made.urdf().replace(
        joint, f'{joint}<mimic joint="joint2" multiplier="-2" offset="0.1"/>'
    )
    assert text != made.urdf()
    document = made.document()
    del document['joints'][2]
    arm = write_arm(tmp_path, document, text)
    data = text.encode()

    def read(rng: np.random.Generator) -> None:
        bent = bend(data, rng)
        (tmp_path / 'made.urdf').write_bytes(bent)
        # A file, or what a topic carries: text, with halves of characters.
        by_topic = bent.decode('utf-8', 'surrogateescape') if rng.integers(2) else None
        # As controller_node reads it, shapes and all, or as policy_node does.
        kinematics = Kinematics(arm, by_topic, watch=bool(rng.integers(2)))
        joints = np.full(len(kinematics.names), 0.3)
        kinematics.step(joints, kinematics.forward(joints), 0.01)
        kinematics.jacobian(joints)

    hold(read, 300)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('channels', [1, 3])
def test_bent_images(suffix: str, channels: int) -> None:
    rough = np.random.default_rng(0).integers(0, 255, (6, 8, channels), dtype=np.uint8)
    image = cv2.resize(rough, (64, 48), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(suffix, image)[1].tobytes()
    camera = Camera('head', '/c', 'mono8' if channels == 1 else 'rgb8', 'compressed', 0.5, True)

    def read(rng: np.random.Generator) -> None:
        message = SimpleNamespace(format='jpeg', data=bend(data, rng))
        rgb = camera_to_rgb(message, camera)
        assert rgb.dtype == np.uint8
        assert rgb.shape[2] == 3

    hold(read, 200)
