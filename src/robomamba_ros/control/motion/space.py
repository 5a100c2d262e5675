"""Where an arm that is commanded by its joints may be: what a motion asks before it steps.

The one place for checks of whole configurations.
"""

from __future__ import annotations

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import Float64Array

# Room for rounding [m].
_ROUNDING = 1e-6


class Space:
    """The workspace of an arm, for its end effector; itself, and the boxes it is kept out of.

    Without kinematics nothing is known of them; without `kinematics.collisions` of the latter two.
    """

    def __init__(self, arm: ArmContract, kinematics: Kinematics | None) -> None:
        self._workspace = arm.workspace
        self._kinematics = kinematics
        self._collisions = None if kinematics is None else kinematics.collisions
        names = [joint.name for joint in arm.joints]
        chain = () if kinematics is None else kinematics.names
        self._in_chain = np.array([names.index(name) for name in chain], dtype=int)

    def leaving(self, joints: Float64Array, before: Float64Array) -> str:
        """Return whether the end effector would leave the workspace at `joints` (n,); '' if not.

        before: where it is now. A place that is bad already may be left for a better one.
        """
        outside = self._outside(joints)
        if outside <= _ROUNDING or outside <= self._outside(before):
            return ''
        return f'the end effector would leave the workspace by {outside:.3f} m'

    def touching(self, joints: Float64Array, before: Float64Array) -> str:
        """Return what would touch what on the way from `before` to rest at `joints` (n,), or ''.

        An arm that is too near to something already may go where it is further away.
        """
        collisions = self._collisions
        if collisions is None:
            return ''
        for share in (1.0, 0.5):
            place = before + share * (joints - before)
            problem = collisions.problem(place)
            if problem and not (
                collisions.problem(before)
                and collisions.clearance(place) >= collisions.clearance(before)
            ):
                return problem
        return ''

    def _outside(self, joints: Float64Array) -> float:
        if self._kinematics is None:
            return 0.0
        position = self._kinematics.forward(joints[self._in_chain]).position
        return float(np.abs(position - self._workspace.clip(position)).max())
