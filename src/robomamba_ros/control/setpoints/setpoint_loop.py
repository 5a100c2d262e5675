"""Turns action chunks into one setpoint per control period, and fails closed.

The safety of the arm is decided here: what it follows, when it stops, what lets it move again.
Live, simulated and replayed runs all use it. It reads no clock, does no input or output, and is
to be called from one thread.
"""

from __future__ import annotations

from robomamba_ros.common.metrics import MotionCounts
from robomamba_ros.control.motion.blending import Blending
from robomamba_ros.control.motion.trajectory import Trajectory
from robomamba_ros.control.setpoints.arm_time import ArmTime, check_scale
from robomamba_ros.control.setpoints.commander import Commander
from robomamba_ros.control.setpoints.decisions import Decisions
from robomamba_ros.control.setpoints.loop_clock import LoopClock
from robomamba_ros.control.setpoints.preview import Scene
from robomamba_ros.control.setpoints.senders import Command
from robomamba_ros.control.setpoints.status import STOPS, ChunkReceipt, LoopState, LoopStatus
from robomamba_ros.control.setpoints.supervision import Supervision
from robomamba_ros.control.setpoints.transitions import PAUSED, TAKEN_BACK_S, Transitions
from robomamba_ros.errors import ActionError, ObservationError, RoboMambaError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import ActionChunk, RobotState, Setpoint

__all__ = ['ChunkReceipt', 'LoopState', 'LoopStatus', 'SetpointLoop']


class SetpointLoop:
    """Follows the newest chunk within the arm's limits; brakes and holds when it cannot.

    blending: how a new chunk takes over. kinematics: of an arm that is commanded by its joints,
    for end-effector actions and poses; one that takes poses needs none.
    foresight: the arm's controllers get trajectories (see `trajectory`) and go on by themselves,
    so a tick that comes late does what they did meanwhile. Without it nothing has moved the arm,
    and a late tick moves the command on by one period like every other.
    supervised: the arm is to do what it is told. It starts only from a state that was measured
    several times at rest, and stops where its motion is not the commanded one. Not so in a dry
    run, in a replay, and in a simulation in lockstep, which is one sample old and may lag.
    age_factor: multiplies how old the chunk that is followed may become, which is twice the steps
    that it is to be executed for, at least MIN_AGE_S; of a chunk that does not say, its own length
    and MARGIN_S.
    enable_timeout_s: how long a supervised arm that is enabled waits for a chunk before it is
    disabled again [s]; 0: for ever. simulated_time: whether somebody else makes the time, as
    LoopClock takes it, and may put the arm elsewhere before a reset.
    counts: limits, seams, refusals and stops since the start or the last reset. clock: when it
    ticked. references: what controllers of trajectories say that they want.

    A stop for want of a chunk ends with the next one, if it comes within a second. Every other
    stop ends only with `enable(True)`: somebody has to look before the arm moves again.
    """

    def __init__(
        self,
        arm: ArmContract,
        *,
        blending: Blending | None = None,
        kinematics: Kinematics | None = None,
        foresight: bool = False,
        supervised: bool = True,
        age_factor: float = 1.0,
        enable_timeout_s: float = 0.0,
        simulated_time: bool = False,
    ) -> None:
        self._arm = arm
        self._supervised = supervised
        self._foresight, self._simulated_time = foresight, simulated_time
        self.clock = LoopClock(
            arm, foresight=foresight, simulated=simulated_time, factor=age_factor
        )
        self._supervision = Supervision(arm)
        self.references = self._supervision.references
        self._commander = Commander(arm, blending or Blending(), kinematics, foresight=foresight)
        self._setpoint: Setpoint | None = None
        self._to = Transitions(self._commander)
        self._decisions = Decisions(
            arm,
            self._commander,
            self._supervision,
            self._to,
            age_factor=age_factor,
            enable_timeout_s=enable_timeout_s,
            supervised=supervised,
        )

    @property
    def status(self) -> LoopStatus:
        """What the loop does, and why."""
        return self._to.status

    @property
    def enabled(self) -> bool:
        """Whether a chunk may move the arm; False after every stop that somebody has to look at."""
        return self._to.enabled

    @property
    def counts(self) -> MotionCounts:
        """What the setpoints met since the start or the last reset."""
        return self._to.counts

    def use_kinematics(self, kinematics: Kinematics | None, missing: str = '') -> None:
        """Take the arm's kinematics, or the reason to wait as long as there are none."""
        self._commander.use_kinematics(kinematics)
        self._supervision.missing = missing

    def reset(self, *, at_once: bool = False) -> None:
        """Forget chunk, inputs and commands; an arm that moves comes to rest before.

        at_once: it does not, as a simulator has put it elsewhere. It is enabled as it was before.
        """
        self._to.counts = MotionCounts()
        if at_once or self._commander.at_rest:
            self._forget_time()
            self.clock.forget()
            # A simulation may have put it elsewhere, where nothing holds it as it was told to be.
            self._to.let_go(held=not (at_once or self._simulated_time))
        elif self._to.state is not LoopState.RESETTING:
            self._to.reset()

    def let_go(self) -> None:
        """Forget chunk and commands, as of an arm that does not do what it is told: a dry run."""
        self._to.let_go()

    def enable(self, enabled: bool) -> None:
        """Allow motion from the next chunk on, or brake to rest and then command nothing.

        It starts from the measured state. Raises NotReadyError where the arm must not be moved: an
        interlock is set, its command has not come to rest, or it was measured where or as it cannot
        start; it does what it did before then. An arm that was not measured yet starts once it is
        and stands still.
        """
        if enabled and not self._to.enabled:
            self._supervision.check_interlocks()
            if self._supervised:
                self._to.check_at_rest()
                self._supervision.check_start()
                self._to.forget(held=True)
            self._to.enabled = True
            self._decisions.waits_since_ns = None
            self._to.wait()
        elif not enabled:
            self._to.enabled = False
            self._to.stop('disabled', LoopState.DISABLED)

    def set_interlock(self, name: str, problem: str, *, taken: bool = False) -> None:
        """Set a standing reason not to move, '' to clear it; name: which one.

        While one is set, `enable` is refused with its text. An arm that is enabled stops at once
        and has to be enabled again; clearing the interlock never resumes by itself.
        taken: somebody else moves the arm, who would have to share it with a stop. So it is let go.
        """
        if self._supervision.set_interlock(name, problem):
            if taken:
                self._to.give_way(problem)
            else:
                self.fault(problem)

    def give_way(self, reason: str) -> None:
        """Let go of the arm, which somebody else moves now, and wait for `enable(True)`."""
        self._to.give_way(reason)

    def fault(self, reason: str) -> None:
        """Stop at once, hold, and wait for `enable(True)`; an arm that is not enabled stays so."""
        self._to.fault(reason)

    def set_speed_scale(self, scale: float, now_ns: int) -> None:
        """Take the factor, 0..1, by which the arm's own controller slows time from now_ns on.

        Such as the speed scaling of Universal Robots. It counts for controllers of trajectories;
        positions and twists that are streamed have no time. An arm that moves stops where it
        changes, and at 0 none is moved. Raises ObservationError on another number.
        """
        check_scale(scale)
        if self._foresight:
            self.clock.time.set_scale(scale, now_ns)
            self._decisions.slow(scale)
            self.set_interlock('pause', '' if scale else PAUSED)

    def update_state(self, state: RobotState, now_ns: int | None = None) -> None:
        """Take in the newest proprioception; now_ns: the clock, where it is known.

        Raises ObservationError on a state that is older than the last one, or stamped ahead of the
        clock by more than its budget; it is ignored and counted.
        """
        try:
            self._supervision.add(state, now_ns)
        except ObservationError:
            self.counts.dropped_states += 1
            raise

    def add_chunk(self, chunk: ActionChunk, now_ns: int) -> ChunkReceipt:
        """Follow `chunk` from now on, from the step that is due.

        Raises ActionError where it cannot be followed; what was followed before goes on.
        """
        try:
            receipt = self._decisions.follow(chunk, now_ns, self.clock.own)
        except RoboMambaError as error:
            self.counts.add_refusal(str(error))
            raise ActionError(str(error)) from error
        self.counts.add_seam(receipt.seam_jump_m, receipt.seam_jump_rad, receipt.seam_jump_joint)
        return receipt

    def withdraw_chunk(self, reason: str) -> None:
        """Brake where a chunk is followed: its sender takes it back. The next one continues.

        So it does where the last one has just run out: the first of a new instruction takes longer.
        """
        if self._to.state is LoopState.TRACKING:
            self._commander.drop_course()
            self._to.want_chunk(reason, self.clock.now_ns or 0, TAKEN_BACK_S)
        else:
            self._to.wait_longer(TAKEN_BACK_S)

    def tick(self, now_ns: int) -> Setpoint | None:
        """Return the command for the control period that begins now; once per period.

        None while there is nothing safe to command: no fresh state yet, or disabled and at rest.
        Asked again for the same time it gives the same answer.
        """
        clock = self.clock
        clock.come(now_ns)
        tick_ns, problem = self._commander.catch_up(clock.own(now_ns))
        if problem:
            self._decisions.give_up(problem, now_ns)
        if clock.tick_ns is not None and tick_ns < clock.tick_ns:
            self._forget_time()
            if self._commander.started:
                self.fault(f'the clock went back by {-clock.stall_s:.3f} s')
        elif clock.problem and self._supervised and self._to.state in (LoopState.TRACKING, *STOPS):
            if clock.stood_still and not self._foresight:
                self._commander.stand_still()
            self.fault(clock.problem)
        self._supervision.late_s = clock.late_s
        moves = tick_ns != clock.tick_ns
        clock.tick_ns = tick_ns
        self._setpoint = self._advance(now_ns, tick_ns, moves=moves)
        return self._setpoint

    def trajectory(self) -> Trajectory | None:
        """Return what controllers of trajectories are to be sent now, None while theirs holds."""
        return self._commander.trajectory()

    def command(self) -> Command | None:
        """Return what controllers are to be sent after this tick; None for nothing."""
        if self._setpoint is None:
            return None
        return Command(
            self._setpoint,
            self._supervision.measured.newest,
            self._to.state is LoopState.TRACKING,
            self.trajectory(),
            anew=self._commander.anew,
            returning=self._to.returning,
            references=self.references.known,
            time=self.clock.time if self._foresight else ArmTime(),
        )

    def scene(self, now_ns: int) -> Scene:
        """Return what there is to draw; the one method that another thread may call."""
        return self._commander.scene(self.clock.own(now_ns))

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Return the age of each stream that something came from [s]."""
        return self._supervision.ages_s(now_ns)

    def _advance(self, now_ns: int, tick_ns: int, *, moves: bool) -> Setpoint | None:
        """Decide at now_ns by the clock, and command the period of the arm's time at tick_ns.

        moves: whether that period begins only now.
        """
        problems = self._supervision.problems(now_ns)
        if not self._commander.started:
            self._decisions.begin(problems)
        if self._supervised and self._commander.started:
            self._decisions.watch(now_ns, self.clock.own, problems)
        self._decisions.decide(problems, now_ns, tick_ns)
        if not self._commander.started:
            return None
        if not moves:
            return self._setpoint
        setpoint = self._commander.step(tick_ns)
        self.counts.add_setpoint(self._commander.active_limits)
        if self._commander.problem:
            self._decisions.give_up(self._commander.problem, now_ns)
        if self._to.state in STOPS and self._commander.at_rest:
            if self._to.state is LoopState.RESETTING:
                # Nothing is commanded between a reset and the start from the measured pose.
                self.reset()
                return None
            self._to.come_to_rest()
        return setpoint

    def _forget_time(self) -> None:
        if not self._foresight:
            self.clock.time = ArmTime()
        self._supervision.clear()
        self._commander.forget_times()
