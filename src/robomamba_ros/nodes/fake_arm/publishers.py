"""What the fake arm publishes: joint states, pose, odometry, and a test image of each camera."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header

from robomamba_ros.errors import BackendError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import (
    camera_info,
    pose_to_message,
    pose_to_stamped,
    time_message,
)
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Camera
from robomamba_ros.simulation.camera_encodings import encode
from robomamba_ros.simulation.color_bars import ColorBars
from robomamba_ros.simulation.disagreement.reports import Sample, joint_messages
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.spatial.transforms import quaternion_from_rotation_vector
from robomamba_ros.types import Pose, UInt8Array

# Depth is that of a wall, with the marker before it [mm].
WALL_MM, MARKER_MM = 1000, 800


class StatePublishers:
    """Publishes `joint_states`, and `ee_pose` and `odometry` where the contract names them."""

    def __init__(self, node: Any, arm: ArmContract) -> None:
        self._arm = arm
        # Reliable: readers that ask for less get less.
        profile = qos.STATE_LOCKSTEP
        self._base = arm.names_of('base')
        self._joints = {
            stream: node.create_publisher(JointState, stream, profile)
            for stream in arm.joint_streams
        }
        self._ee_pose = self._odometry = None
        if 'ee_pose' in arm.inputs:
            self._ee_pose = node.create_publisher(PoseStamped, 'ee_pose', profile)
        if 'odometry' in arm.inputs:
            self._odometry = node.create_publisher(Odometry, 'odometry', profile)

    def publish(self, fake: FakeArm, now_ns: int) -> None:
        """Publish what the arm has said about its joints by now, each sample once.

        A mobile base is in the odometry, not among the joints.
        """
        for sample in fake.reports.due(now_ns):
            self._publish(fake, sample)

    def _publish(self, fake: FakeArm, sample: Sample) -> None:
        stamp_ns, frame = sample.stamp_ns, self._arm.base_frame
        # Readers make a state of what is there when the joints come, or the pose.
        if self._odometry is not None:
            self._odometry.publish(self._odometry_message(sample))
        for stream, names in joint_messages(self._arm, fake.disagreement):
            joints = JointState(
                name=names,
                position=[sample.positions[name] for name in names],
                velocity=[sample.velocities[name] for name in names],
            )
            joints.header.stamp = time_message(stamp_ns)
            self._joints[stream].publish(joints)
        if self._ee_pose is not None:
            pose = fake.pose_at(sample.positions)
            if pose is not None:
                self._ee_pose.publish(pose_to_stamped(pose, stamp_ns, frame))

    def _odometry_message(self, sample: Sample) -> Odometry:
        x, y, heading = (sample.positions[name] for name in self._base)
        speed_x, speed_y, turning = (sample.velocities[name] for name in self._base)
        turn = quaternion_from_rotation_vector(np.array([0.0, 0.0, heading]))
        message = Odometry(child_frame_id='base_footprint')
        message.header.stamp = time_message(sample.stamp_ns)
        message.header.frame_id = self._arm.base_frame
        message.pose.pose = pose_to_message(Pose(np.array([x, y, 0.0]), turn))
        # Velocities are given in the child frame.
        c, s = np.cos(heading), np.sin(heading)
        twist = message.twist.twist
        twist.linear.x, twist.linear.y = c * speed_x + s * speed_y, c * speed_y - s * speed_x
        twist.angular.z = turning
        return message


class CameraPublishers:
    """Publishes one camera of the contract, in its encoding, with depth and intrinsics if named.

    Raises BackendError where images are to be compressed and OpenCV is not installed.
    """

    def __init__(self, node: Any, camera: Camera, width: int, height: int) -> None:
        self._camera = camera
        self._picture = ColorBars(camera.name, width, height)
        self._depth_mm = np.full((height, width), WALL_MM, dtype=np.uint16)
        # 60 degrees from top to bottom.
        self._info_message = camera_info(width, height, 0.5 * height * np.sqrt(3.0))
        compressed, topic = camera.transport == 'compressed', f'camera/{camera.name}'
        self._encode_jpeg = _jpeg_encoder(camera.name) if compressed else None
        kind, name = (CompressedImage, 'image/compressed') if compressed else (Image, 'image')
        profile = qos.CAMERA_LOCKSTEP
        self._image = node.create_publisher(kind, f'{topic}/{name}', profile)
        self._depth = self._info = None
        if camera.depth_topic is not None:
            kind = CompressedImage if camera.compresses_depth else Image
            self._depth = node.create_publisher(kind, f'{topic}/depth', profile)
        if camera.info_topic is not None:
            self._info = node.create_publisher(CameraInfo, f'{topic}/camera_info', profile)

    def publish(self, stamp_ns: int) -> None:
        """Publish what the camera sees at a time, as far as somebody looks.

        Images cost as much as all else, and a process that is busy with them is late with states.
        """
        header = Header(stamp=time_message(stamp_ns), frame_id=f'{self._camera.name}_optical_frame')
        if self._image.get_subscription_count():
            self._image.publish(self._picture_message(header, stamp_ns))
        if self._info is not None:
            self._info_message.header = header
            self._info.publish(self._info_message)
        if self._depth is not None and self._depth.get_subscription_count():
            depth = self._depth_mm.copy()
            depth[self._picture.lane, self._picture.marker(stamp_ns)] = MARKER_MM
            compressed = self._camera.compresses_depth
            self._depth.publish((_compressed_depth if compressed else _depth)(header, depth))

    def _picture_message(self, header: Header, stamp_ns: int) -> Any:
        picture = self._picture.at(stamp_ns)
        if self._encode_jpeg is not None:
            data = self._encode_jpeg(picture)
            return CompressedImage(header=header, format='jpeg', data=data)
        encoding = self._camera.encoding
        return _image(header, encode(picture, encoding), encoding, len(picture))


def _image(header: Header, pixels: NDArray[Any], encoding: str, height: int = 0) -> Image:
    """Return rows of pixels as a message; height: of the image, where it has a second plane."""
    rows, width = pixels.shape[:2]
    message = Image(header=header, height=height or rows, width=width, encoding=encoding)
    message.step = pixels.nbytes // rows
    # An array is taken as it is; bytes would be checked one by one.
    message.data = array('B', pixels.tobytes())
    return message


def _depth(header: Header, depth_mm: NDArray[Any]) -> Image:
    return _image(header, depth_mm, '16UC1')


def _compressed_depth(header: Header, depth_mm: NDArray[Any]) -> CompressedImage:
    import cv2  # not at the top: only compressed cameras need OpenCV

    # A header of 12 bytes that says nothing of integers, then the image.
    data = bytes(12) + cv2.imencode('.png', depth_mm)[1].tobytes()
    form = '16UC1; compressedDepth png'
    return CompressedImage(header=header, format=form, data=array('B', data))


def _jpeg_encoder(camera: str) -> Callable[[UInt8Array], array[int]]:
    try:
        import cv2  # not at the top: only compressed cameras need OpenCV
    except ImportError as error:
        raise BackendError(
            f"the images of camera '{camera}' are compressed, which needs OpenCV ({error}): "
            'pip install opencv-python-headless'
        ) from error

    def encode(picture: UInt8Array) -> array[int]:
        _, data = cv2.imencode('.jpg', picture[:, :, ::-1])
        return array('B', data.tobytes())

    return encode
