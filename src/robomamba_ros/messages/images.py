"""RGB, depth and intrinsics from camera messages, live ones of rclpy and those read from a bag.

The one place that knows encodings and the order of colours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.compressed_depth import compressed_depth_to_metres
from robomamba_ros.messages.compressed_images import decode, read_facts
from robomamba_ros.messages.image_fit import fit_image
from robomamba_ros.messages.ros_cv_bridge import find_cv_bridge
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
# Bytes per pixel, and OpenCV's conversion to RGB: those of cv_bridge, which names Bayer patterns by
# their first row and OpenCV by its second.
CONVERTED: dict[str, tuple[int, str]] = {
    'yuv422': (2, 'COLOR_YUV2RGB_UYVY'),
    'uyvy': (2, 'COLOR_YUV2RGB_UYVY'),
    'yuv422_yuy2': (2, 'COLOR_YUV2RGB_YUY2'),
    'yuyv': (2, 'COLOR_YUV2RGB_YUY2'),
    'nv12': (1, 'COLOR_YUV2RGB_NV12'),
    'nv21': (1, 'COLOR_YUV2RGB_NV21'),
    'bayer_rggb8': (1, 'COLOR_BayerBG2RGB'),
    'bayer_bggr8': (1, 'COLOR_BayerRG2RGB'),
    'bayer_gbrg8': (1, 'COLOR_BayerGR2RGB'),
    'bayer_grbg8': (1, 'COLOR_BayerGB2RGB'),
}
# With a second plane of half the height below the first.
_TWO_PLANES = ('nv12', 'nv21')
MONO16 = 'mono16'
# What says no more than the number of bytes: the contract says what they mean.
_UNNAMED = {'8UC1': 1, '8UC3': 3, '8UC4': 4}
# Type of a pixel, and metres per unit (REP 118).
DEPTH_ENCODINGS = {'16UC1': ('u2', 0.001), '32FC1': ('f4', 1.0)}
_SUPPORTED = 'supported: 8-bit JPEG and PNG'


def camera_to_rgb(message: Any, camera: Camera, size: tuple[int, int] | None = None) -> UInt8Array:
    """Return a message of a camera of the arm contract, raw or compressed, as RGB (h, w, 3).

    size: (h, w) that is needed; another one is made into it where the contract says how (`fit`).
    Raises ObservationError where it is not what the contract says: a policy trained on RGB and fed
    BGR fails quietly.
    """
    rgb = _decode(message, camera)
    return rgb if size is None or not camera.fit else fit_image(rgb, size, camera.fit)


def _decode(message: Any, camera: Camera) -> UInt8Array:
    if camera.transport == 'compressed':
        rgb, grey = _decompress(message)
        if grey and camera.encoding != 'mono8':
            raise ObservationError(
                f"camera '{camera.name}' sends grey images, the arm contract says "
                f'{camera.encoding}; have the driver convert to colour (usb_cam: pixel_format '
                'yuyv2rgb), or correct `encoding` in the arm file to mono8 if the camera is right'
            )
        return rgb
    channels, _ = ENCODINGS.get(camera.encoding, (0, None))
    unnamed = channels and _UNNAMED.get(message.encoding) == channels
    if message.encoding != camera.encoding and not unnamed:
        raise ObservationError(
            f"camera '{camera.name}' sends {message.encoding:.60}, the arm contract says "
            f'{camera.encoding}; correct `encoding` in the arm file if the camera is right'
        )
    return image_to_rgb(message, camera.encoding)


def image_to_rgb(message: Any, encoding: str = '') -> UInt8Array:
    """Return a sensor_msgs/Image as RGB (h, w, 3) uint8; raises ObservationError.

    encoding: what its bytes mean, where the message does not say. Goes through cv_bridge where that
    is installed, works, and knows the image.
    """
    encoding = encoding or message.encoding
    bridge = find_cv_bridge() if encoding == message.encoding else None
    if bridge is not None and bridge.takes(message):
        return bridge.to_rgb(message)
    height, width = message.height, message.width
    if encoding in ENCODINGS:
        channels, rgb = ENCODINGS[encoding]
        pixels = _pixels(message, channels).reshape(height, width, channels)
        return np.ascontiguousarray(pixels[:, :, rgb])
    if encoding in CONVERTED:
        return _convert(message, encoding)
    if encoding == MONO16:
        kind = np.dtype('u2').newbyteorder('>' if message.is_bigendian else '<')
        grey = np.rint(_pixels(message, 2).view(kind) * (255 / 65535)).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    supported = ', '.join((*ENCODINGS, MONO16, *CONVERTED))
    raise ObservationError(
        f"image encoding '{message.encoding:.60}' is not supported; supported: {supported}"
    )


def decoder(message: Any, camera: Camera) -> str:
    """Return what decodes a message of a camera, for people."""
    if camera.transport == 'compressed':
        return 'the JPEG and PNG decoders'
    bridge = find_cv_bridge() if message.encoding == camera.encoding else None
    if bridge is not None and bridge.takes(message):
        return 'cv_bridge'
    return 'OpenCV' if camera.encoding in CONVERTED else 'NumPy'


def _convert(message: Any, encoding: str) -> UInt8Array:
    import cv2  # not at the top: most cameras send RGB or BGR

    depth, code = CONVERTED[encoding]
    pixels = _pixels(message, depth, planes=2 if encoding in _TWO_PLANES else 1)
    if depth > 1:
        pixels = pixels.reshape(message.height, message.width, depth)
    try:
        return np.asarray(cv2.cvtColor(pixels, getattr(cv2, code)), dtype=np.uint8)
    except cv2.error:
        raise ObservationError(
            f'an image of {message.width} x {message.height} cannot be {encoding}, whose colours '
            'are those of several pixels: its width and height must be even'
        ) from None


def _decompress(message: Any) -> tuple[UInt8Array, bool]:
    """Return a sensor_msgs/CompressedImage (JPEG, PNG) as RGB (h, w, 3), and whether it was grey.

    Raises ObservationError on another compression, on 16-bit (depth) images, on more pixels than a
    camera has, and on damaged data.
    """
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
    """Return a message of depth as (h, w) float32 [m]; 0 and NaN stay as they are.

    A sensor_msgs/Image, or a CompressedImage of image_transport's `compressedDepth`. Raises
    ObservationError.
    """
    if hasattr(message, 'format'):
        return compressed_depth_to_metres(message)
    if message.encoding not in DEPTH_ENCODINGS:
        raise ObservationError(
            f"depth encoding '{message.encoding:.60}' is not supported; supported: "
            f'{", ".join(DEPTH_ENCODINGS)} (millimetres, metres)'
        )
    kind, scale = DEPTH_ENCODINGS[message.encoding]
    pixel = np.dtype(kind).newbyteorder('>' if message.is_bigendian else '<')
    values = _pixels(message, pixel.itemsize).view(pixel)
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


def _pixels(message: Any, pixel_bytes: int, planes: int = 1) -> UInt8Array:
    """Return the bytes of the pixels of an image, row by row (rows, w * pixel_bytes).

    planes: 2 where rows of half as many pixels' colours follow. Raises ObservationError.
    """
    height, width, step = message.height, message.width, message.step
    rows = height if planes == 1 else height + height // 2
    data = np.frombuffer(message.data, dtype=np.uint8)
    if height == 0 or width == 0 or step < width * pixel_bytes or data.size < rows * step:
        raise ObservationError(
            f'an image of {width} x {height} {message.encoding:.60} with step {step} does not fit '
            f'its {data.size} bytes of data'
        )
    pixels = data[: rows * step].reshape(rows, step)[:, : width * pixel_bytes]
    return np.ascontiguousarray(pixels)
