"""An arm that is commanded by its joints, with inverse kinematics for end-effector actions."""

from __future__ import annotations

import numpy as np

from robomamba_ros.control.motion.joint_limits import JointLimiter
from robomamba_ros.control.motion.pose_limits import PoseLimiter, pose_smoothing_periods
from robomamba_ros.control.motion.pose_motion import Anchor, Motion, PoseMotion, pose_path
from robomamba_ros.control.motion.space import Space
from robomamba_ros.control.motion.timeline import CHANNELS, Point, Timeline, joint_timeline
from robomamba_ros.control.motion.twin import twin
from robomamba_ros.control.motion.twist_servo import commanded_joints
from robomamba_ros.errors import ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import (
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Pose,
    RobotState,
    Setpoint,
)

# How far the commanded joints may put the end effector from the pose they are for [m, rad].
_STRAY_M, _STRAY_RAD = 0.01, 0.1
# Joints with which an arm can take any orientation.
_FULL_CHAIN = 6
# This far behind what is asked of it a joint is named as what holds up the others [rad or m].
_BEHIND = 0.005
# This near to its end a joint is named as what holds up the others [rad or m].
_AT_END = 1e-3
# No link is further from an axis than this [m].
_REACH_M = 1.5


class JointMotion:
    """An arm whose controllers take joint positions; end-effector actions need its kinematics.

    Poses are kept within the Cartesian limits first, then the joints that reach them within those
    of the joints, which hold in any case. Where the joints cannot be where the pose asks for (out
    of reach, near a singularity, a joint at its end or too slow), `problem` says so.
    """

    def __init__(
        self, arm: ArmContract, kinematics: Kinematics | None, start: Float64Array
    ) -> None:
        self._arm = arm
        self._names = [joint.name for joint in arm.joints]
        self._period_s = arm.period_ns / NANOSECONDS
        self._limiter = JointLimiter(commanded_joints(arm), self._period_s, start)
        self._kinematics = kinematics
        self._space = Space(arm, kinematics)
        names = kinematics.names if kinematics is not None else ()
        self._in_chain = np.array([self._names.index(name) for name in names], dtype=int)
        # The end effector's limits and the joints it asks for, while it is followed by poses.
        self._hand: PoseLimiter | None = None
        self._short = len(names) < _FULL_CHAIN
        self._asked = start[self._in_chain]
        self._rest: Float64Array | None = None
        # Where the arm was when it was last looked at for collisions.
        self._looked: Float64Array | None = None
        self.problem = ''

    def copy(self) -> JointMotion:
        """Return one that goes on from here by itself, with the same kinematics."""
        other = twin(self)
        other._limiter = self._limiter.copy()
        other._hand = None if self._hand is None else self._hand.copy()
        return other

    @property
    def joints(self) -> Float64Array:
        """The last command: all joints (n,) in the contract's order [rad or m]."""
        return self._limiter.joints

    @property
    def velocity(self) -> Float64Array:
        """The velocity of the last command (n,) [rad/s or m/s]."""
        return self._limiter.velocity

    @property
    def anchor(self) -> Anchor:
        """Where the newest command, before it was averaged, puts joints and end effector."""
        joints, pose = self._limiter.ahead, None
        if self._kinematics is not None and (self._hand is None or self._short):
            pose = self._kinematics.forward(joints[self._in_chain])
        if self._hand is not None:
            # What a short chain cannot turn to must not add up from chunk to chunk.
            ahead = self._hand.ahead
            pose = ahead if pose is None else Pose(ahead.position, pose.quaternion)
        return Anchor(pose, joints)

    @property
    def commanded(self) -> Anchor:
        """The last command."""
        return Anchor(None, self._limiter.joints)

    @property
    def at_rest(self) -> bool:
        """Whether the command stands still, where it was to come to rest."""
        there = self._rest is None or np.array_equal(self._limiter.ahead, self._rest)
        return there and self._limiter.at_rest and (self._hand is None or self._hand.at_rest)

    @property
    def by_pose(self) -> bool:
        """Whether the last command was of inverse kinematics."""
        return self._hand is not None

    @property
    def brakes_by_joint(self) -> bool:
        """Whether `brake` does what `stop` tells, from now on."""
        by_pose = self._hand is not None and not self._hand.at_rest and not self.problem
        return (self._rest is None and not by_pose) or self.at_rest

    @property
    def active_limits(self) -> tuple[str, ...]:
        """The limits that kept the last command from its point."""
        hand = () if self._hand is None else self._hand.active_limits
        return (*hand, *(f'joint_{name}' for name in self._limiter.active_limits))

    def lag_ns(self, space: ActionSpace) -> int:
        """Return the delay of the averages that keep the jerks, one or both [ns]."""
        periods = self._limiter.lag_periods
        if space in CHANNELS:
            periods += (pose_smoothing_periods(self._arm.cartesian, self._period_s) - 1) / 2
        return round(periods * self._arm.period_ns)

    def timeline(self, chunk: ActionChunk, anchor: Anchor) -> Timeline:
        """Return the path of a chunk; raises ActionError where this arm cannot follow it."""
        if chunk.space in CHANNELS:
            known = anchor if self._kinematics is not None else Anchor(None, anchor.joints)
            return pose_path(chunk, known, self._arm)
        gripper = self._arm.names_of('gripper')
        return joint_timeline(chunk, anchor.joints, self._arm.joints, *gripper)

    def follow(self, point: Point) -> None:
        """Be on `point`, a pose or joints, at the end of this period, or catch up."""
        self.problem = ''
        kinematics = self._kinematics
        if not isinstance(point, Pose):
            self._hand = None
            self._limiter.follow(point)
            self.problem = self._space.leaving(self._limiter.rest, self._limiter.joints)
        elif kinematics is not None:
            if self._hand is None:
                self._asked = self._limiter.ahead[self._in_chain]
                limits, workspace = self._arm.cartesian, self._arm.workspace
                start = kinematics.forward(self._asked)
                self._hand = PoseLimiter(limits, workspace, self._period_s, start)
            self._reach(kinematics, self._hand.follow(point))
        self._look()

    def _look(self) -> None:
        """Note a problem where the arm, if it braked now, would touch what it must not.

        The stop from the look before was free of that. In between no link moves further than half
        the margin.
        """
        here = self._limiter.joints
        if self._looked is not None:
            pairs = zip(here.tolist(), self._looked.tolist(), strict=True)
            moved_m = _REACH_M * sum(abs(now - before) for now, before in pairs)
            if moved_m < 0.5 * self._arm.space.margin_m:
                return
        self._looked = here
        self.problem = self.problem or self._space.touching(self._limiter.rest, here)

    def brake(self) -> None:
        """Come to rest: along the way of the end effector while it is followed, else the joints'.

        Where the joints cannot keep to that way, they stop on one of their own. After return_to
        they go there instead.
        """
        if self._rest is not None:
            self._hand = None
            self._limiter.follow(self._rest)
        elif self._hand is None or self._kinematics is None or self._hand.at_rest or self.problem:
            self._hand = None
            self._limiter.brake()
        else:
            self._reach(self._kinematics, self._hand.brake())

    def return_to(self, place: Anchor | None) -> None:
        """Come to rest at joints (n,), each within its positions."""
        self._rest = None
        if place is not None:
            lower, upper = np.array([joint.position for joint in self._arm.joints]).T
            self._rest = np.clip(place.joints, lower, upper)

    def stop(self) -> tuple[Float64Array, Float64Array]:
        """Return joints and their velocities (k, n) in a stop joint by joint, the last at rest."""
        return self._limiter.stop()

    def give_up_pose(self) -> None:
        """Follow the end effector no longer: brake joint by joint from here on."""
        self._hand = None

    def setpoint(self, stamp_ns: int, gripper: float) -> Setpoint:
        """Return the last command: every joint and its velocity, and the pose they give."""
        limiter = self._limiter
        pose = None
        if self._kinematics is not None:
            pose = self._kinematics.forward(limiter.joints[self._in_chain])
        joints = dict(zip(self._names, limiter.joints.tolist(), strict=True))
        velocities = dict(zip(self._names, limiter.velocity.tolist(), strict=True))
        return Setpoint(stamp_ns, pose, gripper, joints, velocities)

    def _reach(self, kinematics: Kinematics, pose: Pose) -> None:
        """Move the joints of the chain towards `pose`; the others stay."""
        self._asked = kinematics.toward(self._asked, pose, self._period_s)
        joints = self._limiter.ahead.copy()
        joints[self._in_chain] = self._asked
        self._limiter.follow(joints)
        ahead = self._limiter.ahead[self._in_chain]
        stray_m, stray_rad = kinematics.miss(ahead, pose)
        stray = stray_m / _STRAY_M
        # An arm with fewer joints cannot take every orientation, and is not expected to.
        if not self._short:
            stray = max(stray, stray_rad / _STRAY_RAD)
        if stray > 1.0:
            self.problem = (
                f'the joints cannot follow the end effector: {stray_m:.3f} m and {stray_rad:.3f} '
                f'rad off, {self._cause(kinematics, np.abs(self._asked - ahead))}'
            )

    def _cause(self, kinematics: Kinematics, behind: Float64Array) -> str:
        slowest = int(np.argmax(behind / kinematics.velocity))
        if behind[slowest] > _BEHIND:
            return (
                f'{kinematics.names[slowest]} is {behind[slowest]:.3f} behind: lower the Cartesian '
                'limits to what the joints can do'
            )
        room = np.minimum(self._asked - kinematics.lower, kinematics.upper - self._asked)
        names = [name for name, r in zip(kinematics.names, room, strict=True) if r < _AT_END]
        if names:
            return f'{", ".join(names)} at the end of its positions'
        return 'out of reach or near a singularity'


def start_motion(arm: ArmContract, kinematics: Kinematics | None, start: Anchor) -> Motion:
    """Return the arm at rest at `start`, commanded as its contract says."""
    if start.pose is not None and arm.takes_poses:
        return PoseMotion(arm, start.pose)
    return JointMotion(arm, kinematics, start.joints)


def end_effector(arm: ArmContract, kinematics: Kinematics | None, point: Point) -> Pose | None:
    """Return base_T_ee of a point of the arm's path; None for joints without kinematics."""
    if isinstance(point, Pose):
        return point
    if kinematics is None:
        return None
    names = [joint.name for joint in arm.joints]
    return kinematics.forward(point[[names.index(name) for name in kinematics.names]])


def measured_anchor(arm: ArmContract, state: RobotState | None) -> Anchor:
    """Return where the arm is; raises ObservationError naming the joints that are not known."""
    if state is None:
        raise ObservationError('the state of the arm is not known yet')
    if arm.takes_poses:
        return Anchor(state.pose, np.zeros(0))
    positions = {joint.name: state.joints.get(joint.name, np.nan) for joint in arm.joints}
    unknown = [name for name, position in positions.items() if not np.isfinite(position)]
    if unknown:
        raise ObservationError(f'joint_states has no position of {", ".join(unknown)}')
    return Anchor(state.pose, np.array(list(positions.values())))
