"""Decides when an arm stops, and why: checks inputs, chunk and motion in every period."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from robomamba_ros.control.motion.forecast import STOOD_STILL
from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.control.setpoints.commander import Commander
from robomamba_ros.control.setpoints.plausible import check_plausible
from robomamba_ros.control.setpoints.status import ChunkReceipt, LoopState
from robomamba_ros.control.setpoints.supervision import Supervision
from robomamba_ros.control.setpoints.transitions import NO_CHUNK, Transitions
from robomamba_ros.errors import ActionError, ObservationError, RoboMambaError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, ActionChunk

# By how much a controller may slow or hurry the time of an arm that moves.
SCALE = 0.005
# A chunk may be as old as this, however few of its steps are to be executed [s]; and one that does
# not say, by so much older than it is long: a robot that goes slower comes to its end later.
MIN_AGE_S, MARGIN_S = 0.3, 1.0
# How long after the arm has come to rest its controllers may still say what they wanted before.
HEARD_NS = NANOSECONDS // 10


class Decisions:
    """Looks at an arm and its inputs, and stops it where they do not carry its motion.

    age_factor, enable_timeout_s, supervised: see SetpointLoop. chunk: the one that is followed, by
    the clock. waits_since_ns: since when an arm that is enabled has waited [ns].
    """

    def __init__(
        self,
        arm: ArmContract,
        commander: Commander,
        supervision: Supervision,
        transitions: Transitions,
        *,
        age_factor: float,
        enable_timeout_s: float,
        supervised: bool,
    ) -> None:
        self._arm = arm
        self._commander = commander
        self._supervision = supervision
        self._to = transitions
        self._age_factor = age_factor
        self._enable_timeout_s = enable_timeout_s
        self.waits_since_ns: int | None = None
        self._rests_ns: int | None = None
        self._scale = 1.0
        self._supervised = supervised
        self.chunk: ActionChunk | None = None

    def begin(self, problems: str) -> None:
        """Start from the measured pose, once the arm is enabled and its state can be trusted.

        Joints that a controller of trajectories holds start where it wants them. problems: what is
        wrong with the inputs.
        """
        if not self._to.enabled:
            return
        try:
            if problems:
                raise ObservationError(problems)
            supervision = self._supervision
            if self._supervised:
                supervision.check_start(measured=True)
            else:
                # A simulation may have put it elsewhere: nothing holds it where it was told to be.
                self._commander.held.keep(None)
            self._commander.start(supervision.measured.newest, supervision.references.joints)
        except RoboMambaError as error:
            if not problems and self._supervision.reference_problem():
                # Nobody is to be surprised by an arm that starts once something has let it go.
                self._to.expire(str(error))
            else:
                self._to.wait(str(error))

    def watch(self, now_ns: int, own: Callable[[int], int], problems: str) -> None:
        """Stop an arm that does not do what it is told, and let go of one that was moved.

        own: the arm's time of a time of the clock. problems: what is wrong with the inputs.
        """
        problem = self._supervision.following_problem(self._commander.following, own)
        if self._commander.at_rest:
            self._rests_ns = self._rests_ns or now_ns
            if problems:
                # A driver that is started anew is not given what the one before it was told.
                self._to.lose_sight()
            elif problem:
                self._to.was_moved(problem)
            elif forgot := self._forgot(self._rests_ns):
                self._to.was_forgotten(forgot)
            elif self._to.unsettled and (here := self._supervision.resting()) is not None:
                self._to.settle(here)
            return
        self._rests_ns = None
        if problem and not self._to.returning:
            self._to.return_to(self._supervision.place_of_rest(), problem)

    def _forgot(self, rests_ns: int) -> str:
        """Return why controllers of trajectories do not hold what they were told at rests_ns."""
        since_ns = rests_ns + max(HEARD_NS, self._commander.settling_ns)
        return self._supervision.references.forgot(self._commander.joints, since_ns)

    def decide(self, problems: str, now_ns: int, tick_ns: int) -> None:
        """Stop where the inputs or the chunk no longer carry the motion."""
        if not self._to.enabled:
            return
        end_ns = self._commander.end_ns
        too_old = '' if self.chunk is None else self._too_old(self.chunk, now_ns)
        if self._to.state is LoopState.WAITING:
            if problems and self._supervised:
                self._to.forget()
            if problems or self._commander.started:
                self._to.wait(problems or NO_CHUNK)
            self._wait_no_longer(now_ns)
        elif problems:
            self._to.fault(problems)
        elif self._to.state is not LoopState.TRACKING:
            self._to.wait_no_longer(now_ns)
        elif end_ns is not None and tick_ns >= end_ns:
            late_s = (tick_ns - end_ns) / NANOSECONDS
            self._commander.run_out()
            self._to.want_chunk(
                f'action_chunk ran out: its last action ended {late_s:.3f} s ago and no newer '
                'chunk has come',
                now_ns,
            )
        elif too_old:
            self._commander.drop_course()
            self._to.want_chunk(f'{too_old}; no newer chunk has come', now_ns)

    def _wait_no_longer(self, now_ns: int) -> None:
        """Disable an arm that has waited for its first chunk for too long."""
        if self.waits_since_ns is None:
            self.waits_since_ns = now_ns
        limit_s = self._enable_timeout_s
        waited_s = (now_ns - self.waits_since_ns) / NANOSECONDS
        if self._supervised and limit_s and waited_s > limit_s:
            self._to.expire(f'no action_chunk came within {limit_s:g} s of being enabled')

    def slow(self, scale: float) -> None:
        """Stop an arm whose controller changes its time, 0..1 of the clock's, while it moves.

        When it did so is known only later, and less exactly than a trajectory from there on would
        have to know it. So nothing is sent until it rests at the end of what it has.
        """
        if self._supervised and not self._commander.at_rest:
            if abs(scale - self._scale) <= SCALE:
                return
            self._commander.end_as_sent()
            before, after = (f'{100.0 * share:.0f} %' for share in (self._scale, scale))
            self._to.fault(f'the speed scaling went from {before} to {after} while the arm moved')
        self._scale = scale

    def give_up(self, reason: str, now_ns: int) -> None:
        """Stop at once, as was foreseen; a stop that is under way keeps its reason.

        Where nobody moves an arm, as in a simulation in lockstep, nobody waits for a person.
        """
        self._commander.give_up()
        if self._supervised or reason != STOOD_STILL:
            self._to.give_up(reason)
        elif self._to.state is LoopState.TRACKING:
            self._to.want_chunk(reason, now_ns)

    def resting(self) -> Anchor | None:
        """Return where the arm rests, for a start from there."""
        rests = self._commander.started and self._commander.at_rest
        return self._supervision.resting() if rests else None

    def check_may_move(self, chunk: ActionChunk, now_ns: int) -> None:
        """Raise where no chunk, or not this one, may move the arm now."""
        if not self._to.enabled:
            raise ActionError(f'the arm is {self._to.state.value} ({self._to.status.reason})')
        if self._to.state is LoopState.RESETTING:
            raise ActionError('the arm is stopping for a reset')
        problems = self._supervision.problems(now_ns)
        if problems:
            raise ActionError(problems)
        if self._supervised and not self._commander.started:
            self._supervision.check_start(measured=True)
        check_plausible(chunk, self._arm)
        too_old = self._too_old(chunk, now_ns)
        if too_old:
            raise ActionError(too_old)

    def follow(self, chunk: ActionChunk, now_ns: int, own: Callable[[int], int]) -> ChunkReceipt:
        """Follow `chunk` from now on; raises where it cannot be followed, and changes nothing.

        own: the arm's time of a time of the clock.
        """
        self.check_may_move(chunk, now_ns)
        receipt = self._commander.take(
            replace(chunk, stamp_ns=own(chunk.stamp_ns)),
            own(now_ns),
            self._supervision.measured,
            seen_ns=chunk.stamp_ns,
            resting=self.resting() if self._supervised else None,
        )
        self.chunk = chunk
        self._to.track()
        return receipt

    def _too_old(self, chunk: ActionChunk, now_ns: int) -> str:
        """Return by how much a chunk is too old to be followed, '' where it is not."""
        step_s = chunk.dt_ns / NANOSECONDS
        if chunk.execute_steps is None:
            most_s = chunk.horizon * step_s + MARGIN_S
        else:
            most_s = max(MIN_AGE_S, 2 * chunk.execute_steps * step_s)
        most_s *= self._age_factor
        age_s = (now_ns - chunk.stamp_ns) / NANOSECONDS
        return f'action_chunk is {age_s:.3f} s old, allowed {most_s:.3f} s' * (age_s > most_s)
