"""The controllers of a fake arm that follow streams: of positions, of poses, of velocities.

`step` gives a controller's joints one update on. A stream has one command for every control period,
so commands go into the record one by one.
"""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import Gripper, Joint
from robomamba_ros.simulation.limit_record import JointRecord, LimitRecord, PoseRecord
from robomamba_ros.spatial.transforms import move_in_base
from robomamba_ros.types import NANOSECONDS, Float64Array, Pose

# How long after the last twist an arm and a base stop.
ARM_TIMEOUT_NS = NANOSECONDS // 10
BASE_TIMEOUT_NS = NANOSECONDS // 2
# A gripper opens or closes in this time [s], however it is commanded.
GRIPPER_STROKE_S = 1.0


class Controller(Protocol):
    """Moves the joints `names`; `record` is what it was commanded, None where nothing limits it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The joints, in order."""

    @property
    def record(self) -> LimitRecord | None:
        """The peaks of what it was commanded."""

    def step(self, now_ns: int, here: Float64Array) -> Float64Array:
        """Return where the joints are at now_ns that were at `here` (n,) one update before."""

    def hold(self, now_ns: int, here: Float64Array) -> None:
        """Stay at `here` (n,) until the next command."""


class PositionController:
    """forward_position: the joints are at once where the newest command puts them."""

    def __init__(self, joints: Sequence[Joint], period_s: float, start: Float64Array) -> None:
        self.names = tuple(joint.name for joint in joints)
        self.record = JointRecord(joints, period_s, start)
        self._target = start

    def command(self, positions: Float64Array) -> None:
        """Take positions in the order of `names`; raises ActionError on others."""
        self._target = _checked(positions, self.names)
        self.record.add(positions)

    def step(self, now_ns: int, here: Float64Array) -> Float64Array:
        """Return the newest command."""
        return self._target

    def hold(self, now_ns: int, here: Float64Array) -> None:
        """Stay at `here` (n,) until the next command."""
        self._target = here
        self.record.restart(here)


class GripperController:
    """Goes to the newest position at a speed of its own."""

    record = None

    def __init__(self, gripper: Gripper, period_s: float) -> None:
        self.names = (gripper.joint,)
        stroke = abs(gripper.open_position - gripper.closed_position)
        self._step = stroke * period_s / GRIPPER_STROKE_S
        self._target = np.array([gripper.open_position])

    def command(self, positions: Float64Array) -> None:
        """Take the position (1,) of the gripper's joint; raises ActionError on others."""
        self._target = _checked(positions, self.names)

    def step(self, now_ns: int, here: Float64Array) -> Float64Array:
        """Return the position one step nearer to the newest command."""
        return np.asarray(here + np.clip(self._target - here, -self._step, self._step))

    def hold(self, now_ns: int, here: Float64Array) -> None:
        """Stay at `here` (1,) until the next command."""
        self._target = here


class PoseController:
    """target_pose: differential inverse kinematics follows the newest pose.

    Without kinematics there are no joints to move and `pose` is where it was last commanded.
    """

    def __init__(
        self, arm: ArmContract, kinematics: Kinematics | None, start: Pose, update_s: float
    ) -> None:
        self.names = () if kinematics is None else kinematics.names
        self._period_s, self._update_s = arm.period_ns / NANOSECONDS, update_s
        self.record = PoseRecord(arm.cartesian, arm.workspace, self._period_s, start)
        self._kinematics = kinematics
        self.pose = start

    def command(self, pose: Pose) -> None:
        """Take a pose in the base frame."""
        self.pose = pose
        self.record.add(pose)

    def step(self, now_ns: int, here: Float64Array) -> Float64Array:
        """Return the joints one step nearer to the newest pose, within their velocities."""
        if self._kinematics is None:
            return here
        return self._kinematics.step(here, self.pose, self._update_s).joints

    def hold(self, now_ns: int, here: Float64Array) -> None:
        """Stay at `here` (n,) until the next command."""
        if self._kinematics is not None:
            self.pose = self._kinematics.forward(here)
        self.record.restart(self.pose)


class TwistController(PoseController):
    """twist: the end effector moves with the newest velocity, in base axes, and stops without."""

    def __init__(
        self, arm: ArmContract, kinematics: Kinematics | None, start: Pose, update_s: float
    ) -> None:
        super().__init__(arm, kinematics, start, update_s)
        self._commanded = start
        self._linear = self._angular = np.zeros(3)
        self._received_ns = 0

    def drive(self, linear: Float64Array, angular: Float64Array, now_ns: int) -> None:
        """Take velocities (3,) [m/s] and (3,) [rad/s]; raises ActionError where not finite."""
        _check_twist(linear, angular)
        self._linear, self._angular, self._received_ns = linear, angular, now_ns
        self._commanded = self._moved(self._commanded, self._period_s)
        self.record.add(self._commanded)

    def step(self, now_ns: int, here: Float64Array) -> Float64Array:
        """Return the joints that move the end effector by one period of its velocity."""
        if now_ns - self._received_ns > ARM_TIMEOUT_NS:
            self._linear = self._angular = np.zeros(3)
        if self._linear.any() or self._angular.any():
            self.pose = self._moved(self.pose, self._update_s)
        return super().step(now_ns, here)

    def hold(self, now_ns: int, here: Float64Array) -> None:
        """Stay at `here` (n,) until the next command."""
        super().hold(now_ns, here)
        self._commanded = self.pose
        self._linear = self._angular = np.zeros(3)

    def _moved(self, pose: Pose, seconds: float) -> Pose:
        return move_in_base(pose, self._linear * seconds, self._angular * seconds)


class BaseController:
    """twist of a planar base: along x, along y and about z of its footprint.

    Commands are judged along the heading to which they turn a base that follows them, from where
    it stood: one that is blocked is commanded no more than one that is not.
    """

    def __init__(
        self, joints: Sequence[Joint], period_s: float, update_s: float, start: Float64Array
    ) -> None:
        self.names = tuple(joint.name for joint in joints)
        self.record = JointRecord(joints, period_s, start)
        self._period_s, self._update_s = period_s, update_s
        self._commanded = start
        self._heading = self._bearing = float(start[2])
        self._velocity = np.zeros(3)
        self._received_ns = 0

    def drive(self, linear: Float64Array, angular: Float64Array, now_ns: int) -> None:
        """Take velocities (3,) [m/s] and (3,) [rad/s]; raises ActionError where not finite."""
        _check_twist(linear, angular)
        if not self._velocity.any():
            self._bearing = self._heading
        self._velocity, self._received_ns = np.array([*linear[:2], angular[2]]), now_ns
        way = self._way(self._bearing, self._period_s)
        self._bearing += float(way[2])
        self._commanded = self._commanded + way
        self.record.add(self._commanded)

    def step(self, now_ns: int, here: Float64Array) -> Float64Array:
        """Return x, y and heading in the frame of the odometry, one update on."""
        if now_ns - self._received_ns > BASE_TIMEOUT_NS:
            self._velocity = np.zeros(3)
        self._heading = float(here[2])
        return np.asarray(here + self._way(self._heading, self._update_s))

    def hold(self, now_ns: int, here: Float64Array) -> None:
        """Stay at `here` (3,) until the next command."""
        self._velocity = np.zeros(3)
        self._commanded, self._heading = here, float(here[2])
        self.record.restart(here)

    def _way(self, heading: float, seconds: float) -> Float64Array:
        """Return the way of some seconds in the frame of the odometry, (3,)."""
        x, y, turn = (self._velocity * seconds).tolist()
        # The chord of the arc.
        way = complex(x, y) * cmath.exp(1j * (heading + 0.5 * turn)) * np.sinc(0.5 * turn / np.pi)
        return np.array([way.real, way.imag, turn])


def _checked(positions: Float64Array, names: Sequence[str]) -> Float64Array:
    if len(positions) != len(names) or not np.isfinite(positions).all():
        raise ActionError(
            f'{len(names)} finite positions are needed ({", ".join(names)}), got '
            f'{positions.tolist()}'
        )
    return positions


def _check_twist(linear: Float64Array, angular: Float64Array) -> None:
    if not (np.isfinite(linear).all() and np.isfinite(angular).all()):
        raise ActionError(
            f'a twist must be finite, got {linear.tolist()} m/s and {angular.tolist()} rad/s'
        )
