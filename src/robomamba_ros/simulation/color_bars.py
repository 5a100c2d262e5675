"""A test image for cameras that are absent: colour bars, a moving marker, the camera's name."""

from __future__ import annotations

import numpy as np

from robomamba_ros.types import NANOSECONDS, UInt8Array

# From left to right, brightest first as on a television: with red and blue exchanged the second
# bar is cyan instead of yellow, and blue comes before red.
BARS = (
    ('white', (235, 235, 235)),
    ('yellow', (235, 235, 16)),
    ('cyan', (16, 235, 235)),
    ('green', (16, 235, 16)),
    ('magenta', (235, 16, 235)),
    ('red', (235, 16, 16)),
    ('blue', (16, 16, 235)),
    ('black', (16, 16, 16)),
)
# The marker crosses the picture once in this time [s].
CROSSING_S = 4.0
# Shares of the height that bars and text take; the marker runs below, in the rest.
_BARS_END, _TEXT_END = 0.6, 0.8

# Letters of 3 x 5 dots, row by row from the top left: 15 bits each, in 4 hexadecimal digits.
_CHARACTERS = 'abcdefghijklmnopqrstuvwxyz0123456789_-.'
_GLYPHS = (
    '2bed6bae39236b6e79a779a4396b5bed7497126a5bad49275fed6b6d2b6a6ba42b736bad388e7492'
    '5b6f5b6a5bfd5aad5a9272a77b6f2c9762a7628e5bc9798e39ef72927bef7bce000701c00002'
)
_UNKNOWN = '7fff'


class ColorBars:
    """The picture of a camera: RGB (height, width, 3) uint8, the same for the same time.

    lane: the rows in which the marker runs.
    """

    def __init__(self, name: str, width: int, height: int) -> None:
        columns = np.arange(width) * len(BARS) // width
        row = np.array([color for _, color in BARS], dtype=np.uint8)[columns]
        bars_end, text_end = round(_BARS_END * height), round(_TEXT_END * height)
        self._picture = np.full((height, width, 3), 64, dtype=np.uint8)
        self._picture[:bars_end] = row
        dots = _dots(name)
        size = max(1, min((text_end - bars_end) // (len(dots) + 2), width // (dots.shape[1] + 2)))
        text = np.kron(dots, np.ones((size, size), dtype=np.uint8))[: text_end - bars_end, :width]
        area = self._picture[bars_end + size :, size:][: text.shape[0], : text.shape[1]]
        area[text[: area.shape[0], : area.shape[1]] > 0] = 235
        self.lane = slice(text_end, height)

    def at(self, now_ns: int) -> UInt8Array:
        """Return the picture at a time, with the marker where it then is."""
        picture = self._picture.copy()
        picture[self.lane, self.marker(now_ns)] = BARS[0][1]
        return picture

    def marker(self, now_ns: int) -> slice:
        """Return the columns of the marker at a time."""
        width = self._picture.shape[1]
        size = max(1, width // 16)
        share = now_ns % round(CROSSING_S * NANOSECONDS) / (CROSSING_S * NANOSECONDS)
        start = int(share * (width - size))
        return slice(start, start + size)


def _dots(text: str) -> UInt8Array:
    """Return text as dots (5, 4 n), 1 where a letter is; a character unknown is a full block."""
    places = [4 * _CHARACTERS.find(letter) for letter in text.lower()]
    glyphs = [_GLYPHS[place : place + 4] if place >= 0 else _UNKNOWN for place in places]
    bits = [f'{int(glyph, 16):015b}' for glyph in glyphs]
    letters = [np.array(list(each), dtype=np.uint8).reshape(5, 3) for each in bits]
    return np.hstack([np.pad(each, ((0, 0), (0, 1))) for each in letters])
