from __future__ import annotations

from array import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from robomamba_ros.data.image_messages import (
    ENCODINGS,
    camera_intrinsics,
    compressed_image_to_rgb,
    depth_to_metres,
    image_to_rgb,
)
from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes.conversions import rgb_to_image

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def raw(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data = array('B', rows.tobytes())
    return message


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize(
    ('encoding', 'channels'),
    [('rgb8', (0, 1, 2)), ('bgr8', (2, 1, 0)), ('rgba8', (0, 1, 2, 0)), ('bgra8', (2, 1, 0, 0))],
)
def test_colours_come_in_rgb_order(encoding: str, channels: tuple[int, ...], padding: int) -> None:
    image = image_to_rgb(raw(RGB[:, :, channels], encoding, padding))
    assert image.dtype == np.uint8
    assert image.flags['C_CONTIGUOUS']
    assert np.array_equal(image, RGB)


def test_grey_becomes_three_equal_channels() -> None:
    image = image_to_rgb(raw(RGB[:, :, 1:2], 'mono8', padding=2))
    assert np.array_equal(image, np.repeat(RGB[:, :, 1:2], 3, axis=2))


def test_an_image_sent_is_the_image_received() -> None:
    message = rgb_to_image(RGB, 5, 'corner2')
    assert (message.encoding, message.header.frame_id) == ('rgb8', 'corner2')
    assert np.array_equal(image_to_rgb(message), RGB)


def test_another_encoding_is_refused_with_the_supported_ones() -> None:
    with pytest.raises(ObservationError) as caught:
        image_to_rgb(raw(RGB, 'yuv422'))
    assert "'yuv422'" in str(caught.value)
    assert all(encoding in str(caught.value) for encoding in ENCODINGS)


def test_data_shorter_than_the_image_is_refused() -> None:
    message = raw(RGB, 'rgb8')
    message.data = message.data[:-1]
    with pytest.raises(ObservationError, match='7 x 5 rgb8 with step 21 does not fit its 104'):
        image_to_rgb(message)


def test_a_step_shorter_than_a_row_is_refused() -> None:
    message = raw(RGB, 'rgb8')
    message.step = 20
    with pytest.raises(ObservationError, match='step 20'):
        image_to_rgb(message)


def compressed(rgb: np.ndarray, suffix: str, name: str) -> CompressedImage:
    _, data = cv2.imencode(suffix, rgb[:, :, ::-1])
    return CompressedImage(format=name, data=array('B', data.tobytes()))


def test_png_keeps_every_pixel() -> None:
    message = compressed(RGB, '.png', 'rgb8; png compressed bgr8')
    assert np.array_equal(compressed_image_to_rgb(message), RGB)


def test_jpeg_red_stays_red() -> None:
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[:, :, 0] = 250
    image = compressed_image_to_rgb(compressed(red, '.jpg', 'jpeg'))
    assert np.abs(image.astype(int) - red).max() <= 3


@pytest.mark.parametrize('name', ['webp', '16UC1; png compressed '])
def test_other_compressions_are_refused(name: str) -> None:
    with pytest.raises(ObservationError, match='is not supported; supported: 8-bit jpeg'):
        compressed_image_to_rgb(compressed(RGB, '.png', name))


@pytest.mark.parametrize('data', [b'', b'not an image'])
def test_broken_data_is_refused(data: bytes) -> None:
    with pytest.raises(ObservationError, match=f'{len(data)} bytes of compressed image'):
        compressed_image_to_rgb(CompressedImage(format='jpeg', data=array('B', data)))


METRES = np.array([[0.0, 0.5, 1.25], [65.535, 0.001, 2.0]], dtype=np.float32)


def depth_image(values: np.ndarray, encoding: str, padding: int = 0) -> Image:
    message = raw(values.view(np.uint8), encoding, padding)
    message.width = values.shape[1]
    message.is_bigendian = values.dtype.byteorder == '>'
    return message


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('order', ['<', '>'])
def test_depth_comes_in_metres(order: str, padding: int) -> None:
    millimetres = np.rint(METRES * 1000).astype(order + 'u2')
    depth = depth_to_metres(depth_image(millimetres, '16UC1', padding))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, METRES, rtol=1e-6)
    metres = depth_to_metres(depth_image(METRES.astype(order + 'f4'), '32FC1', padding))
    assert metres.dtype == np.float32
    np.testing.assert_array_equal(metres, METRES)


def test_depth_that_is_none_stays_none() -> None:
    holes = np.array([[np.nan, np.inf, 0.0]], dtype='<f4')
    np.testing.assert_array_equal(depth_to_metres(depth_image(holes, '32FC1')), holes)


def test_depth_in_another_encoding_or_cut_short_is_refused() -> None:
    with pytest.raises(ObservationError, match=r"'mono16' is not supported; supported: 16UC1, 32"):
        depth_to_metres(depth_image(np.zeros((2, 3), '<u2'), 'mono16'))
    short = depth_image(np.zeros((2, 3), '<u2'), '16UC1')
    short.data = short.data[:-1]
    with pytest.raises(ObservationError, match='3 x 2 16UC1 with step 6 does not fit its 11 bytes'):
        depth_to_metres(short)


def test_intrinsics_are_k_for_the_size_of_the_image() -> None:
    k = [600.0, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0]
    matrix, size = camera_intrinsics(CameraInfo(width=640, height=480, k=k))
    assert matrix.tolist() == [k[:3], k[3:6], k[6:]]
    assert size == (480, 640)


@pytest.mark.parametrize('focal', [0.0, float('nan')])
def test_a_camera_that_is_not_calibrated_is_refused(focal: float) -> None:
    k = [focal, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0]
    with pytest.raises(ObservationError, match='calibrate the camera'):
        camera_intrinsics(CameraInfo(width=640, height=480, k=k))
