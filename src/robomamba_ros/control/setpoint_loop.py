"""Turns action chunks into one setpoint per control period, and fails closed.

The safety of the arm is decided here: what it follows, when it stops, what lets it move again.
Live, simulated and replayed runs all use it. It reads no clock, does no input or output, and is
to be called from one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from robomamba_ros.actions.blending import Crossfade, settle
from robomamba_ros.actions.limits import PoseLimiter
from robomamba_ros.actions.timeline import Hold, Timeline, executed_steps
from robomamba_ros.control.freshness import Freshness
from robomamba_ros.control.history import StateHistory
from robomamba_ros.errors import ActionError, ConfigError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, ActionChunk, Pose, RobotState, Setpoint

_NO_CHUNK = 'no action_chunk yet'


class LoopState(str, Enum):
    """What the loop does with the arm.

    disabled: commands nothing. waiting: holds still until the first chunk. tracking: follows a
    chunk. stopping: brakes along the way it moves. holding: at rest after a stop.
    """

    DISABLED = 'disabled'
    WAITING = 'waiting'
    TRACKING = 'tracking'
    STOPPING = 'stopping'
    HOLDING = 'holding'


@dataclass(frozen=True)
class LoopStatus:
    """The state of the loop and, where it does not track, the reason in words."""

    state: LoopState
    reason: str


@dataclass(frozen=True)
class ChunkReceipt:
    """How a chunk was taken in.

    trimmed_steps: whole steps of it that had passed already; seam_jump_m: distance between where
    it puts the end effector now and where the arm has been commanded to be [m].
    """

    trimmed_steps: int
    seam_jump_m: float


class SetpointLoop:
    """Follows the newest chunk within the arm's limits; brakes and holds when it cannot.

    crossfade_steps: action steps over which a new chunk takes over; 0 takes over at once.
    limited_ticks: setpoints so far that the limits have changed.

    A stop for want of a chunk ends with the next one. A stop for want of trustworthy inputs ends
    only with `enable(True)`: somebody has to look before the arm moves again.
    """

    def __init__(self, arm: ArmContract, *, crossfade_steps: int = 0) -> None:
        if crossfade_steps < 0:
            raise ConfigError(f'crossfade_steps is {crossfade_steps}, allowed: 0 or more')
        self._arm = arm
        self._crossfade_steps = crossfade_steps
        self._freshness = Freshness(
            {'ee_pose': arm.ee_pose_budget_s, 'joint_states': arm.joint_states_budget_s}
        )
        self._measured = StateHistory()
        # Stamped with the end of the control period in which each command is to be reached.
        self._commanded = StateHistory()
        self._limiter: PoseLimiter | None = None
        self._gripper = 0.0
        self._timeline: Timeline | None = None
        self._fade: Crossfade | None = None
        self._tick_ns: int | None = None
        self._setpoint: Setpoint | None = None
        self._enabled = False
        self._state_at_rest = LoopState.DISABLED
        self._status = LoopStatus(LoopState.DISABLED, 'not enabled yet')
        self.limited_ticks = 0

    @property
    def status(self) -> LoopStatus:
        """What the loop does, and why."""
        return self._status

    def reset(self) -> None:
        """Forget chunk, inputs and commands; the next command starts from the measured pose.

        For an arm at rest, or one that the simulator has put elsewhere: a moving arm would stop
        abruptly. Whether it is enabled stays as it is.
        """
        self._forget_time()
        self._forget_commands()
        self._tick_ns = None
        if self._enabled:
            self._wait(_NO_CHUNK)
        else:
            self._status = LoopStatus(LoopState.DISABLED, self._status.reason)

    def enable(self, enabled: bool) -> None:
        """Allow motion from the next chunk on, or brake to rest and then command nothing.

        A hold goes on where it is, an arm that was disabled starts from its measured pose.
        """
        if enabled and not self._enabled:
            self._enabled = True
            self._wait(_NO_CHUNK)
        elif not enabled:
            self._enabled = False
            self._stop('disabled', LoopState.DISABLED)
            if self._limiter is None or self._limiter.at_rest:
                self._come_to_rest()

    def update_state(self, state: RobotState, *, joints_stamp_ns: int | None = None) -> None:
        """Take in the newest proprioception, with the stamp of its joints where it differs.

        Raises ObservationError on a state older than the last one, which is ignored.
        """
        self._measured.add(state)
        self._freshness.note('ee_pose', state.stamp_ns)
        joints_ns = state.stamp_ns if joints_stamp_ns is None else joints_stamp_ns
        self._freshness.note('joint_states', joints_ns)

    def add_chunk(self, chunk: ActionChunk, now_ns: int) -> ChunkReceipt:
        """Follow `chunk` from now on, from the step that is due.

        Raises ActionError where it cannot be followed; what was followed before goes on.
        """
        self._check_chunk(chunk, now_ns)
        timeline = Timeline(chunk, self._anchor(chunk.stamp_ns), self._arm.workspace)
        commanded = self._commanded.at(now_ns) or self._measured.at(now_ns)
        jump = 0.0
        if commanded is not None:
            offset = timeline.pose_at(now_ns).position - commanded.pose.position
            jump = float(np.linalg.norm(offset))
        self._fade = self._crossfade(timeline, now_ns)
        self._timeline = timeline
        self._status = LoopStatus(LoopState.TRACKING, '')
        return ChunkReceipt(executed_steps(chunk, now_ns), jump)

    def tick(self, now_ns: int) -> Setpoint | None:
        """Return the command for the control period that begins now; once per period.

        None while there is nothing safe to command: no fresh state yet, or disabled and at rest.
        Asked again for the same time it gives the same answer.
        """
        if self._tick_ns is not None and now_ns <= self._tick_ns:
            if now_ns == self._tick_ns:
                return self._setpoint
            back_s = (self._tick_ns - now_ns) / NANOSECONDS
            self._forget_time()
            if self._limiter is not None and self._enabled:
                self._fault(f'the clock went back by {back_s:.3f} s')
        self._tick_ns = now_ns
        self._setpoint = self._advance(now_ns)
        return self._setpoint

    def _advance(self, now_ns: int) -> Setpoint | None:
        problems = '; '.join(self._freshness.problems(now_ns))
        if self._limiter is None:
            measured = self._measured.newest
            if not self._enabled:
                return None
            if measured is None or problems:
                self._wait(problems)
                return None
            period_s = self._arm.period_ns / NANOSECONDS
            self._limiter = PoseLimiter(
                self._arm.cartesian, self._arm.workspace, period_s, measured.pose
            )
            self._gripper = measured.gripper
        self._decide(problems, now_ns)
        reached_ns = now_ns + self._arm.period_ns
        if self._timeline is not None:
            pose = self._limiter.follow((self._fade or self._timeline).pose_at(reached_ns))
            self.limited_ticks += bool(self._limiter.bites)
            opening = self._timeline.gripper_at(now_ns)
            self._gripper = self._gripper if opening is None else opening
        else:
            pose = self._limiter.brake()
        self._commanded.add(RobotState(reached_ns, pose, self._gripper))
        if self._status.state is LoopState.STOPPING and self._limiter.at_rest:
            self._come_to_rest()
        return Setpoint(now_ns, pose, self._gripper)

    def _decide(self, problems: str, now_ns: int) -> None:
        """Stop where the inputs or the chunk no longer carry the motion."""
        if not self._enabled:
            return
        if self._status.state is LoopState.WAITING:
            self._wait(problems or _NO_CHUNK)
        elif problems:
            self._fault(problems)
        elif self._timeline is not None and now_ns >= self._timeline.chunk.end_ns:
            late_s = (now_ns - self._timeline.chunk.end_ns) / NANOSECONDS
            self._stop(
                f'action_chunk ran out: its last action ended {late_s:.3f} s ago and no newer '
                'chunk has come',
                LoopState.HOLDING,
            )

    def _check_chunk(self, chunk: ActionChunk, now_ns: int) -> None:
        age_s = (now_ns - chunk.stamp_ns) / NANOSECONDS
        if not self._enabled:
            raise ActionError(f'the arm is {self._status.state.value} ({self._status.reason})')
        problems = self._freshness.problems(now_ns)
        if problems:
            raise ActionError(f'chunk refused: {"; ".join(problems)}')
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
        if self._timeline is not None and chunk.stamp_ns < self._timeline.chunk.stamp_ns:
            newer_s = (self._timeline.chunk.stamp_ns - chunk.stamp_ns) / NANOSECONDS
            raise ActionError(f'the chunk is {newer_s:.3f} s older than the one being followed')

    def _anchor(self, stamp_ns: int) -> Pose:
        """Return the pose commanded at the stamp, or measured where none was commanded by then."""
        commanded, measured = self._commanded.oldest, self._measured.oldest
        state = None
        if commanded is not None and commanded.stamp_ns - self._arm.period_ns < stamp_ns:
            state = self._commanded.at(stamp_ns)
        elif measured is not None and measured.stamp_ns <= stamp_ns:
            state = self._measured.at(stamp_ns)
        if state is None:
            raise ActionError('the chunk is too old: no pose is known at its stamp')
        return state.pose

    def _crossfade(self, timeline: Timeline, now_ns: int) -> Crossfade | None:
        if self._crossfade_steps == 0 or self._limiter is None:
            return None
        before = self._fade or self._timeline or Hold(self._limiter.pose)
        end_ns = now_ns + self._crossfade_steps * timeline.chunk.dt_ns
        return Crossfade(settle(before, now_ns), timeline, now_ns, end_ns)

    def _wait(self, reason: str) -> None:
        self._drop_chunk()
        self._status = LoopStatus(LoopState.WAITING, reason)

    def _fault(self, reason: str) -> None:
        self._enabled = False
        self._stop(f'{reason}; enable to move again', LoopState.HOLDING)

    def _stop(self, reason: str, state_at_rest: LoopState) -> None:
        self._drop_chunk()
        self._state_at_rest = state_at_rest
        self._status = LoopStatus(LoopState.STOPPING, reason)

    def _come_to_rest(self) -> None:
        self._status = LoopStatus(self._state_at_rest, self._status.reason)
        if self._state_at_rest is LoopState.DISABLED:
            self._forget_commands()

    def _drop_chunk(self) -> None:
        self._timeline = None
        self._fade = None

    def _forget_commands(self) -> None:
        self._drop_chunk()
        self._commanded.clear()
        self._limiter = None

    def _forget_time(self) -> None:
        self._measured.clear()
        self._commanded.clear()
        self._freshness.clear()
