"""JPEG and PNG as RGB, in bounded memory, and refused where they are damaged.

What an image is, its own first bytes say: the format that a message names is that of a driver's
settings.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError
from robomamba_ros.types import UInt8Array

# Room for 8K video: 120 MB as RGB. A PNG of half a megabyte can hold 200 million pixels.
MAX_PIXELS = 40_000_000
# Each scan of a progressive JPEG is another pass over all pixels; encoders write about ten.
MAX_SCANS = 100

_JPEG, _PNG = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
_END, _SCAN = b'\xff\xd9', b'\xff\xda'
_PNG_CHUNKS = (b'IHDR', b'PLTE', b'tRNS', b'IDAT', b'IEND')
# Start of frame: all of 0xc0 .. 0xcf but tables (c4), an extension (c8) and arithmetic coding (cc).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class CompressedFacts:
    """What the header of a compressed image says: kind, size, bits and channels of a pixel."""

    kind: str
    height: int
    width: int
    bits: int
    grey: bool


def read_facts(data: bytes) -> CompressedFacts:
    """Return what the header of a JPEG or PNG says; raises ObservationError for anything else."""
    try:
        facts = _png_facts(data) if data.startswith(_PNG) else _jpeg_facts(data)
    except (struct.error, IndexError):
        facts = None
    if facts is None or not facts.height or not facts.width:
        raise ObservationError('it is neither a JPEG nor a PNG, which are what is supported')
    if facts.height * facts.width > MAX_PIXELS:
        raise ObservationError(
            f'it is a {facts.kind} of {facts.width} x {facts.height}, more than {MAX_PIXELS} pixels'
        )
    return facts


def decode(data: bytes, facts: CompressedFacts) -> UInt8Array:
    """Return the image as RGB (h, w, 3) uint8; raises ObservationError where it is damaged.

    The orientation tag of a JPEG is ignored, as image_transport does.
    """
    if facts.kind == 'JPEG':
        if data.rfind(_END) < data.find(_SCAN):
            raise ObservationError('the JPEG is cut off')
        if data.count(_SCAN) > MAX_SCANS:
            raise ObservationError(f'the JPEG has more than {MAX_SCANS} scans')
    strictly = facts.kind == 'JPEG'
    rgb = _decode_strictly(data) if strictly else _decode_by_opencv(sound_png(data))
    if rgb is None or rgb.shape != (facts.height, facts.width, 3):
        raise ObservationError(f'the {facts.kind} cannot be decoded')
    return rgb


def _decode_strictly(data: bytes) -> UInt8Array | None:
    """Return the pixels that OpenCV gives, unless the decoder noticed damage, which that keeps."""
    try:
        import simplejpeg
    except ImportError:  # an installation without it notices images that are cut off, and no more
        return _decode_by_opencv(data)
    try:
        rgb: Any = simplejpeg.decode_jpeg(data, 'RGB', fastdct=False, fastupsample=False)
    except ValueError as error:
        raise ObservationError(f'the JPEG is damaged: {error}') from error
    return np.asarray(rgb)


def _decode_by_opencv(data: bytes) -> UInt8Array | None:
    import cv2  # not at the top: only compressed cameras need OpenCV

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def sound_png(data: bytes) -> bytes:
    """Return a PNG without what is no pixels; ObservationError where a chunk is damaged.

    OpenCV reserves what the length of a chunk declares, up to 4 GB, before it reads the chunk.
    """
    place, kept = len(_PNG), [_PNG]
    while place + 12 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, place)
        end = place + 12 + length
        if end > len(data):
            break
        if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], 'big'):
            raise ObservationError('the PNG is damaged: the checksum of a chunk of it is wrong')
        if (kind == b'IHDR') != (len(kept) == 1):
            raise ObservationError('the PNG is damaged: its header is not where it has to be')
        if kind in _PNG_CHUNKS:
            kept.append(data[place:end])
        if kind == b'IEND':
            return b''.join(kept)
        place = end
    raise ObservationError('the PNG is cut off')


def _png_facts(data: bytes) -> CompressedFacts:
    width, height, bits, colour = struct.unpack_from('>IIBB', data, 16)
    return CompressedFacts('PNG', height, width, bits, grey=colour in (0, 4))


def _jpeg_facts(data: bytes) -> CompressedFacts | None:
    """Return what the start of frame says (ISO 10918-1, B.2.2)."""
    place = 2 if data.startswith(_JPEG) else len(data)
    while place < len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # fill bytes
            place += 1
            continue
        (length,) = struct.unpack_from('>H', data, place + 2)
        if marker in _FRAMES:
            bits, height, width, channels = struct.unpack_from('>BHHB', data, place + 4)
            return CompressedFacts('JPEG', height, width, bits, grey=channels == 1)
        place += 2 + length
    return None
