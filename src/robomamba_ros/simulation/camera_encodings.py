"""Images in the encodings that cameras send, for simulated cameras."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.messages.images import ENCODINGS, MONO16
from robomamba_ros.types import UInt8Array

# Channel of each pixel of a square of two by two: 0 red, 1 green, 2 blue.
BAYER = {
    'bayer_rggb8': ((0, 1), (1, 2)),
    'bayer_bggr8': ((2, 1), (1, 0)),
    'bayer_gbrg8': ((1, 2), (0, 1)),
    'bayer_grbg8': ((1, 0), (2, 1)),
}
# Of two pixels side by side: where their brightness and their common colours stand.
_PACKED = {
    'yuv422': ('u', 'y', 'v', 'y'),
    'uyvy': ('u', 'y', 'v', 'y'),
    'yuv422_yuy2': ('y', 'u', 'y', 'v'),
    'yuyv': ('y', 'u', 'y', 'v'),
}
# Rec. 601 with the range of video, as OpenCV decodes it: brightness and two differences of colour.
_YUV = np.array([[0.257, 0.504, 0.098], [-0.148, -0.291, 0.439], [0.439, -0.368, -0.071]])
_GREY = np.array([0.299, 0.587, 0.114])


def encode(picture: UInt8Array, encoding: str) -> NDArray[Any]:
    """Return RGB (h, w, 3) as the rows of an image in `encoding`; h and w even where it needs it.

    (h, w, channels) of uint8, (h, w) of uint16 for mono16, and (3 h / 2, w) for two planes.
    """
    if encoding in ('mono8', MONO16):
        grey = np.rint(picture @ _GREY)
        return grey.astype(np.uint8)[:, :, None] if encoding == 'mono8' else _as_uint16(grey)
    if encoding in ENCODINGS:
        channels, rgb = ENCODINGS[encoding]
        pixels = np.full((*picture.shape[:2], channels), 255, dtype=np.uint8)
        pixels[:, :, rgb] = picture
        return pixels
    if encoding in BAYER:
        pixels = np.empty(picture.shape[:2], dtype=np.uint8)
        for (row, column), channel in np.ndenumerate(np.array(BAYER[encoding])):
            pixels[row::2, column::2] = picture[row::2, column::2, channel]
        return pixels
    yuv = picture @ _YUV.T + np.array([16.0, 128.0, 128.0])
    y, u, v = np.moveaxis(np.rint(yuv).clip(0, 255).astype(np.uint8), 2, 0)
    if encoding in _PACKED:
        bytes_of = {'u': [u[:, ::2]], 'v': [v[:, ::2]], 'y': [y[:, ::2], y[:, 1::2]]}
        planes = [bytes_of[name].pop(0) for name in _PACKED[encoding]]
        return np.stack(planes, axis=2).reshape(*picture.shape[:2], 2)
    colours = (u, v) if encoding == 'nv12' else (v, u)
    second = np.stack([plane[::2, ::2] for plane in colours], axis=2)
    return np.concatenate([y, second.reshape(-1, picture.shape[1])])


def _as_uint16(grey: NDArray[np.float64]) -> NDArray[np.uint16]:
    return (grey * 257).astype('<u2')
