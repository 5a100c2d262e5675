"""Where controllers of streams hold an arm: at the last command, not where it was measured.

Servos lag and sag. A stream that went on from the measured state would step, and an arm that hangs
below its commands would sink a little further with every start.
"""

from __future__ import annotations

import numpy as np

from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.following import joint_tolerance
from robomamba_ros.robots.parts import nearest_turn, wraps
from robomamba_ros.spatial.transforms import turn_between


class Held:
    """The last command of an arm at rest that nobody is known to have moved since."""

    def __init__(self, arm: ArmContract) -> None:
        kinds = {output.part: output.kind for output in arm.outputs}
        self._streamed = np.array([kinds[j.part] == 'forward_position' for j in arm.joints])
        self._poses = kinds['arm'] == 'target_pose'
        self._tolerance, self._wraps = joint_tolerance(arm.joints), wraps(arm.joints)
        self._most_m, self._most_rad = arm.following.of_pose(arm.cartesian)
        self._command: Anchor | None = None

    def keep(self, command: Anchor | None) -> None:
        """Take note of the last command, None where nobody knows what controllers hold."""
        self._command = command

    def start(self, measured: Anchor) -> Anchor:
        """Return where to start an arm that was measured: what is streamed, at what holds it.

        Further off than an arm that follows can be, it was moved, and starts where it is.
        """
        if self._command is None:
            return measured
        here, there = measured.pose, self._command.pose
        if self._poses and here is not None and there is not None:
            way = np.linalg.norm(there.position - here.position)
            turn = np.linalg.norm(turn_between(here, there))
            near = way <= self._most_m and turn <= self._most_rad
            return Anchor(there if near else here, measured.joints)
        if not self._streamed.any():
            return measured
        told = self._command.joints
        away = np.abs(nearest_turn(measured.joints, told, self._wraps) - told)
        holds = self._streamed & (away <= self._tolerance)
        return Anchor(here, np.where(holds, told, measured.joints))
