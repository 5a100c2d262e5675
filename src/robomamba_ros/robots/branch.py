"""Where a link is that the chain to the end effector does not reach, as that of a head camera."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.backend import import_pinocchio
from robomamba_ros.robots.chain import Chain, pose_of
from robomamba_ros.robots.urdf import branch_urdf
from robomamba_ros.types import Pose


class Branch:
    """The joints between the base frame and a link, of whatever parts."""

    def __init__(self, arm: ArmContract, urdf: str, link: str) -> None:
        self._pin = import_pinocchio()
        self._chain = Chain(self._pin, *branch_urdf(arm, urdf, link))
        self._ends = [self._chain.frame(frame) for frame in (arm.base_frame, link)]

    def pose(self, joints: Mapping[str, float]) -> Pose:
        """Return base_T_link with the joints of all parts at `joints` [rad or m]."""
        self._chain.move(np.array([joints[name] for name in self._chain.names]))
        base, link = (self._chain.place(end) for end in self._ends)
        return pose_of(self._pin, base.inverse() * link)
