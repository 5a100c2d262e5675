"""Whether an arm follows its commands: measured motion against commanded motion.

Reads no clock: each measurement is compared with what was commanded around its own stamp.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.following import joint_tolerance
from robomamba_ros.robots.parts import nearest_turn, wraps
from robomamba_ros.spatial.transforms import turn_between
from robomamba_ros.types import NANOSECONDS

# A command may be reached earlier than at the end of its period: streams are sent at its begin.
_EARLY_PERIODS = 2


class Following:
    """The following error of an arm: how far it is from where it was told to be.

    An arm lags behind its commands, by its own controller and by the way of a message. So each
    joint, or each axis of a pose, has to lie between the positions that were commanded during the
    last lag_s of the contract, with a tolerance to both sides. An arm that stands still leaves
    them lag_s after it was told to move, and the time in which the command goes on by the
    tolerance.
    """

    def __init__(self, arm: ArmContract) -> None:
        self._names = [joint.name for joint in arm.joints]
        self._position, self._rotation = arm.following.of_pose(arm.cartesian)
        self._tolerance = joint_tolerance(arm.joints)
        self._wraps = wraps(arm.joints)
        self._early_ns = _EARLY_PERIODS * arm.period_ns
        self._lag_ns = round(arm.following.lag_s * NANOSECONDS)
        self._commanded: deque[tuple[int, Anchor]] = deque()

    def tell(self, reached_ns: int, command: Anchor) -> None:
        """Take note of a command, to be reached at reached_ns."""
        if self._commanded and reached_ns <= self._commanded[-1][0]:
            return
        self._commanded.append((reached_ns, command))
        while self._commanded[0][0] < reached_ns - 2 * NANOSECONDS - self._lag_ns:
            self._commanded.popleft()

    def clear(self) -> None:
        """Forget what was commanded."""
        self._commanded.clear()

    def problem(self, measured: Anchor, stamp_ns: int) -> str:
        """Return how far the arm, measured at stamp_ns, is from its commands; '' within tolerance.

        '' too where nothing was commanded by then.
        """
        told = self._around(stamp_ns)
        if not told:
            return ''
        if measured.pose is not None and told[0].pose is not None:
            return self._pose_problem(measured, told)
        path = np.array([command.joints for command in told])
        here = nearest_turn(measured.joints, path[-1], self._wraps)
        below, above = path.min(axis=0) - here, here - path.max(axis=0)
        error = np.maximum(below, above)
        worst = int(np.argmax(error / self._tolerance))
        if error[worst] <= self._tolerance[worst]:
            return ''
        return (
            f'the arm does not follow: {self._names[worst]} was measured {error[worst]:.3f} off '
            f'its commands, {self._tolerance[worst]:.3f} is allowed'
        )

    def _pose_problem(self, measured: Anchor, told: list[Anchor]) -> str:
        poses = [command.pose for command in told if command.pose is not None]
        assert measured.pose is not None
        path = np.array([pose.position for pose in poses])
        here = measured.pose.position
        apart = np.maximum(path.min(axis=0) - here, here - path.max(axis=0))
        way = float(np.linalg.norm(np.maximum(apart, 0.0)))
        if way > self._position:
            return (
                f'the arm does not follow: the end effector was measured {way:.3f} m off its '
                f'commands, {self._position:.3f} m are allowed'
            )
        turn = np.inf
        for pose in reversed(poses):
            turn = min(turn, float(np.linalg.norm(turn_between(measured.pose, pose))))
            if turn <= self._rotation:
                return ''
        return (
            f'the arm does not follow: the end effector was measured {turn:.3f} rad off its '
            f'commands, {self._rotation:.3f} rad are allowed'
        )

    def _around(self, stamp_ns: int) -> list[Anchor]:
        """Return the commands during the lag before stamp_ns and shortly after it."""
        if not self._commanded or stamp_ns < self._commanded[0][0] - self._early_ns:
            return []
        around: list[Anchor] = []
        # From the newest on: they are few, where what is kept are those of seconds.
        for reached_ns, command in reversed(self._commanded):
            if reached_ns >= stamp_ns + self._early_ns:
                around.clear()
            around.append(command)
            if reached_ns <= stamp_ns - self._lag_ns:
                break
        return around[::-1]
