"""Subscribes to depth and intrinsics of one camera and fills an ObservationBuffer with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.images import camera_intrinsics, depth_to_metres
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.common import qos
from robomamba_ros.robots.arm import Camera


class DepthInput:
    """Depth decodes when it is used. It must be in the frame of camera_info, and waits for that.

    A message that cannot be used is reported and dropped, so that the stream goes stale instead of
    wrong.
    """

    def __init__(
        self,
        node: Any,
        camera: Camera,
        mode: str,
        buffer: ObservationBuffer,
        on_data: Callable[[int], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._node = node
        self._camera = camera
        self._buffer = buffer
        self._on_data = on_data
        self._on_error = on_error
        self._frame: str | None = None
        self.count = 0
        name = self._name = camera.name
        self.topic = f'camera/{name}/depth'
        profile = qos.camera(mode)
        kind = CompressedImage if camera.compresses_depth else Image
        self._subscriptions = [
            node.create_subscription(kind, self.topic, self._on_depth, profile),
            node.create_subscription(
                CameraInfo, f'camera/{name}/camera_info', self._on_info, profile
            ),
        ]

    def _on_depth(self, message: Any) -> None:
        self.count += 1
        frame = message.header.frame_id
        if frame != self._frame:
            if self._frame is not None:
                error = (
                    f"{self._name}/depth is in the frame '{frame:.60}', camera_info in "
                    f"'{self._frame:.60}'; give depth that is registered to the images"
                )
                self._on_error(ObservationError(error))
            return
        stamp_ns = self._camera.taken_ns(nanoseconds(message.header.stamp))
        self._buffer.add_depth(self._name, stamp_ns, partial(depth_to_metres, message))
        self._on_data(stamp_ns)

    def _on_info(self, message: CameraInfo) -> None:
        try:
            self._buffer.set_intrinsics(self._name, *camera_intrinsics(message))
        except ObservationError as error:
            self._on_error(ObservationError(f'{self._name}: {error}'))
        else:
            self._frame = message.header.frame_id

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
