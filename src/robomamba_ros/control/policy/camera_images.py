"""The recent images of each camera with the depth image of their time, and sets of one time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from robomamba_ros.errors import ObservationError
from robomamba_ros.types import NANOSECONDS, Float32Array, Float64Array, UInt8Array

# Pixels, or what decodes them when they are used: most images never are.
Image: TypeAlias = UInt8Array | Callable[[], UInt8Array]
Depth: TypeAlias = Float32Array | Callable[[], Float32Array]

# Depth is often computed from the images, and comes some images later; so do other cameras.
KEPT = 8


class Intrinsics(NamedTuple):
    """The pixel matrix (3, 3) of a camera, for images of `size` (h, w)."""

    matrix: Float64Array
    size: tuple[int, int]

    def of(self, camera: str, image: UInt8Array) -> Float64Array:
        """Return the matrix for an image; raises ObservationError where it has another size."""
        if self.size != image.shape[:2]:
            raise ObservationError(
                f'{camera}/camera_info is for images of {self.size[1]} x {self.size[0]}, the '
                f'images have {image.shape[1]} x {image.shape[0]}; give the camera_info of these '
                'images'
            )
        return self.matrix


class CameraImage(NamedTuple):
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


class CameraImages:
    """The recent colour images of a camera, and those that are complete: with depth, if needed.

    kept: how many images to keep; a camera with depth keeps KEPT.
    A depth image belongs to the colour image nearest in time, no further from it than half the
    shortest interval between images of either stream, nor than the camera's budget. Before there
    is an interval the stamps must be equal.
    """

    def __init__(self, *, needs_depth: bool, budget_s: float, kept: int = KEPT) -> None:
        self._needs_depth = needs_depth
        self._budget_ns = round(budget_s * NANOSECONDS)
        self._images: deque[tuple[int, Image]] = deque(maxlen=KEPT if needs_depth else kept)
        self._depths: deque[tuple[int, Depth]] = deque(maxlen=KEPT)
        self.complete: tuple[CameraImage, ...] = ()

    @property
    def newest(self) -> CameraImage | None:
        """The newest colour image."""
        return CameraImage(*self._images[-1]) if self._images else None

    def add_image(self, stamp_ns: int, image: Image) -> None:
        """Take a colour image; one that is not newer than the last is ignored."""
        if not self._images or stamp_ns > self._images[-1][0]:
            self._images.append((stamp_ns, image))
            self.complete = self._match()

    def add_depth(self, stamp_ns: int, depth: Depth) -> None:
        """Take a depth image; one that is not newer than the last is ignored."""
        if not self._depths or stamp_ns > self._depths[-1][0]:
            self._depths.append((stamp_ns, depth))
            self.complete = self._match()

    def clear(self) -> None:
        """Forget every image."""
        self._images.clear()
        self._depths.clear()
        self.complete = ()

    @property
    def tolerance_ns(self) -> int:
        """How far apart the stamps of an image and its depth may lie [ns]."""
        intervals = [
            after - before
            for stream in (self._images, self._depths)
            for (before, _), (after, _) in pairwise(stream)
        ]
        return min(min(intervals, default=0) // 2, self._budget_ns)

    def _match(self) -> tuple[CameraImage, ...]:
        """Return the complete images, the newest first."""
        if not self._needs_depth:
            return tuple(CameraImage(*entry) for entry in reversed(self._images))
        tolerance_ns, matched = self.tolerance_ns, []
        for stamp_ns, image in reversed(self._images):
            apart = [abs(depth_ns - stamp_ns) for depth_ns, _ in self._depths]
            if apart and min(apart) <= tolerance_ns:
                depth = self._depths[apart.index(min(apart))][1]
                matched.append(CameraImage(stamp_ns, image, depth))
        return tuple(matched)


def newest_set(
    required: Mapping[str, Sequence[CameraImage]],
    optional: Mapping[str, Sequence[CameraImage]],
    max_skew_ns: int,
) -> dict[str, CameraImage] | None:
    """Return the newest images of one time by camera, None where the required ones have none.

    Images of each camera come newest first. Every required camera is in the set, an optional one
    where it has an image of that time. The stamps of a set lie within max_skew_ns.
    """
    leading = required or _newest_camera(optional)
    if not all(leading.values()):
        return None
    # No set can be newer than the camera whose newest image is the oldest.
    slowest = min(leading.values(), key=lambda images: images[0].stamp_ns, default=())
    for reference in slowest:
        chosen = _around(leading, reference, max_skew_ns)
        if chosen is not None:
            return _joined(chosen, reference, optional, max_skew_ns)
    return None if leading else {}


def _around(
    cameras: Mapping[str, Sequence[CameraImage]], reference: CameraImage, max_skew_ns: int
) -> dict[str, CameraImage] | None:
    """Return a set with the reference whose stamps lie within max_skew_ns, None where none do.

    Of three cameras, the images nearest to the reference may lie on both sides of it, too far apart
    from each other, where others lie on one side.
    """
    chosen = {name: _nearest(images, reference) for name, images in cameras.items()}
    if _skew_ns(chosen) <= max_skew_ns:
        return chosen
    if len(cameras) < 3:
        return None
    stamps = {image.stamp_ns for images in cameras.values() for image in images}
    earliest = reference.stamp_ns - max_skew_ns
    for first in sorted((s for s in stamps if earliest <= s <= reference.stamp_ns), reverse=True):
        inside = {
            name: [image for image in images if first <= image.stamp_ns <= first + max_skew_ns]
            for name, images in cameras.items()
        }
        if all(inside.values()):
            return {name: _nearest(images, reference) for name, images in inside.items()}
    return None


def _newest_camera(
    cameras: Mapping[str, Sequence[CameraImage]],
) -> dict[str, Sequence[CameraImage]]:
    """Return the camera with the newest image, none where none has any."""
    present = {name: images for name, images in cameras.items() if images}
    name = max(present, key=lambda name: present[name][0].stamp_ns, default=None)
    return {} if name is None else {name: present[name]}


def _joined(
    chosen: dict[str, CameraImage],
    reference: CameraImage,
    optional: Mapping[str, Sequence[CameraImage]],
    max_skew_ns: int,
) -> dict[str, CameraImage]:
    """Return the set with every optional image that stays within the skew."""
    for name, images in optional.items():
        if images:
            joined = {**chosen, name: _nearest(images, reference)}
            chosen = joined if _skew_ns(joined) <= max_skew_ns else chosen
    return chosen


def too_far_apart(cameras: Mapping[str, Sequence[CameraImage]], max_skew_ns: int) -> str:
    """Return the sentence on cameras of which each has images, and none of the others' time."""
    slowest = min(cameras.values(), key=lambda images: images[0].stamp_ns)
    smallest_ns = min(
        _skew_ns({name: _nearest(images, reference) for name, images in cameras.items()})
        for reference in slowest
    )
    return (
        f'{", ".join(cameras)}: no images of one time; the nearest are '
        f'{smallest_ns / NANOSECONDS:.3f} s apart, max_camera_skew_s is '
        f'{max_skew_ns / NANOSECONDS:g}. Synchronise the cameras, give their latency_s, or raise '
        'max_camera_skew_s in the arm contract'
    )


def _nearest(images: Sequence[CameraImage], reference: CameraImage) -> CameraImage:
    return min(images, key=lambda image: abs(image.stamp_ns - reference.stamp_ns))


def _skew_ns(chosen: Mapping[str, CameraImage]) -> int:
    stamps = [image.stamp_ns for image in chosen.values()]
    return max(stamps) - min(stamps)
