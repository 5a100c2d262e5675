"""Every command of a robot that a test plays, and how its arm is made to move."""

from __future__ import annotations

from typing import Any

import numpy as np
from std_msgs.msg import Float64MultiArray
from support.made_arms import MADE
from support.made_robot import GRIPPER

from robomamba_ros.types import NANOSECONDS, ActionSpace

STREAM = [{'part': 'arm', 'kind': 'forward_position', 'topic': 'commands'}, GRIPPER]
PERIOD_S = 0.01
# Of joint1 in the made contract: rad/s, rad/s^2, rad/s^3.
LIMITS = (2.0, 5.0, 50.0)
WAY, STEPS = 0.03, 80
MEASURED_S = 0.2
# The last step of a braking, whose jerk is limited [rad].
STILL = 0.5 * LIMITS[2] * PERIOD_S**3


class Commands:
    """Every position of the arm that was commanded, with the robot's time it came at [ns]."""

    def __init__(self, robot: Any) -> None:
        self.path: list[np.ndarray] = []
        self.times_ns: list[int] = []
        self._robot = robot
        robot.peer.node.create_subscription(Float64MultiArray, 'forward_position', self._add, 1000)

    def _add(self, message: Float64MultiArray) -> None:
        self.path.append(np.array(message.data))
        self.times_ns.append(self._robot.now_ns())

    @property
    def moving(self) -> bool:
        """Whether the arm is on its way at more than a fifth of its speed."""
        if len(self.path) < 2:
            return False
        return bool(np.abs(self.path[-1] - self.path[-2]).max() > 0.2 * LIMITS[0] * PERIOD_S)

    @property
    def resting(self) -> bool:
        """Whether the way of the last commands has come to its end.

        Where an input fails, a controller at rest falls silent: nothing has to follow.
        """
        return len(self.path) > 10 and bool(np.abs(self.path[-1] - self.path[-2]).max() < STILL)

    def time_to_rest_s(self, since_ns: int) -> float:
        """Return how long after `since_ns` the last position was reached."""
        same = (np.array(self.path) == self.path[-1]).all(axis=1)
        first = len(same) - int(np.argmin(same[::-1])) if not same.all() else 0
        return (self.times_ns[first] - since_ns) / NANOSECONDS

    def check(self) -> None:
        """Hold velocity, acceleration and jerk of every command; a jump would be seen in all."""
        derivative = np.array(self.path)
        for limit in LIMITS:
            derivative = np.diff(derivative, axis=0) / PERIOD_S
            largest = np.abs(derivative).max()
            at = int(np.abs(derivative).max(axis=1).argmax())
            assert largest <= limit * (1 + 1e-6) + 1e-6, (limit, at, self.path[at : at + 4])


def go(robot: Any, commands: Commands) -> None:
    """Send a chunk, again where the controller was not ready for it, until the arm moves."""
    refused = -1.0

    def moves() -> bool:
        nonlocal refused
        now_refused = float(robot.values().get('refused_chunks', 0.0))
        if not commands.moving and now_refused > refused:
            refused = now_refused
            robot.send(np.full((STEPS, 1), WAY), ('joint1',), ActionSpace.JOINT_DELTA)
        return commands.moving

    try:
        robot.peer.wait_for(moves, 'the arm to move')
    except AssertionError as error:
        raise AssertionError(f'{error}; it is {robot.values()}') from None


def arrive(robot: Any, commands: Commands) -> None:
    """Put the arm where it was told to be, and let that be measured.

    A start from elsewhere would jump there. States older than MEASURED_S make no start.
    """
    robot.joints |= dict(zip(MADE['six'].names, commands.path[-1].tolist(), strict=True))
    then_ns = robot.now_ns() + round(MEASURED_S * NANOSECONDS)
    robot.peer.wait_for(lambda: robot.now_ns() > then_ns, 'time to go on')
