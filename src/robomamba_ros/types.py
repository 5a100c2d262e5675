"""The values that travel between sensors, policies and controllers; units and frames stated.

Arrays are never written to after construction: every value here is a frozen record and checks
itself when it is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.errors import ActionError, ObservationError

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
UInt8Array = NDArray[np.uint8]

NANOSECONDS = 1_000_000_000

EE_DELTA_NAMES = ('ee_dx', 'ee_dy', 'ee_dz', 'ee_drx', 'ee_dry', 'ee_drz')
EE_POSE_NAMES = ('ee_x', 'ee_y', 'ee_z', 'ee_qx', 'ee_qy', 'ee_qz', 'ee_qw')
GRIPPER_NAME = 'gripper'

# How time passes: by a clock, or simulated, one step for every command.
MODES = ('realtime', 'lockstep')


class ActionSpace(str, Enum):
    """What the channels of an action mean.

    ee_delta: change of the commanded base_T_ee within one step, base axes: any of
        EE_DELTA_NAMES, translation in metres, rotation vector in radians.
    ee_pose: absolute base_T_ee: EE_POSE_NAMES, metres and a unit quaternion (x, y, z, w).
    joint_position: absolute joint positions by joint name [rad or m].
    joint_delta: change of the commanded joint positions within one step [rad or m].
    Every space may carry the channel `gripper`: the commanded opening, 0 closed .. 1 open.
    """

    EE_DELTA = 'ee_delta'
    EE_POSE = 'ee_pose'
    JOINT_POSITION = 'joint_position'
    JOINT_DELTA = 'joint_delta'


@dataclass(frozen=True)
class Pose:
    """A rigid pose base_T_ee: position (3,) in metres, unit quaternion (4,) as x, y, z, w."""

    position: Float64Array
    quaternion: Float64Array

    def __post_init__(self) -> None:
        position = np.asarray(self.position, dtype=np.float64)
        quaternion = np.asarray(self.quaternion, dtype=np.float64)
        if position.shape != (3,) or quaternion.shape != (4,):
            raise ObservationError(
                f'a pose needs a position of 3 numbers and a quaternion of 4, got shapes '
                f'{position.shape} and {quaternion.shape}'
            )
        # Poses are made by the thousand: one number that is finite spares two reductions.
        norm = math.hypot(*quaternion.tolist())
        if not math.isfinite(sum(position.tolist()) + norm):
            raise ObservationError(
                f'a pose must be finite, got position {position.tolist()} and quaternion '
                f'{quaternion.tolist()}'
            )
        if abs(norm - 1.0) > 1e-3:
            raise ObservationError(
                f'the quaternion (x, y, z, w) = {quaternion.tolist()} has length {norm:.4f}, not 1'
            )
        object.__setattr__(self, 'position', position)
        object.__setattr__(self, 'quaternion', quaternion / norm)


@dataclass(frozen=True)
class RobotState:
    """The arm at one instant: joint positions by name [rad or m], base_T_ee, gripper opening.

    stamps: those of the messages it was joined from, by stream [ns], where they are not stamp_ns.
    """

    stamp_ns: int
    pose: Pose
    gripper: float
    joints: Mapping[str, float] = field(default_factory=dict)
    stamps: Mapping[str, int] = field(default_factory=dict)

    def value(self, name: str) -> float:
        """Return the state channel `name`: one of EE_POSE_NAMES, `gripper`, or a joint."""
        if name in EE_POSE_NAMES:
            index = EE_POSE_NAMES.index(name)
            return float(
                self.pose.position[index] if index < 3 else self.pose.quaternion[index - 3]
            )
        if name == GRIPPER_NAME:
            return self.gripper
        if name in self.joints:
            return self.joints[name]
        raise ObservationError(
            f"state channel '{name}' is not available; this arm gives "
            f'{", ".join((*EE_POSE_NAMES, GRIPPER_NAME, *self.joints))}'
        )

    def vector(self, names: tuple[str, ...]) -> Float32Array:
        """Return the state channels `names` as one (len(names),) float32 vector."""
        return np.array([self.value(name) for name in names], dtype=np.float32)


@dataclass(frozen=True)
class Observation:
    """What a policy sees at one instant.

    stamp_ns: time of the oldest image used [ns].
    images: camera name -> RGB (h, w, 3) uint8.
    state, previous_state: (d_s,) float32, the channels of the policy's `state_names` at the stamp
        and one action step earlier (their difference is the paper's delta state).
    instruction: the task in words.
    depth: camera name -> (h, w) float32 metres; intrinsics: camera name -> (3, 3) pixel matrix.
    """

    stamp_ns: int
    images: Mapping[str, UInt8Array]
    state: Float32Array
    previous_state: Float32Array
    instruction: str
    depth: Mapping[str, Float32Array] = field(default_factory=dict)
    intrinsics: Mapping[str, Float64Array] = field(default_factory=dict)


@dataclass(frozen=True)
class ActionChunk:
    """A chunk of H actions: action i is due at stamp_ns + i * dt_ns and lasts one dt_ns.

    stamp_ns: time of the observation it was computed from [ns].
    actions: (H, d_a) float32 in physical units, channel order `names` (see ActionSpace).
    execute_steps: how many of them are to run before a newer chunk is there; None: all, as of an
        act that is planned as a whole.
    """

    stamp_ns: int
    dt_ns: int
    actions: Float32Array
    space: ActionSpace
    names: tuple[str, ...]
    execute_steps: int | None = None

    def __post_init__(self) -> None:
        actions = np.asarray(self.actions, dtype=np.float32)
        if actions.ndim != 2 or actions.shape[1] != len(self.names) or len(actions) == 0:
            raise ActionError(
                f'a chunk needs actions of shape (H >= 1, {len(self.names)}) for the channels '
                f'{", ".join(self.names)}, got {actions.shape}'
            )
        if self.dt_ns <= 0:
            raise ActionError(f'a chunk needs dt > 0, got {self.dt_ns} ns')
        finite = np.isfinite(actions)
        if not finite.all():
            bad = np.argwhere(~finite)
            step, channel = (int(v) for v in bad[0])
            raise ActionError(
                f"action {step}, channel '{self.names[channel]}' is {actions[step, channel]}; "
                f'{len(bad)} of {actions.size} values are not finite'
            )
        object.__setattr__(self, 'actions', actions)

    @property
    def horizon(self) -> int:
        """Number of actions H."""
        return len(self.actions)

    @property
    def end_ns(self) -> int:
        """Time at which the last action has run its step [ns]."""
        return self.stamp_ns + self.horizon * self.dt_ns

    def channel(self, name: str) -> Float32Array:
        """Return the (H,) values of one channel."""
        return self.actions[:, self.names.index(name)]

    def columns(self, names: Sequence[str], absent: float = 0.0) -> Float64Array:
        """Return the (H, n) values of the channels `names`, `absent` for one that is not there."""
        present = [i for i, name in enumerate(names) if name in self.names]
        columns = np.full((self.horizon, len(names)), absent)
        columns[:, present] = self.actions[:, [self.names.index(names[i]) for i in present]]
        return columns


@dataclass(frozen=True)
class Setpoint:
    """One command for the arm: where it is to be at the end of the next control period.

    stamp_ns: control tick it belongs to [ns]; gripper: commanded opening, 0 closed .. 1 open.
    pose: base_T_ee; None for an arm that is commanded by its joints and has no kinematics.
    joints, joint_velocities: by name [rad or m, and per s]; empty for one commanded by poses.
    """

    stamp_ns: int
    pose: Pose | None
    gripper: float
    joints: Mapping[str, float] = field(default_factory=dict)
    joint_velocities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PoseTarget:
    """A place to act on: go to pre_contact, straight on to pose, and act by moving to retreat.

    stamp_ns: time of the observation it was computed from [ns].
    frame: what all three poses are given in (frame_T_ee), such as a camera's optical frame.
    """

    stamp_ns: int
    frame: str
    pose: Pose
    pre_contact: Pose
    retreat: Pose

    def __post_init__(self) -> None:
        if not self.frame:
            raise ActionError('a pose target must name the frame its poses are given in')


# What one inference of a policy gives.
PolicyOutput: TypeAlias = ActionChunk | PoseTarget
