"""Subscribes to one camera of the arm contract and hands on images that decode when used.

Knows nothing about policies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.conversions import nanoseconds
from robomamba_ros.nodes.images import compressed_image_to_rgb, image_to_rgb
from robomamba_ros.robots.arm import Camera
from robomamba_ros.types import UInt8Array

OnImage = Callable[[str, int, Callable[[], UInt8Array]], None]


class CameraInput:
    """Calls back with (camera name, stamp [ns], function that decodes to RGB).

    Decoding waits until a frame is used: most frames never are, and it holds the interpreter.
    """

    def __init__(self, node: Any, camera: Camera, mode: str, on_image: OnImage) -> None:
        self._node = node
        self._camera = camera
        self._on_image = on_image
        self.count = 0
        compressed = camera.transport == 'compressed'
        topic = f'camera/{camera.name}/image'
        self._subscription = node.create_subscription(
            CompressedImage if compressed else Image,
            f'{topic}/compressed' if compressed else topic,
            self._on_compressed if compressed else self._on_raw,
            qos.camera(mode),
        )

    def _on_raw(self, message: Image) -> None:
        self._hand_on(message, lambda: self._decode(message))

    def _on_compressed(self, message: CompressedImage) -> None:
        self._hand_on(message, lambda: compressed_image_to_rgb(message))

    def _hand_on(self, message: Any, decode: Callable[[], UInt8Array]) -> None:
        self.count += 1
        self._on_image(self._camera.name, nanoseconds(message.header.stamp), decode)

    def _decode(self, message: Image) -> UInt8Array:
        # A policy trained on RGB and fed BGR fails quietly, so a surprise is an error.
        if message.encoding != self._camera.encoding:
            raise ObservationError(
                f"camera '{self._camera.name}' sends {message.encoding}, the arm contract says "
                f'{self._camera.encoding}; correct `encoding` in the arm file if the camera is '
                'right'
            )
        return image_to_rgb(message)

    def destroy(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)
