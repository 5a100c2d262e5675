"""RGB, depth and intrinsics from camera messages, live ones of rclpy and those read from a bag.

The one place that knows encodings and the order of colours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.compressed_images import decode, read_facts
from robomamba_ros.robots.arm import Camera
from robomamba_ros.types import Float32Array, Float64Array, UInt8Array

# Bytes per pixel, and the bytes that are red, green and blue.
ENCODINGS: dict[str, tuple[int, tuple[int, int, int]]] = {
    'rgb8': (3, (0, 1, 2)),
    'bgr8': (3, (2, 1, 0)),
    'rgba8': (4, (0, 1, 2)),
    'bgra8': (4, (2, 1, 0)),
    'mono8': (1, (0, 0, 0)),
}
# Type of a pixel, and metres per unit (REP 118).
DEPTH_ENCODINGS = {'16UC1': ('u2', 0.001), '32FC1': ('f4', 1.0)}
_SUPPORTED = 'supported: 8-bit JPEG and PNG'


def camera_to_rgb(message: Any, camera: Camera) -> UInt8Array:
    """Return a message of a camera of the arm contract, raw or compressed, as RGB.

    Raises ObservationError where it is not what the contract says: a policy trained on RGB and fed
    BGR fails quietly.
    """
    if camera.transport == 'compressed':
        rgb, grey = _decompress(message)
        if grey and camera.encoding != 'mono8':
            raise ObservationError(
                f"camera '{camera.name}' sends grey images, the arm contract says "
                f'{camera.encoding}; have the driver convert to colour (usb_cam: pixel_format '
                'yuyv2rgb), or correct `encoding` in the arm file to mono8 if the camera is right'
            )
        return rgb
    if message.encoding != camera.encoding:
        raise ObservationError(
            f"camera '{camera.name}' sends {message.encoding}, the arm contract says "
            f'{camera.encoding}; correct `encoding` in the arm file if the camera is right'
        )
    return image_to_rgb(message)


def image_to_rgb(message: Any) -> UInt8Array:
    """Return a sensor_msgs/Image as RGB (h, w, 3) uint8; raises ObservationError."""
    try:
        channels, rgb = ENCODINGS[message.encoding]
    except KeyError:
        raise ObservationError(
            f"image encoding '{message.encoding}' is not supported; supported: "
            f'{", ".join(ENCODINGS)}'
        ) from None
    height, width = message.height, message.width
    rows = _rows(message, channels)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    return np.ascontiguousarray(pixels[:, :, rgb])


def compressed_image_to_rgb(message: Any) -> UInt8Array:
    """Return a sensor_msgs/CompressedImage (JPEG, PNG) as RGB (h, w, 3) uint8.

    Raises ObservationError on another compression, on 16-bit (depth) images, on more pixels than a
    camera has, and on damaged data.
    """
    return _decompress(message)[0]


def _decompress(message: Any) -> tuple[UInt8Array, bool]:
    """Return the image, and whether it was grey."""
    data = bytes(message.data)
    # `bayer_rggb16; jpeg compressed bgr8`: what the camera gave; what was made of it.
    made = message.format.lower().rpartition(';')[2]
    try:
        facts = read_facts(data)
        if '16' in made or 'depth' in made or (facts.bits == 16 and facts.grey):
            raise ObservationError(f'16-bit and depth are not supported; {_SUPPORTED}')
        return decode(data, facts), facts.grey
    except ObservationError as error:
        raise ObservationError(
            f"{len(data)} bytes of compressed image '{message.format:.80}': {error}"
        ) from error


def depth_to_metres(message: Any) -> Float32Array:
    """Return a sensor_msgs/Image of depth as (h, w) float32 [m]; 0 and NaN stay as they are.

    Raises ObservationError.
    """
    if message.encoding not in DEPTH_ENCODINGS:
        raise ObservationError(
            f"depth encoding '{message.encoding}' is not supported; supported: "
            f'{", ".join(DEPTH_ENCODINGS)} (millimetres, metres)'
        )
    kind, scale = DEPTH_ENCODINGS[message.encoding]
    pixel = np.dtype(kind).newbyteorder('>' if message.is_bigendian else '<')
    rows = _rows(message, pixel.itemsize)[:, : message.width * pixel.itemsize]
    values = np.ascontiguousarray(rows).view(pixel)
    return values.astype(np.float32) * np.float32(scale)


def camera_intrinsics(message: Any) -> tuple[Float64Array, tuple[int, int]]:
    """Return the pixel matrix K (3, 3) of a sensor_msgs/CameraInfo, and its size (h, w).

    Raises ObservationError where the camera is not calibrated.
    """
    matrix = np.array(message.k, dtype=np.float64).reshape(3, 3)
    if not (np.isfinite(matrix).all() and min(matrix[0, 0], matrix[1, 1]) > 0.0):
        raise ObservationError(
            f'camera_info has the matrix k {matrix.ravel().tolist()}: calibrate the camera'
        )
    return matrix, (message.height, message.width)


def _rows(message: Any, pixel_bytes: int) -> UInt8Array:
    """Return the bytes of an image, row by row (h, step); raises ObservationError."""
    height, width, step = message.height, message.width, message.step
    data = np.frombuffer(message.data, dtype=np.uint8)
    if height == 0 or width == 0 or step < width * pixel_bytes or data.size < height * step:
        raise ObservationError(
            f'an image of {width} x {height} {message.encoding} with step {step} does not fit '
            f'its {data.size} bytes of data'
        )
    return data[: height * step].reshape(height, step)
