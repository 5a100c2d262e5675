"""Turns action chunks into one setpoint per control period, and fails closed.

The safety of the arm is decided here: what it follows, when it stops, what lets it move again.
Live, simulated and replayed runs all use it. It reads no clock, does no input or output, and is
to be called from one thread.
"""

from __future__ import annotations

from robomamba_ros.actions.blending import Blending, Hold
from robomamba_ros.actions.timeline import Path, Point, Timeline, check_times, executed_steps, gap
from robomamba_ros.control.freshness import Freshness
from robomamba_ros.control.history import History, StateHistory
from robomamba_ros.control.joint_motion import end_effector, measured_anchor, start_motion
from robomamba_ros.control.metrics import MotionCounts
from robomamba_ros.control.motion import Anchor, Motion, mixed_anchor
from robomamba_ros.control.preview import Preview, Stretch, discarded_at_seam
from robomamba_ros.control.status import ChunkReceipt, LoopState, LoopStatus
from robomamba_ros.errors import ActionError, ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, ActionChunk, Pose, RobotState, Setpoint

__all__ = ['ChunkReceipt', 'LoopState', 'LoopStatus', 'SetpointLoop']

_NO_CHUNK = 'no action_chunk yet'
# How far back the preview shows what was executed, and how densely [ns].
_SHOWN_NS, _SHOWN_STEP_NS = 2 * NANOSECONDS, NANOSECONDS // 20


class SetpointLoop:
    """Follows the newest chunk within the arm's limits; brakes and holds when it cannot.

    blending: how a new chunk takes over. kinematics: of an arm that is commanded by its joints,
    for end-effector actions and poses; one that takes poses needs none.
    counts: limits, seams, refusals and stops since the start or the last reset.

    A stop for want of a chunk ends with the next one. A stop for want of trustworthy inputs ends
    only with `enable(True)`: somebody has to look before the arm moves again.
    """

    def __init__(
        self,
        arm: ArmContract,
        *,
        blending: Blending | None = None,
        kinematics: Kinematics | None = None,
    ) -> None:
        self._arm = arm
        self._blending = Blending() if blending is None else blending
        self._kinematics = kinematics
        self._freshness = Freshness(dict(sorted(arm.budgets_s.items())))
        self._measured = StateHistory()
        # Stamped with the end of the control period in which each command is to be reached.
        self._commanded = History(mixed_anchor)
        self._motion: Motion | None = None
        self._gripper = 0.0
        self._timeline: Timeline | None = None
        self._path: Path | None = None
        self._discarded: tuple[Stretch, ...] = ()
        self._tick_ns: int | None = None
        self._setpoint: Setpoint | None = None
        self._enabled = False
        self._state_at_rest = LoopState.DISABLED
        self._status = LoopStatus(LoopState.DISABLED, 'not enabled yet')
        self.counts = MotionCounts()

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
        self.counts = MotionCounts()
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
            if self._motion is None or self._motion.at_rest:
                self._come_to_rest()

    def update_state(self, state: RobotState) -> None:
        """Take in the newest proprioception.

        Raises ObservationError on a state older than the last one, which is ignored.
        """
        self._measured.add(state)
        if self._motion is None:
            self._gripper = state.gripper
        for stream in self._arm.inputs:
            self._freshness.note(stream, state.stamps.get(stream, state.stamp_ns))

    def add_chunk(self, chunk: ActionChunk, now_ns: int) -> ChunkReceipt:
        """Follow `chunk` from now on, from the step that is due.

        Raises ActionError where it cannot be followed; what was followed before goes on.
        """
        try:
            receipt = self._take(chunk, now_ns)
        except (ActionError, ObservationError) as error:
            self.counts.add_refusal(str(error))
            raise ActionError(str(error)) from error
        self.counts.add_seam(receipt.seam_jump_m, receipt.seam_jump_rad, receipt.seam_jump_joint)
        return receipt

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
            if self._motion is not None and self._enabled:
                self._fault(f'the clock went back by {back_s:.3f} s')
        self._tick_ns = now_ns
        self._setpoint = self._advance(now_ns)
        return self._setpoint

    def preview(self, now_ns: int) -> Preview:
        """Return the poses commanded lately, those still to come, and those given up."""

        def pose_of(point: Point) -> Pose | None:
            return end_effector(self._arm, self._kinematics, point)

        pending: tuple[Pose, ...] = ()
        if self._path is not None and self._timeline is not None:
            chunk = self._timeline.chunk
            pending = Stretch(self._path, now_ns, chunk.end_ns, chunk.dt_ns).poses(pose_of)
        discarded = tuple(pose for each in self._discarded for pose in each.poses(pose_of))
        since_ns = max(now_ns - _SHOWN_NS, self._commanded.oldest_ns or now_ns)
        commanded = (self._commanded.at(t) for t in range(since_ns, now_ns, _SHOWN_STEP_NS))
        executed = tuple(each.pose for each in commanded if each and each.pose)
        return Preview(executed, pending, discarded)

    def _advance(self, now_ns: int) -> Setpoint | None:
        problems = '; '.join(self._freshness.problems(now_ns))
        motion = self._motion or self._begin(problems)
        if motion is None:
            return None
        self._decide(problems, now_ns)
        reached_ns = now_ns + self._arm.period_ns
        if self._path is not None and self._timeline is not None:
            lag_ns = motion.lag_ns(self._timeline.chunk.space)
            motion.follow(self._path.at(reached_ns + lag_ns))
            opening = self._path.gripper_at(now_ns)
            self._gripper = self._gripper if opening is None else opening
            self.counts.add_setpoint(motion.bites)
            if motion.trouble:
                self._stop(motion.trouble, LoopState.HOLDING)
        else:
            motion.brake()
            self.counts.add_setpoint(())
        self._commanded.put(reached_ns, motion.anchor)
        if self._status.state is LoopState.STOPPING and motion.at_rest:
            self._come_to_rest()
        return motion.setpoint(now_ns, self._gripper)

    def _begin(self, problems: str) -> Motion | None:
        """Start from the measured pose, once the arm is enabled and its state can be trusted."""
        if not self._enabled:
            return None
        try:
            if problems:
                raise ObservationError(problems)
            self._motion = self._motion_from_rest()
        except ObservationError as error:
            self._wait(str(error))
        return self._motion

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
        if not self._enabled:
            raise ActionError(f'the arm is {self._status.state.value} ({self._status.reason})')
        problems = self._freshness.problems(now_ns)
        if problems:
            raise ActionError('; '.join(problems))
        check_times(chunk, now_ns, self._timeline)

    def _take(self, chunk: ActionChunk, now_ns: int) -> ChunkReceipt:
        self._check_chunk(chunk, now_ns)
        motion = self._motion or self._motion_from_rest()
        # Commands come later than their points by the lag, so points are looked up ahead by it.
        lag_ns = motion.lag_ns(chunk.space)
        timeline = motion.timeline(chunk, self._anchor(chunk.stamp_ns, lag_ns))
        start = timeline.at(now_ns + lag_ns)
        here = (self._commanded.at(now_ns) or motion.anchor).like(start)
        path = self._path
        if path is None or type(path.at(now_ns)) is not type(start):
            path = Hold(here)
        self._discarded = discarded_at_seam(self._timeline, timeline, now_ns)
        self._path = self._blending.join(path, timeline, now_ns)
        self._timeline = timeline
        self._status = LoopStatus(LoopState.TRACKING, '')
        return ChunkReceipt(executed_steps(chunk, now_ns), *gap(here, start))

    def _anchor(self, stamp_ns: int, lag_ns: int) -> Anchor:
        """Return what was commanded at the stamp, or measured where nothing was by then."""
        first_ns, measured_ns = self._commanded.oldest_ns, self._measured.oldest_ns
        commanded = self._commanded.at(stamp_ns - lag_ns)
        if commanded and first_ns is not None and first_ns - self._arm.period_ns < stamp_ns:
            return commanded
        if measured_ns is not None and measured_ns <= stamp_ns:
            return measured_anchor(self._arm, self._measured.at(stamp_ns))
        raise ActionError('the chunk is too old: no pose is known at its stamp')

    def _motion_from_rest(self) -> Motion:
        start = measured_anchor(self._arm, self._measured.newest)
        return start_motion(self._arm, self._kinematics, start)

    def _wait(self, reason: str) -> None:
        self._drop_chunk()
        self._status = LoopStatus(LoopState.WAITING, reason)

    def _fault(self, reason: str) -> None:
        self._enabled = False
        self._stop(f'{reason}; enable to move again', LoopState.HOLDING)

    def _stop(self, reason: str, state_at_rest: LoopState) -> None:
        self._drop_chunk()
        self.counts.add_stop(reason)
        self._state_at_rest = state_at_rest
        self._status = LoopStatus(LoopState.STOPPING, reason)

    def _come_to_rest(self) -> None:
        self._status = LoopStatus(self._state_at_rest, self._status.reason)
        if self._state_at_rest is LoopState.DISABLED:
            self._forget_commands()

    def _drop_chunk(self) -> None:
        self._timeline = None
        self._path = None

    def _forget_commands(self) -> None:
        self._drop_chunk()
        self._discarded = ()
        self._commanded.clear()
        self._motion = None

    def _forget_time(self) -> None:
        self._measured.clear()
        self._commanded.clear()
        self._freshness.clear()
