from __future__ import annotations

import struct
from array import array
from dataclasses import replace
from zlib import compress, crc32

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.images import (
    CONVERTED,
    ENCODINGS,
    camera_intrinsics,
    camera_to_rgb,
    depth_to_metres,
    image_to_rgb,
)
from robomamba_ros.nodes.common.conversions import rgb_to_image
from robomamba_ros.robots.parts import Camera
from robomamba_ros.simulation.camera_encodings import BAYER, encode

COMPRESSED = Camera('head', '/c', 'rgb8', 'compressed', 0.5, True)
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
        image_to_rgb(raw(RGB, 'yuv444'))
    assert "'yuv444'" in str(caught.value)
    assert all(encoding in str(caught.value) for encoding in (*ENCODINGS, *CONVERTED))


# Smooth, so that what a pixel lacks of its colours is that of its neighbours.
ROWS, COLUMNS = np.mgrid[0:24, 0:32]
SMOOTH = np.stack([40 + 5 * ROWS, 60 + 4 * COLUMNS, 200 - 3 * ROWS], axis=2).astype(np.uint8)


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', CONVERTED)
def test_a_camera_that_sends_no_rgb_is_decoded(encoding: str, padding: int) -> None:
    rows = encode(SMOOTH, encoding)
    message = raw(rows, encoding, padding)
    message.height = len(SMOOTH)
    image = image_to_rgb(message)
    assert (image.shape, image.dtype) == (SMOOTH.shape, np.uint8)
    # Away from the edges; colours are shared by two pixels, or by four.
    assert np.abs(image.astype(int) - SMOOTH)[3:-3, 3:-3].max() <= 8
    mistaken = np.abs(image[:, :, ::-1].astype(int) - SMOOTH)[3:-3, 3:-3]
    assert mistaken.mean() > 20


@pytest.mark.parametrize('pattern', BAYER)
def test_every_bayer_pattern_gives_its_own_colours(pattern: str) -> None:
    plain = np.empty((8, 8, 3), dtype=np.uint8)
    plain[:] = (10, 120, 230)
    assert np.array_equal(image_to_rgb(raw(encode(plain, pattern), pattern)), plain)


@pytest.mark.parametrize('order', ['<', '>'])
def test_sixteen_bits_of_grey_become_eight(order: str) -> None:
    grey = np.array([[0, 128, 129, 65535], [257, 514, 32767, 65406]], dtype=f'{order}u2')
    message = raw(grey.view(np.uint8).reshape(2, 4, 2), 'mono16', padding=2)
    message.is_bigendian = order == '>'
    expected = np.rint(grey.astype(float) * 255 / 65535).astype(np.uint8)
    assert np.array_equal(image_to_rgb(message), np.repeat(expected[:, :, None], 3, axis=2))


def test_colours_of_several_pixels_need_an_even_size() -> None:
    message = raw(RGB[:, :, :2], 'yuyv')
    with pytest.raises(ObservationError, match=r'7 x 5 cannot be yuyv.* must be even'):
        image_to_rgb(message)


@pytest.mark.parametrize(('encoding', 'sent'), [('bgr8', '8UC3'), ('rgba8', '8UC4')])
def test_bytes_without_a_meaning_have_that_of_the_contract(encoding: str, sent: str) -> None:
    camera = Camera('front', 'image', encoding, 'raw', 0.1, True)
    message = raw(encode(RGB, encoding), sent)
    assert np.array_equal(camera_to_rgb(message, camera), RGB)
    with pytest.raises(ObservationError, match='sends 8UC1, the arm contract says'):
        camera_to_rgb(raw(RGB[:, :, :1], '8UC1'), camera)


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


def decoded(message: CompressedImage) -> np.ndarray:
    """Return the image of a colour camera."""
    return camera_to_rgb(message, COMPRESSED)


def compressed(rgb: np.ndarray, suffix: str, name: str) -> CompressedImage:
    _, data = cv2.imencode(suffix, rgb[:, :, ::-1])
    return CompressedImage(format=name, data=array('B', data.tobytes()))


def test_png_keeps_every_pixel() -> None:
    message = compressed(RGB, '.png', 'rgb8; png compressed bgr8')
    assert np.array_equal(decoded(message), RGB)


def test_jpeg_red_stays_red() -> None:
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[:, :, 0] = 250
    image = decoded(compressed(red, '.jpg', 'jpeg'))
    assert np.abs(image.astype(int) - red).max() <= 3


def test_other_compressions_are_refused() -> None:
    with pytest.raises(ObservationError, match=r"'webp': it is neither a JPEG nor a PNG"):
        decoded(compressed(RGB, '.webp', 'webp'))


@pytest.mark.parametrize('name', ['png', '16UC1; png compressed ', 'mono16; png compressed mono16'])
def test_depth_in_a_png_is_refused(name: str) -> None:
    grey = RGB[:, :, 0].astype(np.uint16) << 8
    data = cv2.imencode('.png', grey)[1].tobytes()
    with pytest.raises(ObservationError, match='16-bit and depth are not supported; supported: 8-'):
        decoded(CompressedImage(format=name, data=array('B', data)))


@pytest.mark.parametrize(
    'name', ['bayer_rggb16; jpeg compressed bgr8', 'rgb8;compressed bgr8', '', 'image/jpeg']
)
def test_an_image_is_what_its_bytes_say(name: str) -> None:
    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[:, :, 0] = 250
    image = decoded(compressed(red, '.jpg', name))
    assert np.abs(image.astype(int) - red).max() <= 3


def smooth_jpeg(channels: int = 3) -> bytes:
    rough = np.random.default_rng(0).integers(0, 255, (12, 16, channels), dtype=np.uint8)
    image = cv2.resize(rough, (640, 480), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode('.jpg', image)[1].tobytes()


def from_bytes(data: bytes, name: str = 'jpeg') -> CompressedImage:
    return CompressedImage(format=name, data=array('B', data))


@pytest.mark.parametrize('share', [0.3, 0.9, 0.99999])
def test_a_jpeg_that_is_cut_off_is_refused(share: float) -> None:
    data = smooth_jpeg()
    with pytest.raises(ObservationError, match='the JPEG is cut off'):
        decoded(from_bytes(data[: int(len(data) * share)]))


def test_a_jpeg_whose_middle_is_lost_is_refused() -> None:
    pytest.importorskip('simplejpeg', reason='simplejpeg, which notices it, is not installed')
    data = bytearray(smooth_jpeg())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    with pytest.raises(ObservationError, match='the JPEG is damaged: Corrupt JPEG data'):
        decoded(from_bytes(bytes(data)))


def test_a_decoder_that_notices_damage_gives_the_same_pixels() -> None:
    pytest.importorskip('simplejpeg', reason='simplejpeg, which notices it, is not installed')
    data = smooth_jpeg()
    expected = cv2.cvtColor(
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )
    np.testing.assert_array_equal(decoded(from_bytes(data)), expected)
    # Cameras fill up what they send: before the end, and after it.
    for padded in (data[:-2] + bytes(3) + data[-2:], data + bytes(5000)):
        np.testing.assert_array_equal(decoded(from_bytes(padded)), expected)


def test_a_grey_image_of_a_colour_camera_is_refused() -> None:
    grey = from_bytes(smooth_jpeg(1), 'yuv422_yuy2; jpeg compressed mono8')
    with pytest.raises(ObservationError, match=r"camera 'head' sends grey .* says rgb8; .*mono8"):
        decoded(grey)
    image = camera_to_rgb(grey, replace(COMPRESSED, encoding='mono8'))
    assert image.shape == (480, 640, 3)
    assert (image[..., 0] == image[..., 2]).all()
    assert decoded(from_bytes(smooth_jpeg())).shape == (480, 640, 3)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', crc32(kind + data))

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    empty = chunk(b'IDAT', compress(bytes(100))) + chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + empty


@pytest.mark.parametrize('size', [(20_000, 10_000), (60_000, 60_000), (2**31 - 1, 1)])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    big = f'it is a PNG of {size[0]} x {size[1]}, more than 40000000 pixels'
    with pytest.raises(ObservationError, match=big):
        decoded(from_bytes(png_header(*size), 'png'))
    jpeg = bytearray(smooth_jpeg())
    frame = jpeg.index(b'\xff\xc0')
    jpeg[frame + 5 : frame + 9] = struct.pack('>HH', 65_000, 65_000)
    with pytest.raises(ObservationError, match='it is a JPEG of 65000 x 65000, more than'):
        decoded(from_bytes(bytes(jpeg)))


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = smooth_jpeg()
    scan = data.index(b'\xff\xda')
    many = data[:scan] + b'\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00' * 1000 + data[scan:]
    with pytest.raises(ObservationError, match='more than 100 scans'):
        decoded(from_bytes(many))


@pytest.mark.parametrize('data', [b'', b'not an image'])
def test_broken_data_is_refused(data: bytes) -> None:
    with pytest.raises(ObservationError, match=f'{len(data)} bytes of compressed image'):
        decoded(CompressedImage(format='jpeg', data=array('B', data)))


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


def test_a_png_whose_chunks_lie_is_refused() -> None:
    data = cv2.imencode('.png', RGB[:, :, ::-1])[1].tobytes()
    at = data.index(b'IDAT')
    long = data[: at - 4] + struct.pack('>I', 2**32 - 16) + data[at:]
    flipped = data[: at + 20] + bytes([data[at + 20] ^ 1]) + data[at + 21 :]
    for bent, said in ((long, 'cut off'), (flipped, 'checksum'), (data[:-1], 'cut off')):
        with pytest.raises(ObservationError, match=f'the PNG is .*{said}'):
            decoded(from_bytes(bent, 'png'))
    twice = data[: at - 4] + data[8 : at - 4] + data[at - 4 :]
    with pytest.raises(ObservationError, match='its header is not where it has to be'):
        decoded(from_bytes(twice, 'png'))
    # What is no pixels is left alone, whatever it says.
    text = struct.pack('>I', 4) + b'teSt' + b'abcd' + struct.pack('>I', crc32(b'teStabcd'))
    more = data[: at - 4] + text + data[at - 4 :]
    np.testing.assert_array_equal(decoded(from_bytes(more, 'png')), RGB)


def test_an_encoding_without_end_is_shown_shortened() -> None:
    message = Image(height=4, width=4, encoding='x' * 100_000, step=12, data=bytes(48))
    with pytest.raises(ObservationError) as error:
        image_to_rgb(message)
    assert len(str(error.value)) < 500


def compressed_depth(numbers: np.ndarray, form: str, a: float = 0.0, b: float = 0.0):
    """Return depth as compressed_depth_image_transport sends it."""
    png = cv2.imencode('.png', numbers)[1].tobytes()
    data = array('B', struct.pack('<iff', 0, a, b) + png)
    return CompressedImage(format=form, data=data)


@pytest.mark.parametrize('form', ['16UC1; compressedDepth', '16UC1; compressedDepth png'])
def test_compressed_depth_in_millimetres(form: str) -> None:
    numbers = np.array([[0, 1, 1500], [40000, 65535, 7]], np.uint16)
    metres = depth_to_metres(compressed_depth(numbers, form))
    assert metres.dtype == np.float32
    assert np.allclose(metres, numbers / 1000.0)


def test_compressed_depth_in_metres_comes_as_inverse_depth() -> None:
    """The transport writes number = a / depth + b for depths up to its maximum."""
    quantum, furthest = 100.0, 10.0
    a = quantum * (quantum + 1.0)
    b = 1.0 - a / furthest
    metres = np.array([[0.5, 1.0], [2.5, 9.9]])
    numbers = (a / metres + b).astype(np.uint16)
    numbers[0, 1] = 0  # nothing was seen there
    found = depth_to_metres(compressed_depth(numbers, '32FC1; compressedDepth png', a, b))
    assert np.isnan(found[0, 1])
    assert np.allclose(found[[0, 1, 1], [0, 0, 1]], metres[[0, 1, 1], [0, 0, 1]], rtol=0.01)


@pytest.mark.parametrize(
    ('form', 'numbers', 'cut', 'said'),
    [
        (
            '16UC1; compressedDepth rvl',
            np.zeros((2, 2), np.uint16),
            0,
            "set the transport's format",
        ),
        ('16UC1; jpeg compressed', np.zeros((2, 2), np.uint16), 0, 'supported: .16UC1; compressed'),
        ('16UC1; compressedDepth png', np.zeros((2, 2), np.uint8), 0, 'a PNG of 8 bits, not a 16-'),
        ('16UC1; compressedDepth png', np.zeros((2, 2), np.uint16), 9, 'the PNG is cut off'),
        ('16UC1; compressedDepth png', np.zeros((2, 2), np.uint16), 1000, 'neither a JPEG nor a'),
        ('32FC1; compressedDepth png', np.zeros((2, 2), np.uint16), 0, 'the parameters 0 and 0'),
    ],
)
def test_compressed_depth_that_cannot_be_read_is_refused(
    form: str, numbers: np.ndarray, cut: int, said: str
) -> None:
    message = compressed_depth(numbers, form)
    message.data = message.data[: max(len(message.data) - cut, 0)]
    with pytest.raises(ObservationError, match=said):
        depth_to_metres(message)
