"""A chain of joints on Pinocchio, in which some may only mimic others.

Each call takes the joints that tell where all are; those that mimic them follow here.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.urdf_tree import Followed
from robomamba_ros.types import Float64Array, Pose


class Chain:
    """The joints of a URDF of one chain.

    followed: by movable joint, what tells where it is. names: those that tell it, from the root
    on; every array of joints has this order. Raises ConfigError where Pinocchio refuses the text.
    """

    def __init__(self, pinocchio: Any, urdf: str, followed: Mapping[str, Followed]) -> None:
        self._pin = pinocchio
        try:
            self._model = pinocchio.buildModelFromXML(urdf)
        except Exception as error:  # what it takes is checked before; this is the rest
            raise ConfigError(f'Pinocchio cannot use the URDF: {error}') from error
        self._data = self._model.createData()
        sources = [followed[name] for name in tuple(self._model.names)[1:]]
        self.names = tuple(dict.fromkeys(each.joint for each in sources))
        self._gains = np.zeros((len(sources), len(self.names)))
        for row, each in zip(self._gains, sources, strict=True):
            row[self.names.index(each.joint)] = each.multiplier
        self._offsets = np.array([each.offset for each in sources])
        self._mimics = len(sources) > len(self.names) or any(
            each != Followed(name) for each, name in zip(sources, self.names, strict=False)
        )

    def copy(self) -> Chain:
        """Return one for another thread."""
        other = copy(self)
        other._data = self._model.createData()
        return other

    def frame(self, link: str) -> int:
        """Return the number by which the other methods know a link."""
        return int(self._model.getFrameId(link, self._pin.FrameType.BODY))

    def move(self, joints: Float64Array) -> None:
        """Put the joints (n,) somewhere, for `place`."""
        self._pin.framesForwardKinematics(self._model, self._data, self._all(joints))

    def place(self, frame: int) -> Any:
        """Return the SE3 of a frame in the root, as of the last `move`."""
        return self._data.oMf[frame]

    def jacobian(self, joints: Float64Array, frame: int) -> Float64Array:
        """Return (6, n) of a frame at joints (n,): linear above angular, in the root's axes."""
        axes = self._pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        jacobian: Float64Array = self._pin.computeFrameJacobian(
            self._model, self._data, self._all(joints), frame, axes
        )
        return jacobian @ self._gains if self._mimics else jacobian

    def _all(self, joints: Float64Array) -> Float64Array:
        return self._gains @ joints + self._offsets if self._mimics else joints


def pose_of(pinocchio: Any, transform: Any) -> Pose:
    """Return an SE3 of Pinocchio as a Pose."""
    vector = pinocchio.SE3ToXYZQUAT(transform)
    return Pose(vector[:3], vector[3:])
