"""Lays a chunk out in time: which action is due when, and where it takes the commanded pose.

Knows nothing about where the chunk came from or whether the arm can follow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from robomamba_ros.errors import ActionError, ObservationError, unknown_name
from robomamba_ros.robots.arm import Workspace
from robomamba_ros.spatial.transforms import interpolate, move_in_base
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    GRIPPER_NAME,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Pose,
)

CHANNELS = {ActionSpace.EE_DELTA: EE_DELTA_NAMES, ActionSpace.EE_POSE: EE_POSE_NAMES}


class PosePath(Protocol):
    """Where the commanded end effector is to be at a time."""

    def pose_at(self, time_ns: int) -> Pose:
        """Return base_T_ee at `time_ns`."""


@dataclass(frozen=True)
class Hold:
    """Stays at one pose."""

    pose: Pose

    def pose_at(self, time_ns: int) -> Pose:
        """Return the pose, whatever the time."""
        return self.pose


def executed_steps(chunk: ActionChunk, now_ns: int) -> int:
    """Return how many whole steps of the chunk, 0..H, have passed at `now_ns`."""
    return min(max((now_ns - chunk.stamp_ns) // chunk.dt_ns, 0), chunk.horizon)


class Timeline:
    """The path of a chunk of end-effector actions, anchored to the pose commanded at its stamp.

    Action i moves the pose during [stamp + i * dt, stamp + (i + 1) * dt), in a straight line and
    the shortest turn. Raises ActionError where the chunk is not one of end-effector actions.
    """

    def __init__(self, chunk: ActionChunk, anchor: Pose, workspace: Workspace) -> None:
        check_channels(chunk)
        self.chunk = chunk
        self._knots = (anchor, *_integrate(chunk, anchor, workspace))

    def pose_at(self, time_ns: int) -> Pose:
        """Return base_T_ee at `time_ns`: the anchor before the chunk, its last pose after it."""
        steps, rest_ns = divmod(time_ns - self.chunk.stamp_ns, self.chunk.dt_ns)
        if steps < 0:
            return self._knots[0]
        if steps >= self.chunk.horizon:
            return self._knots[-1]
        return interpolate(self._knots[steps], self._knots[steps + 1], rest_ns / self.chunk.dt_ns)

    def gripper_at(self, time_ns: int) -> float | None:
        """Return the opening, 0..1, that the action due at `time_ns` asks for, if it does."""
        if GRIPPER_NAME not in self.chunk.names:
            return None
        step = min(executed_steps(self.chunk, time_ns), self.chunk.horizon - 1)
        return min(max(float(self.chunk.channel(GRIPPER_NAME)[step]), 0.0), 1.0)


def check_channels(chunk: ActionChunk) -> None:
    """Raise ActionError where the chunk has channels that an end effector cannot follow."""
    valid = CHANNELS.get(chunk.space)
    if valid is None:
        spaces = (space.value for space in CHANNELS)
        raise ActionError(unknown_name('space of end-effector actions', chunk.space.value, spaces))
    for name in chunk.names:
        if name not in (*valid, GRIPPER_NAME):
            kind = f'channel of {chunk.space.value} actions'
            raise ActionError(unknown_name(kind, name, (*valid, GRIPPER_NAME)))
    if len(set(chunk.names)) < len(chunk.names):
        raise ActionError(f'a channel is given twice: {", ".join(chunk.names)}')
    missing = [name for name in EE_POSE_NAMES if name not in chunk.names]
    if chunk.space is ActionSpace.EE_POSE and missing:
        raise ActionError(f'ee_pose actions lack the channels {", ".join(missing)}')


def _integrate(chunk: ActionChunk, anchor: Pose, workspace: Workspace) -> list[Pose]:
    """Return the pose after each action.

    Each step is clipped to the workspace before the next is added, as Meta-World does with its
    mocap: a policy that pushes against the wall leaves it at once when it turns back.
    """
    columns = [_column(chunk, name) for name in CHANNELS[chunk.space]]
    values = np.stack(columns, axis=1)
    if chunk.space is ActionSpace.EE_POSE:
        return [_absolute_pose(step, row, workspace) for step, row in enumerate(values)]
    poses = []
    pose = anchor
    for row in values:
        moved = move_in_base(pose, row[:3], row[3:])
        pose = Pose(workspace.clip(moved.position), moved.quaternion)
        poses.append(pose)
    return poses


def _column(chunk: ActionChunk, name: str) -> Float64Array:
    if name in chunk.names:
        return chunk.channel(name).astype(np.float64)
    return np.zeros(chunk.horizon)


def _absolute_pose(step: int, row: Float64Array, workspace: Workspace) -> Pose:
    try:
        return Pose(workspace.clip(row[:3]), row[3:])
    except ObservationError as error:
        raise ActionError(f'action {step}: {error}') from error
