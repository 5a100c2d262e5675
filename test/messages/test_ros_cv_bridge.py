"""What cv_bridge and rosbags-image make of an image, we do; a cv_bridge that fails is told of."""

from __future__ import annotations

import logging
import sys
from array import array
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import Image

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages import images, ros_cv_bridge
from robomamba_ros.messages.images import image_to_rgb
from robomamba_ros.messages.ros_cv_bridge import PIXEL_BYTES, CvBridge, find_cv_bridge

HEIGHT, WIDTH = 24, 32
ALL_BYTES = {**PIXEL_BYTES, 'uyvy': 2, 'yuyv': 2, 'nv12': 1, 'nv21': 1}


def made_image(encoding: str, padding: int = 0, seed: int = 0) -> Image:
    """Return an image of noise; padding: bytes at the end of each row."""
    rows = HEIGHT * 3 // 2 if encoding.startswith('nv') else HEIGHT
    step = WIDTH * ALL_BYTES[encoding] + padding
    pixels = np.random.default_rng(seed).integers(0, 256, rows * step, dtype=np.uint8)
    message = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=step)
    message.data = array('B', pixels.tobytes())
    return message


@pytest.fixture
def ours(monkeypatch):
    """Return what decodes an image without cv_bridge."""

    def decode(message: Image) -> np.ndarray:
        with monkeypatch.context() as patch:
            patch.setattr(images, 'find_cv_bridge', lambda: None)
            return image_to_rgb(message)

    return decode


@pytest.mark.parametrize('padding', [0, 12])
@pytest.mark.parametrize('encoding', PIXEL_BYTES)
def test_pixels_are_those_of_cv_bridge(encoding: str, padding: int, ours) -> None:
    pytest.importorskip('cv_bridge', reason='ROS has not installed cv_bridge for this Python')
    bridge = find_cv_bridge()
    if bridge is None or encoding not in bridge.encodings:
        pytest.skip(f'the installed cv_bridge does not work here, or does not know {encoding}')
    message = made_image(encoding, padding)
    assert bridge.takes(message)
    assert np.array_equal(bridge.to_rgb(message), ours(message))


# It truncates mono16 to eight bits, where cv_bridge rounds.
@pytest.mark.parametrize('encoding', sorted(set(ALL_BYTES) - {'mono16'}))
def test_pixels_are_those_of_rosbags_image(encoding: str, ours) -> None:
    theirs = pytest.importorskip('rosbags.image', reason='rosbags-image is not installed')
    message = made_image(encoding)
    if encoding.startswith('nv'):  # it reads no second plane: give it the rows of both
        flat = made_image(encoding)
        flat.height = HEIGHT * 3 // 2
        expected = theirs.image_to_cvimage(flat, 'rgb8')
    else:
        expected = theirs.image_to_cvimage(message, 'rgb8')
    assert np.array_equal(ours(message), expected)


def failing(package: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what is logged of a package cv_bridge of this code, which is not to be used."""
    (package / 'cv_bridge').mkdir()
    (package / 'cv_bridge/__init__.py').write_text(code)
    monkeypatch.setattr(sys, 'path', [str(package), *sys.path])
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    monkeypatch.delitem(sys.modules, 'cv_bridge')
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    log = logging.getLogger(ros_cv_bridge.__name__)
    find_cv_bridge.cache_clear()
    log.addHandler(handler)
    try:
        assert find_cv_bridge() is None
        assert find_cv_bridge() is None
    finally:
        log.removeHandler(handler)
        find_cv_bridge.cache_clear()
    assert 'cv_bridge' not in sys.modules
    (record,) = records
    return record.getMessage()


OF_NUMPY_1 = """
import sys
sys.stderr.write('A module that was compiled using NumPy 1.x cannot be run in NumPy 2.4.6')
class CvBridge:
    def imgmsg_to_cv2(self, message, encoding):
        import os
        os.kill(os.getpid(), 11)
"""
WRONG_COLOURS = """
import numpy as np
class CvBridge:
    def imgmsg_to_cv2(self, message, encoding):
        return np.array([[list(message.data)]])
"""


@pytest.mark.parametrize(
    ('code', 'said'),
    [
        (OF_NUMPY_1, 'it was compiled for NumPy 1: install numpy<2 here, or a cv_bridge built for'),
        (WRONG_COLOURS, r'it makes [[[1, 2, 3]]] of a bgr8 pixel 1 2 3: install it again for this'),
        ('import nothing_of_that_name', "No module named 'nothing_of_that_name'"),
        ('import os; os.abort()', 'it ended with -6'),
    ],
    ids=['of NumPy 1', 'wrong colours', 'incomplete', 'crashes'],
)
def test_a_cv_bridge_that_fails_is_told_of_once_and_not_used(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = failing(tmp_path, code, monkeypatch)
    assert said in message
    assert 'Images are decoded without it, to the same pixels' in message


class Failing:
    """A cv_bridge that converts nothing."""

    def imgmsg_to_cv2(self, message: Image, encoding: str) -> np.ndarray:
        raise TypeError('no such conversion')


def test_images_that_cv_bridge_gets_wrong_do_not_go_through_it(monkeypatch) -> None:
    bridge = CvBridge(Failing(), frozenset(PIXEL_BYTES) - {'bayer_gbrg8'})
    monkeypatch.setattr(images, 'find_cv_bridge', lambda: bridge)
    with pytest.raises(ObservationError, match='cv_bridge cannot convert an image of 32 x 24 rgb8'):
        image_to_rgb(made_image('rgb8'))
    big_endian = made_image('mono16')
    big_endian.is_bigendian = 1
    longer = made_image('rgb8')
    longer.data.append(0)
    for message in (
        big_endian,
        made_image('bgr8', padding=5),
        made_image('bayer_gbrg8'),
        made_image('nv12'),
        longer,
    ):
        assert image_to_rgb(message).shape == (HEIGHT, WIDTH, 3)
    short = made_image('rgb8')
    short.step = 3
    with pytest.raises(ObservationError, match='step 3 does not fit'):
        image_to_rgb(short)
    odd = made_image('yuv422')
    odd.width = 31
    with pytest.raises(ObservationError, match='must be even'):
        image_to_rgb(odd)
