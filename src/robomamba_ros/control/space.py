"""Where an arm that is commanded by its joints may be: what a motion asks before it steps.

The one place for checks of whole configurations. Knows nothing about motion.
"""

from __future__ import annotations

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import Float64Array

# How far outside the workspace the end effector may be: what inverse kinematics strays [m].
_SLACK_M = 0.01


class Space:
    """The workspace of an arm, for its end effector; without kinematics nothing is known of it."""

    def __init__(self, arm: ArmContract, kinematics: Kinematics | None) -> None:
        self._workspace = arm.workspace
        self._kinematics = kinematics
        names = [joint.name for joint in arm.joints]
        chain = () if kinematics is None else kinematics.names
        self._in_chain = np.array([names.index(name) for name in chain], dtype=int)

    def check(self, joints: Float64Array, before: Float64Array) -> str:
        """Return why the arm must not come to rest at `joints` (n,); '' where it may.

        before: where it is now. A place that is bad already may be left for a better one.
        """
        outside = self._outside(joints)
        if outside <= _SLACK_M or outside <= self._outside(before):
            return ''
        return f'the end effector would leave the workspace by {outside:.3f} m'

    def _outside(self, joints: Float64Array) -> float:
        if self._kinematics is None:
            return 0.0
        position = self._kinematics.forward(joints[self._in_chain]).position
        return float(np.abs(position - self._workspace.clip(position)).max())
