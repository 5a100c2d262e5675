"""Subscribes to one camera of the arm contract and hands on images that decode when used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from robomamba_ros.messages.images import camera_to_rgb
from robomamba_ros.messages.ros_cv_bridge import find_cv_bridge
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.common import qos
from robomamba_ros.robots.arm import Camera
from robomamba_ros.types import UInt8Array

OnImage = Callable[[str, int, Callable[[], UInt8Array]], None]


class CameraInput:
    """Calls back with (camera name, stamp [ns], function that decodes to RGB).

    size: (h, w) of the images that the policy needs. Decoding waits until an image is used: most
    images never are, and it holds the interpreter.
    """

    def __init__(
        self, node: Any, camera: Camera, size: tuple[int, int], mode: str, on_image: OnImage
    ) -> None:
        self._node = node
        self._camera, self._size = camera, size
        self._on_image = on_image
        self.count = 0
        find_cv_bridge()  # importing it takes as long as some images
        compressed = camera.transport == 'compressed'
        self.topic = f'camera/{camera.name}/image' + '/compressed' * compressed
        kind = CompressedImage if compressed else Image
        self._subscription = node.create_subscription(
            kind, self.topic, self._on_message, qos.camera(mode)
        )

    def _on_message(self, message: Any) -> None:
        self.count += 1

        def decode() -> UInt8Array:
            return camera_to_rgb(message, self._camera, self._size)

        stamp_ns = self._camera.taken_ns(nanoseconds(message.header.stamp))
        self._on_image(self._camera.name, stamp_ns, decode)

    def destroy(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)
