"""Writes RGB images as a video that a browser plays.

VP9 in MP4 is what both the wheels of OpenCV can encode (they carry no H.264 encoder) and current
browsers decode.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2

from robomamba_ros.errors import DataError
from robomamba_ros.types import UInt8Array

SUFFIX = '.mp4'


def write_video(path: Path, images: Iterable[UInt8Array], fps: float) -> None:
    """Write RGB images (h, w, 3) uint8, all of one size, as VP9 in MP4 at `fps` images per second.

    Raises DataError for another suffix, no images, images of several sizes, or no encoder.
    """
    if path.suffix != SUFFIX:
        raise DataError(f"a video is written as {SUFFIX}, not '{path.name}'")
    writer: cv2.VideoWriter | None = None
    shape: tuple[int, ...] = ()
    try:
        for index, image in enumerate(images):
            if writer is None:
                shape = image.shape
                path.parent.mkdir(parents=True, exist_ok=True)
                codec = cv2.VideoWriter.fourcc(*'vp09')
                writer = cv2.VideoWriter(str(path), codec, fps, (shape[1], shape[0]))
                if not writer.isOpened():
                    raise DataError(f"OpenCV cannot write '{path}': no VP9 encoder, or no folder")
            if image.shape != shape:
                raise DataError(f'image {index} has shape {image.shape}, the first one {shape}')
            writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    finally:
        if writer is not None:
            writer.release()
    if writer is None:
        raise DataError(f"there are no images to write to '{path}'")
