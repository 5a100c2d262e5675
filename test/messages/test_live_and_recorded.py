"""A message that a node sent and the same one out of a bag give the same values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage, Image, JointState

from robomamba_ros.bags.reader import Bag
from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.images import ENCODINGS, camera_to_rgb, image_to_rgb
from robomamba_ros.messages.state import StateJoiner
from robomamba_ros.nodes.common.conversions import pose_to_stamped, rgb_to_image, time_message
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.parts import Camera
from robomamba_ros.types import Pose

# Importing the types of rclpy imports a module of the standard library that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

ARM = load_arm('sawyer_sim')
POSE = Pose(np.array([0.1, 0.6, 0.2]), np.array([0.5, -0.5, 0.5, 0.5]))
RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def recorded(folder: Path, message: Any) -> Any:
    """Return an rclpy message as it comes out of a bag."""
    type_ = f'{type(message).__module__.split(".")[0]}/msg/{type(message).__name__}'
    with Writer(folder / 'bag', version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        store = get_typestore(Stores.ROS2_JAZZY)
        writer.write(
            writer.add_connection('/topic', type_, typestore=store), 1, serialize_message(message)
        )
    with Bag(folder / 'bag') as bag:
        (found,) = bag.messages(['/topic'])
        return found.content


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_pixels(tmp_path: Path, encoding: str) -> None:
    channels, order = ENCODINGS[encoding]
    message = rgb_to_image(RGB, 5, 'front')
    raw = np.zeros((5, 7, channels), dtype=np.uint8)
    raw[:, :, order] = RGB if channels > 1 else RGB[:, :, :1]
    message.encoding, message.step = encoding, 7 * channels
    message.data = list(raw.tobytes())
    live, replayed = image_to_rgb(message), image_to_rgb(recorded(tmp_path, message))
    assert live.tobytes() == replayed.tobytes()
    if channels > 1:
        assert np.array_equal(replayed, RGB)


def test_compressed_pixels(tmp_path: Path) -> None:
    jpeg = cv2.imencode('.jpg', RGB)[1].tobytes()
    message = CompressedImage(format='jpeg', data=list(jpeg))
    camera = Camera('head', '/c', 'rgb8', 'compressed', 0.5, True)
    live = camera_to_rgb(message, camera)
    replayed = camera_to_rgb(recorded(tmp_path, message), camera)
    assert live.tobytes() == replayed.tobytes()


def test_pixels_of_another_size(tmp_path: Path) -> None:
    message = rgb_to_image(RGB, 5, 'front')
    camera = Camera('front', '/c', 'rgb8', 'raw', 0.5, True, fit='pad')
    live = camera_to_rgb(message, camera, (4, 4))
    replayed = camera_to_rgb(recorded(tmp_path, message), camera, (4, 4))
    assert live.shape == (4, 4, 3)
    assert live.tobytes() == replayed.tobytes()
    as_sent = camera_to_rgb(message, replace(camera, fit=''), (4, 4))
    assert np.array_equal(as_sent, RGB)


def test_an_image_that_is_broken_is_refused_from_a_bag_too(tmp_path: Path) -> None:
    message = Image(height=9, width=9, encoding='rgb8', step=27, data=[0] * 8)
    with pytest.raises(ObservationError, match='does not fit its 8 bytes'):
        image_to_rgb(recorded(tmp_path, message))


def test_states(tmp_path: Path) -> None:
    names = [joint.name for joint in ARM.joints] + ['gripper', 'head_pan']
    joints = JointState(name=names, position=[0.1 * i for i in range(len(names))])
    joints.header.stamp = time_message(7)
    pose = pose_to_stamped(POSE, 12, 'base')
    found = []
    for kind in ('live', 'recorded'):
        joiner = StateJoiner(ARM, same_stamp=False)
        for part, stream in ((joints, 'joint_states'), (pose, 'ee_pose')):
            folder = tmp_path / str(len(names)) / type(part).__name__
            message = part if kind == 'live' else recorded(folder, part)
            state = joiner.add(stream, message)
        assert (state.stamp_ns, dict(state.stamps)) == (12, {'joint_states': 7, 'ee_pose': 12})
        assert all(type(value) is float for value in state.joints.values())
        found.append((state.pose.position.tobytes(), state.pose.quaternion.tobytes(), state.joints))
        found[-1] += (state.gripper,)
    assert found[0] == found[1]
