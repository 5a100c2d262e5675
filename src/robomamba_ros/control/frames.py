"""The recent images of one camera, each with the depth image of its time.

Knows nothing about ROS, nor about how pixels are decoded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from robomamba_ros.types import NANOSECONDS, Float32Array, UInt8Array

# Pixels, or what decodes them when they are used: most frames never are.
Image: TypeAlias = UInt8Array | Callable[[], UInt8Array]
Depth: TypeAlias = Float32Array | Callable[[], Float32Array]

# Depth is often computed from the images, and comes some frames later.
KEPT = 8


class Frame(NamedTuple):
    """A colour image with its stamp [ns], and its depth image where there is one."""

    stamp_ns: int
    image: Image
    depth: Depth | None = None

    def rgb(self) -> UInt8Array:
        """Return the colour image (h, w, 3), decoded now where it was not."""
        return self.image() if callable(self.image) else self.image

    def metres(self) -> Float32Array | None:
        """Return the depth (h, w) [m], decoded now where it was not; None without any."""
        return self.depth() if callable(self.depth) else self.depth


class CameraFrames:
    """The newest colour image, and the newest one that is complete: with depth, if it needs it.

    A depth image belongs to the colour image nearest in time, no further from it than half the
    shortest interval between images of either stream, nor than the camera's budget. Before there
    is an interval the stamps must be equal.
    """

    def __init__(self, *, needs_depth: bool, budget_s: float) -> None:
        self._needs_depth = needs_depth
        self._budget_ns = round(budget_s * NANOSECONDS)
        self._images: deque[tuple[int, Image]] = deque(maxlen=KEPT if needs_depth else 1)
        self._depths: deque[tuple[int, Depth]] = deque(maxlen=KEPT)
        self.complete: Frame | None = None

    @property
    def newest(self) -> Frame | None:
        """The newest colour image."""
        return Frame(*self._images[-1]) if self._images else None

    def add_image(self, stamp_ns: int, image: Image) -> None:
        """Take a colour image; one that is not newer than the last is ignored."""
        if not self._images or stamp_ns > self._images[-1][0]:
            self._images.append((stamp_ns, image))
            self.complete = self._match() if self._needs_depth else self.newest

    def add_depth(self, stamp_ns: int, depth: Depth) -> None:
        """Take a depth image; one that is not newer than the last is ignored."""
        if not self._depths or stamp_ns > self._depths[-1][0]:
            self._depths.append((stamp_ns, depth))
            self.complete = self._match()

    def clear(self) -> None:
        """Forget every image."""
        self._images.clear()
        self._depths.clear()
        self.complete = None

    @property
    def tolerance_ns(self) -> int:
        """How far apart the stamps of an image and its depth may lie [ns]."""
        intervals = [
            after - before
            for stream in (self._images, self._depths)
            for (before, _), (after, _) in pairwise(stream)
        ]
        return min(min(intervals, default=0) // 2, self._budget_ns)

    def _match(self) -> Frame | None:
        tolerance_ns = self.tolerance_ns
        for stamp_ns, image in reversed(self._images):
            apart = [abs(depth_ns - stamp_ns) for depth_ns, _ in self._depths]
            if apart and min(apart) <= tolerance_ns:
                return Frame(stamp_ns, image, self._depths[apart.index(min(apart))][1])
        return None
