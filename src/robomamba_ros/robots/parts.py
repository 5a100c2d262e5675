"""What an arm contract is made of: joints, gripper, cameras, limits, outputs, as plain values.

robots/arm.py reads these from a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.types import NANOSECONDS, Float64Array, Pose


@dataclass(frozen=True)
class Joint:
    """One joint and its limits [rad or m, and per s, s^2, s^3]; `jerk` None is no limit.

    part: one of PARTS. position: (lower, upper), infinite where the joint has no end. rest: where
    a redundant arm prefers the joint to be, None for no preference. following: how far it
    may be from its commands [rad or m], None for what is derived from its velocity.
    """

    name: str
    part: str
    position: tuple[float, float]
    velocity: float
    acceleration: float
    jerk: float | None
    rest: float | None
    following: float | None = None

    @property
    def endless(self) -> bool:
        """Whether the joint has no end."""
        return not np.isfinite(self.position).any()


@dataclass(frozen=True)
class Gripper:
    """The gripper's joint and its positions [rad or m] at opening 1 and at opening 0."""

    joint: str
    open_position: float
    closed_position: float

    def position(self, opening: float) -> float:
        """Return the joint's position [rad or m] at an opening, 0 closed .. 1 open."""
        return self.closed_position + opening * (self.open_position - self.closed_position)

    def opening(self, position: float) -> float:
        """Return the opening, 0 closed .. 1 open, at a position of the joint [rad or m]."""
        span = self.open_position - self.closed_position
        return min(1.0, max(0.0, (position - self.closed_position) / span))


# How images of another size than a policy's are shown to it: the largest centred part of its aspect
# ratio; all of it, out of proportion; all of it, centred on black. Each is then resized.
FITS = ('crop', 'squash', 'pad')


@dataclass(frozen=True)
class Camera:
    """A camera: its topic, how its pixels come, and the age at which an image is too old [s].

    required: whether the robot is to be moved by policies only while this camera is there.
    latency_s: how much later than the image was taken its stamp is [s].
    fit: how its images become of the size that a policy needs, one of FITS; '': not at all.
    depth_topic, info_topic: depth image registered to the colour image, and CameraInfo.
    base_T_camera: pose of the optical frame of a camera that never moves. ee_T_camera: of one that
    moves with the end effector, in its frame. link: the optical frame in the URDF, of one that
    moves otherwise, as on a head.
    """

    name: str
    topic: str
    encoding: str
    transport: str
    budget_s: float
    required: bool
    depth_topic: str | None = None
    info_topic: str | None = None
    base_T_camera: Pose | None = None  # noqa: N815
    ee_T_camera: Pose | None = None  # noqa: N815
    link: str | None = None
    latency_s: float = 0.0
    fit: str = ''

    @property
    def compresses_depth(self) -> bool:
        """Whether its depth comes compressed, as image_transport says by the topic's name."""
        return (self.depth_topic or '').endswith('/compressedDepth')

    def taken_ns(self, stamp_ns: int) -> int:
        """Return when the image with this stamp was taken [ns]."""
        return stamp_ns - round(self.latency_s * NANOSECONDS)


@dataclass(frozen=True)
class CartesianLimits:
    """Limits of the commanded end-effector pose, on the norms of its two velocities.

    velocity [m/s], acceleration and stop_deceleration [m/s^2], jerk [m/s^3], and the same for the
    rotation in rad; a jerk of None is no limit. A stop uses the stop decelerations, everything
    else the accelerations.
    """

    velocity: float
    acceleration: float
    stop_deceleration: float
    rotation_velocity: float
    rotation_acceleration: float
    rotation_stop_deceleration: float
    jerk: float | None = None
    rotation_jerk: float | None = None


@dataclass(frozen=True)
class Workspace:
    """The box that commanded positions stay in: corners lower and upper (3,) [m], base frame."""

    lower: Float64Array
    upper: Float64Array

    def clip(self, position: Float64Array) -> Float64Array:
        """Return the point of the box nearest to `position` (3,)."""
        return np.clip(position, self.lower, self.upper)


@dataclass(frozen=True)
class KeepOut:
    """A box that no part of the arm enters: corners lower and upper (3,) [m], base frame."""

    name: str
    lower: Float64Array
    upper: Float64Array


@dataclass(frozen=True)
class SpaceRules:
    """Where an arm must not be.

    self_collision: whether the arm is kept out of itself. margin_m: how near a link may come to
    another one or to a box [m]. srdf: a file that lists pairs of links which need no watch.
    """

    self_collision: bool = True
    margin_m: float = 0.02
    srdf: str | None = None
    keep_out: tuple[KeepOut, ...] = ()


@dataclass(frozen=True)
class Output:
    """Where commands go: the part of the robot, the kind of its controller, and the topic.

    lead_s: how far ahead of now the point of a joint_trajectory lies [s], None for one control
    period. stamped: whether a twist is a TwistStamped. max_effort: of a gripper's action [N or Nm].
    publishers: how many nodes may publish on the topic, ours included. assume_settings: whether
    the arm may move although the settings of its joint_trajectory_controller cannot be read.
    """

    part: str
    kind: str
    topic: str
    lead_s: float | None = None
    stamped: bool = False
    max_effort: float | None = None
    publishers: int = 1
    assume_settings: bool = False

    @property
    def name(self) -> str:
        """The node's own name for the topic: the kind for the arm, the part for every other."""
        return self.kind if self.part == 'arm' else self.part

    @property
    def action(self) -> str:
        """The type of the action that it sends goals of, '' where its commands are messages."""
        return ACTIONS.get(self.kind, '')


@dataclass(frozen=True)
class Interlock:
    """What the robot, or a person, must say for the arm to be moved.

    type: of the messages on `topic`, as std_msgs/msg/Bool. field: the one that counts, with dots
    and indices, as buttons[4]. allowed: the values that allow motion. budget_s: age at which the
    newest message is too old [s]; None for a latched topic, which speaks only when the value
    changes and counts for as long as its publisher is there. optional: whether the arm may move
    where the package of the message type is not installed.
    """

    name: str
    topic: str
    type: str
    field: str
    allowed: tuple[bool | int | float | str, ...]
    budget_s: float | None
    latched: bool
    optional: bool


@dataclass(frozen=True)
class SpeedScaling:
    """Where the robot says at which share of the commanded speed it executes trajectories.

    topic: std_msgs/Float64 [%]. budget_s: age at which the newest message is too old [s].
    """

    topic: str
    budget_s: float


@dataclass(frozen=True)
class UrdfSource:
    """Where the URDF comes from: a `file` (path or package://) or a std_msgs/String `topic`."""

    file: str | None
    topic: str | None


def wraps(joints: Sequence[Joint]) -> Float64Array:
    """Return 1 for each joint that is where it was after a whole turn, 0 for every other (n,).

    Those are joints without an end; of a base, the third, which turns.
    """
    base = [joint.name for joint in joints if joint.part == 'base']
    return np.array([float(j.endless and j.name not in base[:2]) for j in joints])


def nearest_turn(
    joints: Float64Array, reference: Float64Array, turning: Float64Array
) -> Float64Array:
    """Return joints (n,), as near to `reference` as whole turns of the `turning` ones (1) allow."""
    return joints + turning * 2.0 * np.pi * np.round((reference - joints) / (2.0 * np.pi))


# The parts that joints belong to; the gripper has a section of its own.
PARTS = ('arm', 'base', 'head')
# Kinds of controller of the part arm that take poses, or what is computed from poses.
POSE_KINDS = ('target_pose', 'twist')
# Kinds of controller that take the goals of an action, and its type.
ACTIONS = {
    'gripper_command': 'control_msgs/action/GripperCommand',
    'parallel_gripper_command': 'control_msgs/action/ParallelGripperCommand',
}
OUTPUT_KINDS = {
    'arm': ('joint_trajectory', 'forward_position', 'target_pose', 'twist'),
    'base': ('twist', 'joint_trajectory'),
    'head': ('joint_trajectory', 'forward_position'),
    'gripper': ('joint_state', *ACTIONS, 'joint_trajectory', 'forward_position'),
}
