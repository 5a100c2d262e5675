"""The topics of one camera of a contract: images in its encoding, depth and intrinsics if named."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from robomamba_ros.errors import BackendError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import camera_info, time_message
from robomamba_ros.robots.parts import Camera
from robomamba_ros.simulation.camera_encodings import encode
from robomamba_ros.types import UInt8Array

# A publisher and what it is to publish.
Outgoing = tuple[Any, Any]


class CameraTopics:
    """Publishers of a camera, and the messages of what it sees.

    angle_deg: of its view, from top to bottom. Raises BackendError where images are to be
    compressed and OpenCV is not installed.
    """

    def __init__(
        self, node: Any, camera: Camera, width: int, height: int, angle_deg: float
    ) -> None:
        self._camera = camera
        focal = 0.5 * height / math.tan(0.5 * math.radians(angle_deg))
        self._info_message = camera_info(width, height, focal)
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

    def messages(
        self,
        stamp_ns: int,
        picture: Callable[[], UInt8Array],
        depth_mm: Callable[[], NDArray[np.uint16]],
    ) -> list[Outgoing]:
        """Return what to publish at a time, as far as somebody looks; see `send`.

        Images cost as much as all else, and a process that is busy with them is late with states.
        picture: gives RGB (h, w, 3) uint8; depth_mm: gives (h, w) [mm].
        """
        header = Header(stamp=time_message(stamp_ns), frame_id=f'{self._camera.name}_optical_frame')
        found: list[Outgoing] = []
        if self._info is not None:
            self._info_message.header = header
            found.append((self._info, self._info_message))
        if self._image.get_subscription_count():
            found.append((self._image, self._picture_message(header, picture())))
        if self._depth is not None and self._depth.get_subscription_count():
            make = _compressed_depth if self._camera.compresses_depth else _depth
            found.append((self._depth, make(header, depth_mm())))
        return found

    def _picture_message(self, header: Header, picture: UInt8Array) -> Any:
        if self._encode_jpeg is not None:
            data = self._encode_jpeg(picture)
            return CompressedImage(header=header, format='jpeg', data=data)
        encoding = self._camera.encoding
        return _image(header, encode(picture, encoding), encoding, len(picture))


def send(messages: list[Outgoing]) -> None:
    """Publish messages, each by its publisher."""
    for publisher, message in messages:
        publisher.publish(message)


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
