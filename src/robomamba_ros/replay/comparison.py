"""Compares predicted actions with the motion that was recorded, step by step of the horizon."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.control.history import StateHistory
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.spatial.transforms import turn_between
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    GRIPPER_NAME,
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Pose,
    RobotState,
)


@dataclass(frozen=True)
class ChunkMotion:
    """The actions of a chunk until the next one is due, beside what was recorded.

    time_ns: (s,) ends of its steps. predicted: (s, 3) positions [m] from the recorded pose at the
    stamp on, NaN for chunks of joint channels. opening: (s,) predicted, NaN without a gripper.
    """

    time_ns: tuple[int, ...]
    predicted: Float64Array
    opening: Float64Array


class Comparison:
    """The mean absolute errors of a policy's actions, by horizon step and channel.

    motions: the compared chunks, for drawing.
    """

    def __init__(self, spec: PolicySpec, execute_steps: int) -> None:
        self._spec = spec
        self._execute_steps = execute_steps
        horizon_s = spec.horizon * spec.dt_ns / NANOSECONDS
        self._recorded = StateHistory(span_s=10.0 + 2.0 * horizon_s)
        self._waiting: deque[tuple[ActionChunk, Float64Array]] = deque()
        shape = (spec.horizon, len(spec.action_names))
        self._sums, self._counts = np.zeros(shape), np.zeros(shape, dtype=np.int64)
        self._way_sums, self._way_counts = np.zeros(spec.horizon), np.zeros(spec.horizon, np.int64)
        self.motions: list[ChunkMotion] = []

    def add_state(self, state: RobotState) -> None:
        """Take a recorded state; ObservationError on one that is older than the last."""
        self._recorded.add(state)
        while self._waiting and self._waiting[0][0].end_ns <= state.stamp_ns:
            self._compare(*self._waiting.popleft())

    def add_chunk(self, chunk: ActionChunk, path: Float64Array) -> None:
        """Take a predicted chunk, to be compared when its horizon has passed.

        path: the poses (H, 7) after each step from the recorded one at the stamp on, or (0, 7).
        """
        self._waiting.append((chunk, path))

    def finish(self) -> None:
        """Compare what there is of the last chunks, and forget the recorded states."""
        while self._waiting:
            self._compare(*self._waiting.popleft())
        self._recorded.clear()

    @property
    def errors(self) -> Float64Array:
        """Mean absolute error (H, d_a) in the units of the channels, NaN where nothing compared."""
        return _mean(self._sums, self._counts)

    @property
    def mean_errors(self) -> Float64Array:
        """Mean absolute error (d_a,) over all compared steps."""
        return _mean(self._sums.sum(axis=0), self._counts.sum(axis=0))

    @property
    def position_errors(self) -> Float64Array:
        """Mean distance (H,) [m] between predicted and recorded end effector after each step."""
        return _mean(self._way_sums, self._way_counts)

    def state_at(self, stamp_ns: int) -> RobotState:
        """Return the recorded state; there has to be one, as there is for every observation."""
        state = self._recorded.at(stamp_ns)
        assert state is not None
        return state

    def _compare(self, chunk: ActionChunk, path: Float64Array) -> None:
        newest = self._recorded.newest
        assert newest is not None
        steps = min((newest.stamp_ns - chunk.stamp_ns) // chunk.dt_ns, chunk.horizon)
        if steps < 1:
            return
        times = [chunk.stamp_ns + i * chunk.dt_ns for i in range(steps + 1)]
        motion = _Recorded(self._recorded, times)
        predicted = chunk.actions[:steps].astype(np.float64)
        recorded = np.stack(
            [_actions(chunk, name, motion, predicted) for name in chunk.names], axis=1
        )
        self._sums[:steps] += np.abs(predicted - recorded)
        self._counts[:steps] += 1
        positions = np.full((steps, 3), np.nan)
        if len(path):
            positions = path[:steps, :3]
            way = positions - motion.positions[1:]
            self._way_sums[:steps] += np.linalg.norm(way, axis=1)
            self._way_counts[:steps] += 1
        shown = min(steps, self._execute_steps)
        opening = np.full(shown, np.nan)
        if GRIPPER_NAME in chunk.names:
            opening = predicted[:shown, chunk.names.index(GRIPPER_NAME)]
        self.motions.append(ChunkMotion(tuple(times[1 : shown + 1]), positions[:shown], opening))


class _Recorded:
    """The recorded motion at times (s + 1,) [ns], each part of it once it is asked for."""

    def __init__(self, history: StateHistory, times: list[int]) -> None:
        self._history = history
        self._times = times
        entries = history.since(times[0])
        self._states = [state for _, state in entries]
        # From here on, because a float cannot tell the nanoseconds since 1970 apart.
        self._stamps = np.array([stamp - times[0] for stamp, _ in entries])
        self._offsets = np.array(times) - times[0]

    @cached_property
    def _poses(self) -> list[Pose]:
        found = (self._history.at(time_ns) for time_ns in self._times)
        return [state.pose for state in found if state is not None]

    @cached_property
    def positions(self) -> Float64Array:
        """(s + 1, 3) [m]."""
        known = np.concatenate([state.pose.position for state in self._states]).reshape(-1, 3)
        return np.stack([self._at_times(column) for column in known.T], axis=1)

    @cached_property
    def turns(self) -> Float64Array:
        """Rotation vectors (s, 3) from time to time [rad]."""
        return np.stack([turn_between(a, b) for a, b in pairwise(self._poses)])

    @cached_property
    def quaternions(self) -> Float64Array:
        """(s + 1, 4)."""
        return np.stack([pose.quaternion for pose in self._poses])

    def values(self, name: str) -> Float64Array:
        """(s + 1,) of the gripper or a joint."""
        return self._at_times(np.array([state.value(name) for state in self._states]))

    def _at_times(self, known: Float64Array) -> Float64Array:
        return np.asarray(np.interp(self._offsets, self._stamps, known))


def _actions(
    chunk: ActionChunk, name: str, motion: _Recorded, predicted: Float64Array
) -> Float64Array:
    """Return the actions (s,) of one channel that the recorded motion amounts to."""
    if name in EE_DELTA_NAMES:
        index = EE_DELTA_NAMES.index(name)
        return np.diff(motion.positions[:, index]) if index < 3 else motion.turns[:, index - 3]
    if name in EE_POSE_NAMES[:3]:
        return motion.positions[1:, EE_POSE_NAMES.index(name)]
    if name in EE_POSE_NAMES:
        # A quaternion and its negative are the same rotation.
        columns = [chunk.names.index(each) for each in EE_POSE_NAMES[3:]]
        turned = motion.quaternions[1:]
        sign = np.sign((predicted[:, columns] * turned).sum(axis=1))
        return np.asarray(sign * turned[:, EE_POSE_NAMES.index(name) - 3])
    values = motion.values(name)
    if chunk.space is ActionSpace.JOINT_DELTA and name != GRIPPER_NAME:
        return np.diff(values)
    return values[1:]


def _mean(sums: Float64Array, counts: NDArray[np.int64]) -> Float64Array:
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))
