"""Depth images as compressed_depth_image_transport of ROS sends them: a header and a 16-bit PNG."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.compressed_images import read_facts, sound_png
from robomamba_ros.types import Float32Array

# Its ConfigHeader: the kind of compression, and two parameters of inverse depth.
_HEADER = struct.Struct('<iff')
# How the format that a message names begins, as in `16UC1; compressedDepth png`.
_MILLIMETRES, _INVERSE = '16UC1', '32FC1'


def compressed_depth_to_metres(message: Any) -> Float32Array:
    """Return a sensor_msgs/CompressedImage of depth as (h, w) float32 [m]; raises ObservationError.

    As without compression 0 in 16UC1, and NaN in 32FC1, is no depth. 32FC1 comes as numbers of
    inverse depth: depth = a / (number - b), with a and b of the header.
    """
    data, form = bytes(message.data), message.format
    kind = form.partition(';')[0].strip()
    if kind not in (_MILLIMETRES, _INVERSE) or 'compresseddepth' not in form.lower():
        raise ObservationError(
            f"the depth image is in the format '{form:.80}'; supported: '{_MILLIMETRES}; "
            f"compressedDepth png' and '{_INVERSE}; compressedDepth png'"
        )
    if 'rvl' in form.lower():
        raise ObservationError(
            f"the depth image is in the format '{form:.80}': set the transport's format to png"
        )
    try:
        numbers = _sixteen_bits(data[_HEADER.size :])
    except ObservationError as error:
        raise ObservationError(f"{len(data)} bytes of depth '{form:.80}': {error}") from error
    if kind == _MILLIMETRES:
        return numbers.astype(np.float32) * np.float32(0.001)
    _, a, b = _HEADER.unpack_from(data)
    if not np.isfinite([a, b]).all() or a <= 0.0:
        raise ObservationError(f"depth '{form:.80}' has the parameters {a:g} and {b:g}")
    with np.errstate(divide='ignore', over='ignore'):
        metres = np.float32(a) / (numbers.astype(np.float32) - np.float32(b))
    return np.asarray(np.where(numbers == 0, np.float32(np.nan), metres), dtype=np.float32)


def _sixteen_bits(png: bytes) -> NDArray[np.uint16]:
    """Return the numbers (h, w) uint16 of a PNG; raises ObservationError for anything else."""
    import cv2  # not at the top: only compressed cameras need OpenCV

    facts = read_facts(png)
    if facts.kind != 'PNG' or facts.bits != 16 or not facts.grey:
        raise ObservationError(f'it holds a {facts.kind} of {facts.bits} bits, not a 16-bit PNG')
    try:
        found = cv2.imdecode(np.frombuffer(sound_png(png), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None or found.dtype != np.uint16 or found.shape != (facts.height, facts.width):
        raise ObservationError('the PNG cannot be decoded')
    return np.asarray(found, dtype=np.uint16)
