"""Images as PNG bytes, as LeRobot's tables hold them."""

from __future__ import annotations

import cv2
import numpy as np

from robomamba_ros.errors import DataError
from robomamba_ros.types import UInt8Array

# Higher levels take twice as long and save a twentieth.
COMPRESSION = (cv2.IMWRITE_PNG_COMPRESSION, 3)


def encode_png(rgb: UInt8Array) -> bytes:
    """Return an RGB image (h, w, 3) uint8 as PNG, without loss."""
    return cv2.imencode('.png', rgb[:, :, ::-1], COMPRESSION)[1].tobytes()


def decode_image(data: bytes) -> UInt8Array:
    """Return PNG or JPEG bytes as RGB (h, w, 3) uint8; DataError where they are broken."""
    buffer = np.frombuffer(data, dtype=np.uint8)
    bgr = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if buffer.size else None
    if bgr is None:
        raise DataError(f'{buffer.size} bytes of an image that cannot be decoded')
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
