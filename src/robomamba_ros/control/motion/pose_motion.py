"""The motion of an arm: points in, commands within limits out; here for arms commanded by poses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from robomamba_ros.control.motion.pose_limits import PoseLimiter
from robomamba_ros.control.motion.timeline import Point, Timeline, pose_timeline
from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.collisions import point_clearance
from robomamba_ros.spatial.transforms import interpolate, turn_between
from robomamba_ros.types import (
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Pose,
    Setpoint,
)

# This near to a place of rest an arm is there [m, rad]: orientations are known to rounding.
_THERE = 1e-9


@dataclass(frozen=True)
class Anchor:
    """What displacements count from: base_T_ee, where known, and all joints (n,) [rad or m].

    joints are those of the contract, in its order; none for an arm that is commanded by poses.
    """

    pose: Pose | None
    joints: Float64Array

    def like(self, point: Point) -> Point:
        """Return the anchor in the form of `point`: as a pose where it is one, else as joints."""
        return self.joints if self.pose is None or not isinstance(point, Pose) else self.pose


class Motion(Protocol):
    """An arm that follows points within its limits, from a start at rest.

    problem: why the last point cannot be followed, '' where it can.
    """

    problem: str

    @property
    def anchor(self) -> Anchor:
        """The newest command before it was averaged for the sake of jerk."""

    @property
    def commanded(self) -> Anchor:
        """The last command: a pose, or without one all joints."""

    @property
    def at_rest(self) -> bool:
        """Whether the command stands still."""

    @property
    def active_limits(self) -> tuple[str, ...]:
        """The limits that kept the last command from its point."""

    def lag_ns(self, space: ActionSpace) -> int:
        """Return by how long commands come after their points, to be looked ahead [ns]."""

    def timeline(self, chunk: ActionChunk, anchor: Anchor) -> Timeline:
        """Return the path of a chunk; raises ActionError where this arm cannot follow it."""

    def follow(self, point: Point) -> None:
        """Be on `point` at the end of this period, or catch up."""

    def brake(self) -> None:
        """Come to rest, straight on where that is possible; after return_to, there."""

    def return_to(self, place: Anchor | None) -> None:
        """Come to rest at `place` whenever the motion brakes from now on; None: straight on."""

    def setpoint(self, stamp_ns: int, gripper: float) -> Setpoint:
        """Return the last command."""


def mixed_anchor(before: Anchor, after: Anchor, fraction: float) -> Anchor:
    """Return the anchor `fraction` (0..1) of the way."""
    pose = before.pose
    if pose is not None and after.pose is not None:
        pose = interpolate(pose, after.pose, fraction)
    return Anchor(pose, before.joints + fraction * (after.joints - before.joints))


def pose_path(chunk: ActionChunk, anchor: Anchor, arm: ArmContract) -> Timeline:
    """Return the path of end-effector actions; raises ActionError where their start is unknown."""
    if anchor.pose is None:
        raise ActionError(
            f"arm '{arm.name}' is commanded by its joints and cannot follow {chunk.space.value} "
            'actions without kinematics: name its `urdf` in the contract and '
            "`pip install 'robomamba_ros[kinematics]'`"
        )
    return pose_timeline(chunk, anchor.pose, arm.workspace)


class PoseMotion:
    """An arm whose controller takes poses. Of boxes it knows its end effector alone keeps out."""

    def __init__(self, arm: ArmContract, start: Pose) -> None:
        self._arm = arm
        period_s = arm.period_ns / NANOSECONDS
        self._limiter = PoseLimiter(arm.cartesian, arm.workspace, period_s, start)
        self._rest: Pose | None = None
        self.problem = ''

    @property
    def anchor(self) -> Anchor:
        """Where the newest command, before it was averaged, puts the end effector."""
        return Anchor(self._limiter.ahead, np.zeros(0))

    @property
    def commanded(self) -> Anchor:
        """The last command."""
        return Anchor(self._limiter.pose, np.zeros(0))

    @property
    def at_rest(self) -> bool:
        """Whether the command stands still, where it was to come to rest."""
        return self._limiter.at_rest and (self._rest is None or self._is_at(self._rest))

    @property
    def active_limits(self) -> tuple[str, ...]:
        """The limits that kept the last command from its point."""
        return self._limiter.active_limits

    def lag_ns(self, space: ActionSpace) -> int:
        """Return the delay of the average that keeps the jerk [ns]."""
        return round(self._limiter.lag_periods * self._arm.period_ns)

    def timeline(self, chunk: ActionChunk, anchor: Anchor) -> Timeline:
        """Return the path of a chunk of end-effector actions; raises ActionError on another."""
        return pose_path(chunk, anchor, self._arm)

    def follow(self, point: Point) -> None:
        """Be on the pose at the end of this period, or catch up."""
        if not isinstance(point, Pose):
            raise ActionError('an arm that is commanded by poses cannot follow joints')
        self._limiter.follow(point)
        self.problem = self._entering()

    def _entering(self) -> str:
        """Return which keep-out box the end effector would enter if it braked now; '' for none.

        One that is in a box already may go where it is less so.
        """
        space, limiter = self._arm.space, self._limiter
        if not space.keep_out:
            return ''
        speed = float(np.linalg.norm(limiter.velocity))
        way = limiter.velocity * (
            speed / (2.0 * self._arm.cartesian.stop_deceleration)
            + limiter.lag_periods * self._arm.period_ns / NANOSECONDS
        )
        here = limiter.pose.position
        clearance_m = point_clearance(space.keep_out, here)
        there_m = point_clearance(space.keep_out, here + way)
        if there_m >= space.margin_m or (clearance_m < space.margin_m and there_m >= clearance_m):
            return ''
        return f'the end effector would come nearer than {space.margin_m:g} m to a keep-out box'

    def brake(self) -> None:
        """Come to rest along the way it moves, or where it was told to return to."""
        if self._rest is None or self._is_at(self._rest):
            self._limiter.brake()
        else:
            self._limiter.follow(self._rest)

    def return_to(self, place: Anchor | None) -> None:
        """Come to rest at a pose, as near to it as the workspace allows."""
        self._rest = None
        if place is not None and place.pose is not None:
            position = self._arm.workspace.clip(place.pose.position)
            self._rest = Pose(position, place.pose.quaternion)

    def _is_at(self, pose: Pose) -> bool:
        ahead = self._limiter.ahead
        way = float(np.linalg.norm(ahead.position - pose.position))
        return way < _THERE and float(np.linalg.norm(turn_between(ahead, pose))) < _THERE

    def setpoint(self, stamp_ns: int, gripper: float) -> Setpoint:
        """Return the last command: a pose."""
        return Setpoint(stamp_ns, self._limiter.pose, gripper)
