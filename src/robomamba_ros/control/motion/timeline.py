"""Lays a chunk out in time: which action is due when, and where it takes the arm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from robomamba_ros.errors import ActionError, ObservationError, unknown_name
from robomamba_ros.robots.bounded import clipped
from robomamba_ros.robots.parts import Joint, Workspace, nearest_turn, wraps
from robomamba_ros.spatial.transforms import (
    Quaternion,
    interpolate,
    place,
    turn_between,
    turned,
)
from robomamba_ros.spatial.vectors import Vector, bounded, plus, vector
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    GRIPPER_NAME,
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Pose,
)

CHANNELS = {ActionSpace.EE_DELTA: EE_DELTA_NAMES, ActionSpace.EE_POSE: EE_POSE_NAMES}
JOINT_SPACES = (ActionSpace.JOINT_POSITION, ActionSpace.JOINT_DELTA)

# Where the arm is to be: base_T_ee, or the positions of all its joints (n,) [rad or m].
Point: TypeAlias = Pose | Float64Array


class Path(Protocol):
    """Where the arm is to be at a time."""

    def at(self, time_ns: int) -> Point:
        """Return the point at `time_ns`."""

    def gripper_at(self, time_ns: int) -> float | None:
        """Return the opening, 0..1, asked for at `time_ns`; None leaves it as it is."""


class Knots(Protocol):
    """The points of a path, by number; -1 is the last."""

    def __getitem__(self, index: int, /) -> Point:
        """Return one of them."""


K = TypeVar('K')


class _Following(ABC, Generic[K]):
    """Points that follow from one another, worked out as far as they are asked for.

    Most chunks are replaced long before their end. Two threads may ask: each writes the same.
    """

    def __init__(self, first: K, rows: Float64Array) -> None:
        self._known: list[K | None] = [first, *[None] * len(rows)]
        self._rows = rows

    def _at(self, index: int) -> K:
        index = range(len(self._known))[index]
        known = index
        while (knot := self._known[known]) is None:
            known -= 1
        for step in range(known, index):
            knot = self._known[step + 1] = self._after(knot, self._rows[step])
        return knot

    @abstractmethod
    def _after(self, before: K, row: Float64Array) -> K:
        """Return the point that a row of the chunk leads to."""


class _Poses(_Following[tuple[Vector, Quaternion]]):
    """The poses of displacements, each within the workspace."""

    def __init__(self, anchor: Pose, rows: Float64Array, workspace: Workspace) -> None:
        super().__init__(place(anchor), rows)
        self._lower, self._upper = vector(workspace.lower), vector(workspace.upper)

    def __getitem__(self, index: int, /) -> Pose:
        position, quaternion = self._at(index)
        return Pose(np.array(position), np.array(quaternion))

    def _after(
        self, before: tuple[Vector, Quaternion], row: Float64Array
    ) -> tuple[Vector, Quaternion]:
        position, quaternion = before
        x, y, z, *turn = row.tolist()
        if any(turn):
            quaternion = turned(quaternion, turn)
        return bounded(plus(position, (x, y, z)), self._lower, self._upper), quaternion


class _Joints(_Following[Float64Array]):
    """The joints (n,) of displacements or positions, each joint within its own.

    A position of a joint that wraps is reached by the shorter way; NaN leaves a joint where it is.
    """

    def __init__(
        self, anchor: Float64Array, rows: Float64Array, joints: Sequence[Joint], *, delta: bool
    ) -> None:
        super().__init__(anchor, rows)
        self._lower, self._upper = np.array([joint.position for joint in joints]).T
        self._turning, self._delta = wraps(joints), delta

    def __getitem__(self, index: int, /) -> Float64Array:
        return self._at(index)

    def _after(self, before: Float64Array, row: Float64Array) -> Float64Array:
        if self._delta:
            asked = before + row
        else:
            asked = nearest_turn(np.where(np.isnan(row), before, row), before, self._turning)
        # A joint outside its limits is not told to jump back, only not to go further.
        low, high = np.minimum(self._lower, before), np.maximum(self._upper, before)
        return clipped(asked, low, high)


def mix(before: Point, after: Point, weight: float) -> Point:
    """Return the point `weight` (0..1) of the way: straight, and by the shortest turn."""
    if isinstance(before, Pose) and isinstance(after, Pose):
        return interpolate(before, after, weight)
    if isinstance(before, Pose) or isinstance(after, Pose):
        raise ActionError('a pose cannot be mixed with joint positions')
    return before + weight * (after - before)


def gap(before: Point, after: Point) -> tuple[float, float, float]:
    """Return the way [m] and the turn [rad] between poses, or the largest change of a joint."""
    if isinstance(before, Pose) and isinstance(after, Pose):
        way = float(np.linalg.norm(after.position - before.position))
        return way, float(np.linalg.norm(turn_between(before, after))), 0.0
    if isinstance(before, Pose) or isinstance(after, Pose):
        raise ActionError('a pose cannot be compared with joint positions')
    return 0.0, 0.0, float(np.abs(after - before).max(initial=0.0))


def executed_steps(chunk: ActionChunk, now_ns: int) -> int:
    """Return how many whole steps of the chunk, 0..H, have passed at `now_ns`."""
    return min(max((now_ns - chunk.stamp_ns) // chunk.dt_ns, 0), chunk.horizon)


class Timeline:
    """The path of a chunk: through `knots`, the point at its stamp and that after each action.

    Action i moves the arm during [stamp + i * dt, stamp + (i + 1) * dt), straight on.
    """

    def __init__(self, chunk: ActionChunk, knots: Knots) -> None:
        self.chunk = chunk
        self._knots = knots

    def at(self, time_ns: int) -> Point:
        """Return the point at `time_ns`: the first knot before the chunk, its last after it."""
        steps, rest_ns = divmod(time_ns - self.chunk.stamp_ns, self.chunk.dt_ns)
        if steps < 0:
            return self._knots[0]
        if steps >= self.chunk.horizon:
            return self._knots[-1]
        return mix(self._knots[steps], self._knots[steps + 1], rest_ns / self.chunk.dt_ns)

    def gripper_at(self, time_ns: int) -> float | None:
        """Return the opening, 0..1, that the action due at `time_ns` asks for, if it does."""
        if GRIPPER_NAME not in self.chunk.names:
            return None
        step = min(executed_steps(self.chunk, time_ns), self.chunk.horizon - 1)
        return min(max(float(self.chunk.channel(GRIPPER_NAME)[step]), 0.0), 1.0)


def pose_timeline(chunk: ActionChunk, anchor: Pose, workspace: Workspace) -> Timeline:
    """Return the path of end-effector actions from `anchor`, the pose commanded at the stamp.

    Each step is clipped to the workspace before the next is added, as Meta-World does with its
    mocap: a policy that pushes against the wall leaves it at once when it turns back. Raises
    ActionError where the chunk is not one of end-effector actions.
    """
    check_channels(chunk)
    rows = chunk.columns(CHANNELS[chunk.space])
    if chunk.space is ActionSpace.EE_POSE:
        poses = [_absolute_pose(step, row, workspace) for step, row in enumerate(rows)]
        return Timeline(chunk, [anchor, *poses])
    return Timeline(chunk, _Poses(anchor, rows, workspace))


def joint_timeline(
    chunk: ActionChunk, anchor: Float64Array, joints: Sequence[Joint], gripper_joint: str = ''
) -> Timeline:
    """Return the path of joint actions from `anchor` (n,), the joints commanded at the stamp.

    Joints without a channel stay where they are. As for poses, each step is clipped to the limits
    before the next is added. A position of a joint that wraps is meant up to whole turns, and
    reached by the shorter way. gripper_joint: the one that no channel may name. Raises ActionError
    where the chunk is not one of joint actions.
    """
    names = [joint.name for joint in joints]
    if gripper_joint in chunk.names and gripper_joint != GRIPPER_NAME:
        raise ActionError(f"'{gripper_joint}' moves by the channel '{GRIPPER_NAME}', 0..1")
    _check_names(chunk, JOINT_SPACES, 'joint', names)
    delta = chunk.space is ActionSpace.JOINT_DELTA
    rows = chunk.columns(names, absent=0.0 if delta else np.nan)
    return Timeline(chunk, _Joints(anchor, rows, joints, delta=delta))


def check_times(chunk: ActionChunk, now_ns: int, followed: Timeline | None) -> None:
    """Raise ActionError where the chunk is over, not yet due, or older than the one `followed`."""
    age_s = (now_ns - chunk.stamp_ns) / NANOSECONDS
    if now_ns >= chunk.end_ns:
        late_s = (now_ns - chunk.end_ns) / NANOSECONDS
        raise ActionError(
            f'the chunk is {age_s:.3f} s old and its last action ended {late_s:.3f} s ago: '
            'inference or transport takes longer than the horizon'
        )
    if chunk.stamp_ns > now_ns + chunk.dt_ns:
        raise ActionError(
            f'the chunk is stamped {-age_s:.3f} s ahead of the clock: the clocks differ, or '
            'use_sim_time is not the same everywhere'
        )
    if followed is not None and chunk.stamp_ns < followed.chunk.stamp_ns:
        newer_s = (followed.chunk.stamp_ns - chunk.stamp_ns) / NANOSECONDS
        raise ActionError(f'the chunk is {newer_s:.3f} s older than the one being followed')


def check_channels(chunk: ActionChunk) -> None:
    """Raise ActionError where the chunk has channels that an end effector cannot follow."""
    _check_names(chunk, CHANNELS, 'end-effector', CHANNELS.get(chunk.space, ()))
    missing = [name for name in EE_POSE_NAMES if name not in chunk.names]
    if chunk.space is ActionSpace.EE_POSE and missing:
        raise ActionError(f'ee_pose actions lack the channels {", ".join(missing)}')


def _check_names(
    chunk: ActionChunk, spaces: Iterable[ActionSpace], kind: str, names: Sequence[str]
) -> None:
    if chunk.space not in spaces:
        valid = (space.value for space in spaces)
        raise ActionError(unknown_name(f'space of {kind} actions', chunk.space.value, valid))
    for name in chunk.names:
        if name not in (*names, GRIPPER_NAME):
            what = f'channel of {chunk.space.value} actions'
            raise ActionError(unknown_name(what, name, (*names, GRIPPER_NAME)))
    if len(set(chunk.names)) < len(chunk.names):
        raise ActionError(f'a channel is given twice: {", ".join(chunk.names)}')


def _absolute_pose(step: int, row: Float64Array, workspace: Workspace) -> Pose:
    try:
        return Pose(workspace.clip(row[:3]), row[3:])
    except ObservationError as error:
        raise ActionError(f'action {step}: {error}') from error
