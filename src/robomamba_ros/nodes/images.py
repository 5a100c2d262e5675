"""Camera messages to and from RGB arrays: the one place that knows encodings and colour order.

Knows nothing about nodes, topics or torch.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes.conversions import time_message
from robomamba_ros.types import UInt8Array

# Bytes per pixel, and the bytes that are red, green and blue.
ENCODINGS: dict[str, tuple[int, tuple[int, int, int]]] = {
    'rgb8': (3, (0, 1, 2)),
    'bgr8': (3, (2, 1, 0)),
    'rgba8': (4, (0, 1, 2)),
    'bgra8': (4, (2, 1, 0)),
    'mono8': (1, (0, 0, 0)),
}
COMPRESSIONS = ('jpeg', 'jpg', 'png')


def image_to_rgb(message: Any) -> UInt8Array:
    """Return a sensor_msgs/Image as RGB (h, w, 3) uint8; raises ObservationError."""
    try:
        channels, rgb = ENCODINGS[message.encoding]
    except KeyError:
        raise ObservationError(
            f"image encoding '{message.encoding}' is not supported; supported: "
            f'{", ".join(ENCODINGS)}'
        ) from None
    height, width, step = message.height, message.width, message.step
    data = np.frombuffer(message.data, dtype=np.uint8)
    if height == 0 or width == 0 or step < width * channels or data.size < height * step:
        raise ObservationError(
            f'an image of {width} x {height} {message.encoding} with step {step} does not fit '
            f'its {data.size} bytes of data'
        )
    rows = data[: height * step].reshape(height, step)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    return np.ascontiguousarray(pixels[:, :, rgb])


def compressed_image_to_rgb(message: Any) -> UInt8Array:
    """Return a sensor_msgs/CompressedImage (JPEG, PNG) as RGB (h, w, 3) uint8.

    Raises ObservationError on another compression, on 16-bit (depth) images and on broken data.
    """
    import cv2  # not at the top: only compressed cameras need OpenCV

    name = message.format.lower()
    if not any(kind in name for kind in COMPRESSIONS) or '16' in name:
        raise ObservationError(
            f"compressed image format '{message.format}' is not supported; supported: 8-bit "
            f'{", ".join(COMPRESSIONS)}'
        )
    data = np.frombuffer(message.data, dtype=np.uint8)
    # The orientation tag of a JPEG is ignored, as image_transport does.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = cv2.imdecode(data, flags) if data.size else None
    if bgr is None:
        raise ObservationError(
            f"{data.size} bytes of compressed image '{message.format}' cannot be decoded"
        )
    return np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)


def rgb_to_image(image: UInt8Array, stamp_ns: int, frame: str) -> Image:
    """Return RGB (h, w, 3) uint8 as a sensor_msgs/Image in rgb8."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding='rgb8', step=3 * width)
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = frame
    # An array is taken as it is; bytes would be checked one by one.
    message.data = array('B', image.tobytes())
    return message
