"""The cameras of a bag: intrinsics, and where the arm contract or the bag places them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from robomamba_ros.messages.image_fit import fit_intrinsics
from robomamba_ros.robots.arm import Camera
from robomamba_ros.robots.kinematics import Kinematics, base_T_optical
from robomamba_ros.spatial.transforms import compose, inverse
from robomamba_ros.types import Float64Array, Pose


class CameraViews:
    """Intrinsics, optical frames, and fixed transforms between frames, once they were met.

    base: the frame in which places are asked for. kinematics: of an arm with cameras on links.
    intrinsics: camera -> (3, 3).
    """

    def __init__(self, base: str, kinematics: Kinematics | None = None) -> None:
        self._base, self._kinematics = base, kinematics
        self.intrinsics: dict[str, Float64Array] = {}
        self._optical: dict[str, str] = {}
        self._parents: dict[str, tuple[str, Pose]] = {}

    def add_info(self, camera: Camera, message: Any, size: tuple[int, int]) -> None:
        """Take a sensor_msgs/CameraInfo; size: (h, w) of the images that the policy is shown."""
        matrix = np.array(message.k, dtype=np.float64).reshape(3, 3)
        sent = (message.height, message.width)
        if camera.fit and min(sent) > 0:
            matrix = fit_intrinsics(matrix, sent, size, camera.fit)
        self.intrinsics[camera.name] = matrix
        self._optical[camera.name] = message.header.frame_id

    def add_frames(self, message: Any) -> None:
        """Take a tf2_msgs/TFMessage of /tf_static."""
        for each in message.transforms:
            move, turn = each.transform.translation, each.transform.rotation
            pose = Pose(
                np.array([move.x, move.y, move.z]), np.array([turn.x, turn.y, turn.z, turn.w])
            )
            self._parents[each.child_frame_id] = (each.header.frame_id, pose)

    def place(self, camera: Camera, base_T_ee: Pose, joints: Mapping[str, float]) -> Pose | None:
        """Return the pose of a camera's optical frame, with end effector and joints as given.

        That of the arm contract, else where the bag's fixed transforms put it; None if not known.
        """
        given = base_T_optical(camera, base_T_ee, joints, self._kinematics)
        return given or self._between(self._base, self._optical.get(camera.name, ''))

    def _between(self, base: str, frame: str) -> Pose | None:
        above_base = dict(self._upward(base))
        for name, name_T_frame in self._upward(frame):
            if name in above_base:
                return compose(inverse(above_base[name]), name_T_frame)
        return None

    def _upward(self, frame: str) -> Iterator[tuple[str, Pose]]:
        """Yield a frame and those above it, each with the pose of the first one in it."""
        pose = Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))
        seen = {frame}
        yield frame, pose
        while frame in self._parents:
            frame, parent_T_child = self._parents[frame]
            if frame in seen:  # transforms that go round lead nowhere
                return
            seen.add(frame)
            pose = compose(parent_T_child, pose)
            yield frame, pose
