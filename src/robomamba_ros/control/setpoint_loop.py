"""Turns action chunks into one setpoint per control period, and fails closed.

The safety of the arm is decided here: what it follows, when it stops, what lets it move again.
Live, simulated and replayed runs all use it. It reads no clock, does no input or output, and is
to be called from one thread.
"""

from __future__ import annotations

from robomamba_ros.actions.blending import Blending
from robomamba_ros.control.commander import Commander
from robomamba_ros.control.foresight import Trajectory
from robomamba_ros.control.freshness import Freshness
from robomamba_ros.control.history import StateHistory
from robomamba_ros.control.metrics import MotionCounts
from robomamba_ros.control.preview import Preview
from robomamba_ros.control.senders import Command
from robomamba_ros.control.status import ChunkReceipt, LoopState, LoopStatus
from robomamba_ros.errors import ActionError, NotReadyError, ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, ActionChunk, RobotState, Setpoint

__all__ = ['ChunkReceipt', 'LoopState', 'LoopStatus', 'SetpointLoop']

_NO_CHUNK = 'no action_chunk yet'


class SetpointLoop:
    """Follows the newest chunk within the arm's limits; brakes and holds when it cannot.

    blending: how a new chunk takes over. kinematics: of an arm that is commanded by its joints,
    for end-effector actions and poses; one that takes poses needs none.
    foresight: the arm's controllers get trajectories (see `trajectory`) and go on by themselves,
    so a tick that comes late does what they did meanwhile. Without it nothing has moved the arm,
    and a late tick moves the command on by one period like every other.
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
        foresight: bool = False,
    ) -> None:
        self._arm = arm
        self._freshness = Freshness(dict(sorted(arm.budgets_s.items())))
        self._missing = ''
        self._interlocks: dict[str, str] = {}
        self._speed_scale = 1.0
        self._measured = StateHistory()
        self._commander = Commander(arm, blending or Blending(), kinematics, foresight=foresight)
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

    def use_kinematics(self, kinematics: Kinematics | None, missing: str = '') -> None:
        """Take the arm's kinematics, or the reason to wait as long as there are none."""
        self._commander.kinematics = kinematics
        self._missing = missing

    def reset(self, *, at_once: bool = False) -> None:
        """Forget chunk, inputs and commands; the next command starts from the measured pose.

        An arm that moves comes to rest before. at_once: it does not, as a simulator has put it
        elsewhere. Whether it is enabled stays as it is.
        """
        self.counts = MotionCounts()
        if at_once or self._commander.at_rest:
            self._forget_time()
            self._tick_ns = None
            self.let_go()
        else:
            self._stop('reset', LoopState.WAITING)

    def let_go(self) -> None:
        """Forget chunk and commands; the next command starts from the measured pose.

        For an arm that does not do what it is told, as in a dry run.
        """
        self._commander.forget()
        if self._enabled:
            self._wait(_NO_CHUNK)
        else:
            self._status = LoopStatus(LoopState.DISABLED, self._status.reason)

    def enable(self, enabled: bool) -> None:
        """Allow motion from the next chunk on, or brake to rest and then command nothing.

        A hold goes on where it is, an arm that was disabled starts from its measured pose. Raises
        NotReadyError where the arm must not be moved: an interlock is set, or the measured state
        cannot be a start. It stays disabled then, with what it did before.
        """
        if enabled and not self._enabled:
            if self._interlocks:
                raise NotReadyError('; '.join(self._interlocks.values()))
            self._enabled = True
            self._wait(_NO_CHUNK)
        elif not enabled:
            self._enabled = False
            self._stop('disabled', LoopState.DISABLED)
            if self._commander.at_rest:
                self._come_to_rest()

    def set_interlock(self, name: str, problem: str) -> None:
        """Set a standing reason not to move, '' to clear it; name: which one.

        While one is set, `enable` is refused with its text. An arm that is enabled stops at once
        and has to be enabled again; clearing the interlock never resumes by itself.
        """
        if not problem:
            self._interlocks.pop(name, None)
            return
        self._interlocks[name] = problem
        self.fault(problem)

    def fault(self, reason: str) -> None:
        """Stop at once, hold, and wait for `enable(True)`; an arm that is not enabled stays so."""
        if self._enabled:
            self._fault(reason)
            if self._commander.at_rest:
                self._come_to_rest()

    def set_speed_scale(self, scale: float, now_ns: int) -> None:
        """Take the factor, 0..1, by which the arm's own controller slows time from now_ns on.

        Such as the speed scaling of Universal Robots. Raises ObservationError on another number.
        """
        if not 0.0 <= scale <= 1.0:
            raise ObservationError(f'the speed scaling is {scale}, allowed: 0 to 1')
        self._speed_scale = scale

    def update_state(self, state: RobotState) -> None:
        """Take in the newest proprioception.

        Raises ObservationError on a state older than the last one, which is ignored.
        """
        self._measured.add(state)
        for stream in self._arm.inputs:
            self._freshness.note(stream, state.stamps.get(stream, state.stamp_ns))

    def add_chunk(self, chunk: ActionChunk, now_ns: int) -> ChunkReceipt:
        """Follow `chunk` from now on, from the step that is due.

        Raises ActionError where it cannot be followed; what was followed before goes on.
        """
        try:
            self._check_may_move(now_ns)
            receipt = self._commander.take(chunk, now_ns, self._measured)
        except (ActionError, ObservationError) as error:
            self.counts.add_refusal(str(error))
            raise ActionError(str(error)) from error
        self._status = LoopStatus(LoopState.TRACKING, '')
        self.counts.add_seam(receipt.seam_jump_m, receipt.seam_jump_rad, receipt.seam_jump_joint)
        return receipt

    def withdraw_chunk(self, reason: str) -> None:
        """Brake where a chunk is followed: its sender takes it back. The next one continues."""
        if self._status.state is LoopState.TRACKING:
            self._stop(reason, LoopState.HOLDING)

    def tick(self, now_ns: int) -> Setpoint | None:
        """Return the command for the control period that begins now; once per period.

        None while there is nothing safe to command: no fresh state yet, or disabled and at rest.
        Asked again for the same time it gives the same answer.
        """
        now_ns, problem = self._commander.catch_up(now_ns)
        if problem:
            self._give_up(problem)
        if self._tick_ns is not None and now_ns <= self._tick_ns:
            if now_ns == self._tick_ns:
                return self._setpoint
            back_s = (self._tick_ns - now_ns) / NANOSECONDS
            self._forget_time()
            if self._commander.started and self._enabled:
                self._fault(f'the clock went back by {back_s:.3f} s')
        self._tick_ns = now_ns
        self._setpoint = self._advance(now_ns)
        return self._setpoint

    def trajectory(self) -> Trajectory | None:
        """Return what controllers of trajectories are to be sent after this tick.

        None where what they have still holds, and without foresight.
        """
        return self._commander.trajectory()

    def command(self) -> Command | None:
        """Return what controllers are to be sent after this tick; None for nothing."""
        setpoint = self._setpoint
        if setpoint is None:
            return None
        tracking = self._status.state is LoopState.TRACKING
        return Command(setpoint, self._measured.newest, tracking, self.trajectory())

    def preview(self, now_ns: int) -> Preview:
        """Return the poses commanded lately, those still to come, and those given up."""
        return self._commander.preview(now_ns)

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Return the age of each stream that something came from [s]."""
        ages = {stream: self._freshness.age_s(stream, now_ns) for stream in self._arm.inputs}
        return {stream: age_s for stream, age_s in ages.items() if age_s is not None}

    def _advance(self, now_ns: int) -> Setpoint | None:
        problems = self._problems(now_ns)
        if not self._commander.started:
            self._begin(problems)
        if not self._commander.started:
            return None
        self._decide(problems, now_ns)
        setpoint = self._commander.step(now_ns)
        self.counts.add_setpoint(self._commander.bites)
        if self._commander.trouble:
            self._give_up(self._commander.trouble)
        if self._status.state is LoopState.STOPPING and self._commander.at_rest:
            self._come_to_rest()
        # Nothing is commanded between a reset and the start from the measured pose.
        waiting = self._status.state is LoopState.WAITING and not self._commander.started
        return None if waiting else setpoint

    def _begin(self, problems: str) -> None:
        """Start from the measured pose, once the arm is enabled and its state can be trusted."""
        if not self._enabled:
            return
        try:
            if problems:
                raise ObservationError(problems)
            self._commander.start(self._measured.newest)
        except ObservationError as error:
            self._wait(str(error))

    def _decide(self, problems: str, now_ns: int) -> None:
        """Stop where the inputs or the chunk no longer carry the motion."""
        if not self._enabled:
            return
        end_ns = self._commander.end_ns
        if self._status.state is LoopState.WAITING:
            self._wait(problems or _NO_CHUNK)
        elif problems:
            self._fault(problems)
        elif end_ns is not None and now_ns >= end_ns:
            late_s = (now_ns - end_ns) / NANOSECONDS
            self._commander.run_out()
            self._come_to_a_stop(
                f'action_chunk ran out: its last action ended {late_s:.3f} s ago and no newer '
                'chunk has come',
                LoopState.HOLDING,
            )

    def _check_may_move(self, now_ns: int) -> None:
        if not self._enabled:
            raise ActionError(f'the arm is {self._status.state.value} ({self._status.reason})')
        problems = self._problems(now_ns) or ('the arm is stopping for a reset' * self._resets)
        if problems:
            raise ActionError(problems)

    def _problems(self, now_ns: int) -> str:
        return self._missing or '; '.join(self._freshness.problems(now_ns))

    def _wait(self, reason: str) -> None:
        self._status = LoopStatus(LoopState.WAITING, reason)

    def _fault(self, reason: str) -> None:
        self._enabled = False
        self._stop(f'{reason}; enable to move again', LoopState.HOLDING)

    def _stop(self, reason: str, state_at_rest: LoopState) -> None:
        self._commander.drop_course()
        self._come_to_a_stop(reason, state_at_rest)

    def _give_up(self, reason: str) -> None:
        """Stop at once, as was foreseen; a stop that is under way keeps its reason."""
        self._commander.give_up()
        if self._status.state is LoopState.TRACKING:
            self._come_to_a_stop(reason, LoopState.HOLDING)

    def _come_to_a_stop(self, reason: str, state_at_rest: LoopState) -> None:
        self.counts.add_stop(reason)
        self._state_at_rest = state_at_rest
        self._status = LoopStatus(LoopState.STOPPING, reason)

    @property
    def _resets(self) -> bool:
        """Whether the arm comes to rest for a reset."""
        stopping = self._status.state is LoopState.STOPPING
        return stopping and self._state_at_rest is LoopState.WAITING

    def _come_to_rest(self) -> None:
        if self._resets:
            self.reset()
            return
        self._status = LoopStatus(self._state_at_rest, self._status.reason)
        if self._state_at_rest is LoopState.DISABLED:
            self._commander.forget()

    def _forget_time(self) -> None:
        self._measured.clear()
        self._commander.forget_times()
        self._freshness.clear()
