"""Images of a replay with the predicted path drawn in, where it is known how the camera sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from robomamba_ros.replay.views import CameraViews
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.spatial.camera import project
from robomamba_ros.types import Float64Array, Observation, Pose, UInt8Array

COUNT = 8
PATH_COLOUR, HERE_COLOUR = (255, 176, 0), (255, 255, 255)


@dataclass(frozen=True)
class StripImage:
    """One image with its time [ns] and camera; RGB (h, w, 3) uint8."""

    time_ns: int
    camera: str
    image: UInt8Array


class Filmstrip:
    """A few images from start to end of a recording.

    views: looked up when an image is drawn. notes: why a path was not drawn.
    """

    def __init__(self, arm: ArmContract, views: CameraViews) -> None:
        self._cameras = {camera.name: camera for camera in arm.cameras}
        self._views = views
        self._next = 0.0
        self.images: list[StripImage] = []
        self.notes: list[str] = []

    def add(
        self,
        observation: Observation,
        anchor: Pose,
        joints: Mapping[str, float],
        path: Float64Array,
        share: float,
    ) -> None:
        """Keep the observation's images if enough of the recording has passed since the last ones.

        path: the poses (n, 7) that are predicted from the pose `anchor` on, n 0 where none are.
        joints: where they were at the observation. share: of the recording that has passed, 0..1.
        """
        if share < self._next:
            return
        self._next = share + 1.0 / COUNT
        for name, image in observation.images.items():
            drawn = image
            if not len(path):
                self._note(name, 'the policy predicts no poses of the end effector')
            else:
                drawn = self._draw(name, image, anchor, joints, path[:, :3])
            self.images.append(StripImage(observation.stamp_ns, name, drawn))

    def _draw(
        self,
        name: str,
        image: UInt8Array,
        anchor: Pose,
        joints: Mapping[str, float],
        path: Float64Array,
    ) -> UInt8Array:
        place = self._views.place(self._cameras[name], anchor, joints)
        intrinsics = self._views.intrinsics.get(name)
        if intrinsics is None:
            self._note(name, 'the bag has no camera_info, or the arm contract no info_topic')
            return image
        if place is None:
            self._note(
                name,
                'neither the arm contract nor /tf_static of the bag says where the camera is',
            )
            return image
        pixels = project(np.vstack((anchor.position, path)), place, intrinsics)
        return draw_path(image, pixels)

    def _note(self, name: str, missing: str) -> None:
        note = f'{name}: the predicted path is not drawn, {missing}'
        self.notes += [note] if note not in self.notes else []


def draw_path(image: UInt8Array, pixels: Float64Array) -> UInt8Array:
    """Return a copy of an image with a line through pixels (n, 2), and a ring at the first."""
    canvas = np.ascontiguousarray(image)
    canvas = canvas.copy()
    width = max(1, round(max(image.shape[:2]) / 160))
    # The last bits of a coordinate are fractions of a pixel.
    bits = 4
    fixed = np.rint(pixels[np.isfinite(pixels).all(axis=1)] * 2**bits).astype(np.int32)
    if len(fixed):
        line = [fixed.reshape(-1, 1, 2)]
        cv2.polylines(canvas, line, False, PATH_COLOUR, width, cv2.LINE_AA, bits)
        first = (int(fixed[0, 0]), int(fixed[0, 1]))
        radius = 3 * width * 2**bits
        cv2.circle(canvas, first, radius, HERE_COLOUR, width, cv2.LINE_AA, bits)
    return canvas
