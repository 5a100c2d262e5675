"""Action chunks as trajectory messages: SE(3) targets and joint channels, joined by their stamp.

Deltas travel as displacements since the stamp, summed in float64, so that a reader needs no history
and the receiver's differences round to the sender's float32.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, Vector3
from nav_msgs.msg import Path
from trajectory_msgs.msg import (
    JointTrajectory,
    JointTrajectoryPoint,
    MultiDOFJointTrajectory,
    MultiDOFJointTrajectoryPoint,
)

from robomamba_ros.control.setpoints.plausible import LONGEST
from robomamba_ros.errors import ActionError, unknown_name
from robomamba_ros.messages.chunk_arrays import (
    IDENTITY,
    end_effector_transforms,
    joint_positions,
    predicted_poses,
)
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.common.conversions import duration_message, pose_to_stamped, time_message
from robomamba_ros.spatial.transforms import turn_between
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    GRIPPER_NAME,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Pose,
)

# How the second joint name of `action_chunk` says for how many steps it is to be executed.
_EXECUTE = 'execute_steps='


def chunk_to_messages(
    chunk: ActionChunk, frame: str
) -> tuple[MultiDOFJointTrajectory, JointTrajectory]:
    """Return `action_chunk` and `joint_chunk` for a chunk whose poses are in `frame`.

    The first joint name is the action space, the second, if any, `execute_steps=N` (see
    ActionChunk). Point i is due at stamp + (i + 1) * dt. ee_delta: displacements since the stamp
    from the pose commanded then, base axes. ee_pose: absolute. joint_delta: displacements since
    the stamp.
    """
    targets = MultiDOFJointTrajectory(joint_names=[chunk.space.value])
    if chunk.execute_steps is not None:
        targets.joint_names.append(f'{_EXECUTE}{chunk.execute_steps}')
    targets.header.stamp = time_message(chunk.stamp_ns)
    targets.header.frame_id = frame
    joint_names, positions = joint_positions(chunk)
    joints = JointTrajectory(joint_names=joint_names)
    joints.header = targets.header
    transforms = end_effector_transforms(chunk)
    for i in range(chunk.horizon):
        due = duration_message((i + 1) * chunk.dt_ns)
        target = MultiDOFJointTrajectoryPoint(time_from_start=due)
        if transforms is not None:
            target.transforms = [_transform_message(transforms[i])]
        targets.points.append(target)
        joints.points.append(
            JointTrajectoryPoint(time_from_start=due, positions=positions[i].tolist())
        )
    return targets, joints


def withdrawal(stamp_ns: int, frame: str) -> MultiDOFJointTrajectory:
    """Return the `action_chunk` that says: what was sent before is not to be followed further."""
    message = MultiDOFJointTrajectory()
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = frame
    return message


def is_withdrawal(targets: Any) -> bool:
    """Tell whether an `action_chunk` is one that `withdrawal` makes: no actions of no space."""
    return not targets.points and not targets.joint_names


def messages_to_chunk(targets: Any, joints: Any, frame: str) -> ActionChunk:
    """Return the chunk that two messages of one stamp carry; the inverse of chunk_to_messages.

    ee_delta gets all six displacement channels, zero where the sender had none. Raises
    ActionError naming what does not fit.
    """
    stamp_ns = nanoseconds(targets.header.stamp)
    if targets.header.frame_id != frame:
        raise ActionError(
            f"action_chunk is in the frame '{targets.header.frame_id:.60}', the arm's base frame "
            f"is '{frame}'"
        )
    space, execute_steps = _space(list(targets.joint_names))
    horizon = len(targets.points)
    if horizon == 0 or len(joints.points) != horizon:
        raise ActionError(
            f'action_chunk has {horizon} points and joint_chunk {len(joints.points)}; both need '
            'the same number, at least one'
        )
    if horizon > LONGEST:
        raise ActionError(f'action_chunk has {horizon} points, {LONGEST} are allowed')
    dt_ns = nanoseconds(targets.points[0].time_from_start)
    for i, point in enumerate(targets.points):
        if nanoseconds(point.time_from_start) != (i + 1) * dt_ns:
            raise ActionError(
                f'point {i} of action_chunk is due {nanoseconds(point.time_from_start)} ns after '
                f'the stamp; steps of {dt_ns} ns were expected'
            )
    columns: dict[str, Float64Array] = {}
    if space is ActionSpace.EE_DELTA:
        transforms = _read_transforms(targets)
        columns.update(zip(EE_DELTA_NAMES, _differences(transforms).T, strict=True))
    elif space is ActionSpace.EE_POSE:
        columns.update(zip(EE_POSE_NAMES, _read_transforms(targets).T, strict=True))
    for name, values in zip(joints.joint_names, _read_positions(joints).T, strict=True):
        differs = space is ActionSpace.JOINT_DELTA and name != GRIPPER_NAME
        columns[name] = np.diff(values, prepend=0.0) if differs else values
    if not columns:
        raise ActionError(f'action_chunk of {space.value} needs channels in joint_chunk, got none')
    actions = np.stack(list(columns.values()), axis=1).astype(np.float32)
    return ActionChunk(stamp_ns, dt_ns, actions, space, tuple(columns), execute_steps)


def predicted_path(chunk: ActionChunk, anchor: Pose, frame: str) -> Path:
    """Return where the end effector is after each step, from the pose `anchor` at the stamp.

    Chunks of joint channels give an empty path: the end effector's follows from kinematics.
    """
    path = Path()
    path.header.stamp = time_message(chunk.stamp_ns)
    path.header.frame_id = frame
    for i, pose in enumerate(predicted_poses(chunk, anchor)):
        path.poses.append(
            pose_to_stamped(Pose(pose[:3], pose[3:]), chunk.stamp_ns + (i + 1) * chunk.dt_ns, frame)
        )
    return path


class ChunkJoiner:
    """Joins `action_chunk` and `joint_chunk` by stamp; the newest of each is kept."""

    def __init__(self, frame: str) -> None:
        self._frame = frame
        self._targets: Any = None
        self._joints: Any = None

    def add_targets(self, message: Any) -> ActionChunk | None:
        """Take an `action_chunk`; return the chunk once its `joint_chunk` is there too."""
        self._targets = message
        return self._join()

    def add_joints(self, message: Any) -> ActionChunk | None:
        """Take a `joint_chunk`; return the chunk once its `action_chunk` is there too."""
        self._joints = message
        return self._join()

    def _join(self) -> ActionChunk | None:
        targets, joints = self._targets, self._joints
        if targets is None or joints is None or targets.header.stamp != joints.header.stamp:
            return None
        self._targets = self._joints = None
        return messages_to_chunk(targets, joints, self._frame)


def _differences(transforms: Float64Array) -> Float64Array:
    """Return (H, 6) displacements within each step; the inverse of `displacements`."""
    steps = np.empty((len(transforms), 6))
    steps[:, :3] = np.diff(transforms[:, :3], axis=0, prepend=0.0)
    poses = [Pose(np.zeros(3), IDENTITY), *(Pose(np.zeros(3), row[3:]) for row in transforms)]
    steps[:, 3:] = [turn_between(before, after) for before, after in pairwise(poses)]
    return steps


def _transform_message(values: Float64Array) -> Transform:
    x, y, z, qx, qy, qz, qw = values.tolist()
    return Transform(
        translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
    )


def _space(names: list[str]) -> tuple[ActionSpace, int | None]:
    steps = names[1].removeprefix(_EXECUTE) if len(names) == 2 else ''
    if len(names) != 1 and not (steps.isdecimal() and int(steps) > 0):
        raise ActionError(
            f"action_chunk needs one joint name, the action space, and may have '{_EXECUTE}N', got "
            f'{len(names)}: {", ".join(names)}'
        )
    try:
        return ActionSpace(names[0]), int(steps) if steps else None
    except ValueError:
        valid = [space.value for space in ActionSpace]
        raise ActionError(unknown_name('action space', names[0], valid)) from None


def _read_transforms(targets: Any) -> Float64Array:
    rows = np.empty((len(targets.points), 7))
    for i, point in enumerate(targets.points):
        if len(point.transforms) != 1:
            raise ActionError(
                f'point {i} of action_chunk has {len(point.transforms)} transforms, not 1'
            )
        t, r = point.transforms[0].translation, point.transforms[0].rotation
        rows[i] = (t.x, t.y, t.z, r.x, r.y, r.z, r.w)
    lengths = np.linalg.norm(rows[:, 3:], axis=1)
    # A comparison with NaN is false, so that NaN is refused here too.
    bad = np.flatnonzero(~(np.abs(lengths - 1.0) < 1e-3))
    if len(bad):
        raise ActionError(
            f'point {bad[0]} of action_chunk has a quaternion of length {lengths[bad[0]]:.4f}, '
            'not 1'
        )
    return rows


def _read_positions(joints: Any) -> Float64Array:
    width = len(joints.joint_names)
    for i, point in enumerate(joints.points):
        if len(point.positions) != width:
            raise ActionError(
                f'point {i} of joint_chunk has {len(point.positions)} positions for the '
                f'{width} joints {", ".join(joints.joint_names)}'
            )
    positions = np.array([p.positions for p in joints.points], dtype=np.float64)
    return positions.reshape(len(joints.points), width)
