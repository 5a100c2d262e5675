"""ROS's cv_bridge, where it is installed: raw images go through it, to the same pixels as ours."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError, shortened
from robomamba_ros.types import UInt8Array

# Bytes per pixel of what cv_bridge makes RGB of; older releases do not know all of them.
PIXEL_BYTES = {
    'rgb8': 3,
    'bgr8': 3,
    'rgba8': 4,
    'bgra8': 4,
    'mono8': 1,
    'mono16': 2,
    'yuv422': 2,
    'yuv422_yuy2': 2,
    'bayer_rggb8': 1,
    'bayer_bggr8': 1,
    'bayer_gbrg8': 1,
    'bayer_grbg8': 1,
}
# Of a trial conversion [s]: it imports OpenCV, on a machine that may be busy.
TRIAL_S = 60.0
# Converts a pixel that is blue 1, green 2, red 3.
_TRIAL = """
from types import SimpleNamespace
from cv_bridge import CvBridge
pixel = SimpleNamespace(height=1, width=1, step=3, is_bigendian=0, data=b'\\1\\2\\3')
pixel.encoding = 'bgr8'
found = CvBridge().imgmsg_to_cv2(pixel, 'rgb8').tolist()
assert found == [[[3, 2, 1]]], f'it makes {found} of a bgr8 pixel 1 2 3'
"""
_NUMPY_1 = 'it was compiled for NumPy 1: install numpy<2 here, or a cv_bridge built for NumPy 2'

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CvBridge:
    """A cv_bridge that works here. bridge: the CvBridge; encodings: those that it knows."""

    bridge: Any
    encodings: frozenset[str]

    def takes(self, message: Any) -> bool:
        """Return whether a sensor_msgs/Image is one of which it gives the right pixels.

        Of big-endian images it loses the type, and it fails on rows that are no whole number of
        pixels. Rows that are too short it takes for a narrower image.
        """
        pixel_bytes = PIXEL_BYTES.get(message.encoding, 1)
        if message.encoding not in self.encodings or message.is_bigendian:
            return False
        height, width, step = message.height, message.width, message.step
        even = width % 2 == 0 or not message.encoding.startswith('yuv')
        sound = 0 < width * pixel_bytes <= step and len(message.data) == height * step > 0
        return even and sound and step % pixel_bytes == 0

    def to_rgb(self, message: Any) -> UInt8Array:
        """Return an image that it takes as RGB (h, w, 3) uint8; raises ObservationError."""
        try:
            return np.asarray(self.bridge.imgmsg_to_cv2(message, 'rgb8'), dtype=np.uint8)
        except Exception as error:  # CvBridgeError, and whatever OpenCV raises
            raise ObservationError(
                f'cv_bridge cannot convert an image of {message.width} x {message.height} '
                f'{message.encoding:.60}: {shortened(str(error), 300)}'
            ) from error


@cache
def find_cv_bridge() -> CvBridge | None:
    """Return the cv_bridge of this Python, None where there is none.

    One that does not work is reported, once, with the remedy. It is tried in a process of its own,
    because one that was compiled for NumPy 1 may end the process that uses it beside NumPy 2.
    """
    if importlib.util.find_spec('cv_bridge') is None:
        return None
    if problem := _problem():
        _log.warning(
            'cv_bridge is installed and does not work here; %s. Images are decoded without it, to '
            'the same pixels',
            problem,
        )
        return None
    from cv_bridge import CvBridge as Bridge
    from cv_bridge import CvBridgeError

    bridge = Bridge()
    known = set(PIXEL_BYTES)
    for encoding in PIXEL_BYTES:
        try:
            bridge.encoding_to_cvtype2(encoding)
        except CvBridgeError:
            known.remove(encoding)
    return CvBridge(bridge, frozenset(known))


def _problem() -> str:
    """Return why cv_bridge does not work in a process like this one, '' where it does."""
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    try:
        trial = subprocess.run(
            [sys.executable, '-c', _TRIAL],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f'trying it failed: {shortened(str(error), 200)}'
    if trial.returncode == 0:
        return ''
    said = trial.stderr.decode(errors='replace')
    if 'NumPy 1' in said or '_ARRAY_API' in said:
        return _NUMPY_1
    last = (said.strip().splitlines() or [f'it ended with {trial.returncode}'])[-1]
    return f'{shortened(last, 200)}: install it again for this Python'
