"""The states of a setpoint loop and what leads from one to another; stop, forget and resume.

docs/architecture.md has them as a table. Decides nothing: the loop says what has happened.
"""

from __future__ import annotations

from robomamba_ros.common.metrics import MotionCounts
from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.control.setpoints.commander import Commander
from robomamba_ros.control.setpoints.status import STOPS, LoopState, LoopStatus
from robomamba_ros.errors import NotReadyError
from robomamba_ros.types import NANOSECONDS

AGAIN = 'enable to move again'
NO_CHUNK = 'no action_chunk yet'
PAUSED = 'the speed scaling is 0 %, so the robot is paused'
# How long the next chunk may continue by itself: after one ran out, and after one was taken back,
# as for a new instruction, whose first inference takes a while [s].
RESUME_S, TAKEN_BACK_S = 1.0, 10.0


class Transitions:
    """State and command of an arm, which change together.

    enabled: whether a chunk may move the arm. returning: whether the command goes back to an arm
    that did not follow it.
    """

    def __init__(self, commander: Commander) -> None:
        self._commander = commander
        self.counts = MotionCounts()
        self.status = LoopStatus(LoopState.DISABLED, 'not enabled yet')
        self.enabled = self.returning = False
        self._settled = False
        self._at_rest = LoopState.DISABLED
        self._wanted_ns = self._resume_ns = 0

    @property
    def state(self) -> LoopState:
        """The state alone."""
        return self.status.state

    def check_at_rest(self) -> None:
        """Raise NotReadyError where the command of a stop has not come to rest yet.

        An arm that is held back stands still by then. A start from there would be a jump of the
        command, and controllers of trajectories are still on the way that they were sent.
        """
        if self.state in STOPS or not self._commander.still:
            why = self.status.reason.removesuffix(f'; {AGAIN}')
            raise NotReadyError(f'still stopping ({why}): wait until it has come to rest')

    def wait(self, reason: str = NO_CHUNK) -> None:
        """Hold still, or command nothing, until the first chunk."""
        self.status = LoopStatus(LoopState.WAITING, reason)

    def track(self) -> None:
        """Follow a chunk."""
        self.status = LoopStatus(LoopState.TRACKING, '')

    def forget(self, *, held: bool = False) -> None:
        """Command nothing any more, and stay in the state; held: as Commander.forget takes it."""
        self._commander.forget(held=held)
        self.returning = False

    def lose_sight(self) -> None:
        """Command an arm at rest nothing any more, as nobody knows where it is."""
        if self.state is LoopState.STOPPING:
            self.come_to_rest()
        if self.state is not LoopState.RESETTING:
            self.forget()

    def let_go(self, *, held: bool = False) -> None:
        """Command nothing any more; the next command starts anew."""
        self.forget(held=held)
        if self.enabled:
            self.wait()
        else:
            self.status = LoopStatus(LoopState.DISABLED, self.status.reason)

    def stop(self, reason: str, at_rest: LoopState = LoopState.HOLDING) -> None:
        """Brake, and be in the state `at_rest` then; an arm at rest is at once."""
        self._commander.drop_course()
        self._stop(reason, at_rest)
        if self._commander.at_rest and self.state is LoopState.STOPPING:
            self.come_to_rest()

    def reset(self) -> None:
        """Brake, and wait then; the reason of a fault stays: a reset does not enable an arm."""
        why = '' if self.enabled else f'; {self.status.reason}'
        self.stop(f'reset{why}', LoopState.WAITING)

    def fault(self, reason: str) -> None:
        """Brake, hold, and wait to be enabled; an arm that is not enabled does so already."""
        if self.enabled:
            self.enabled = False
            self.stop(f'{reason}; {AGAIN}')

    def expire(self, reason: str) -> None:
        """Command nothing any more, as nobody has used that the arm is enabled."""
        self.enabled = False
        self.forget(held=True)
        self.status = LoopStatus(LoopState.DISABLED, f'{reason}; {AGAIN}')

    def want_chunk(self, reason: str, now_ns: int, resume_s: float = RESUME_S) -> None:
        """Come to rest for want of a chunk, which may continue until resume_s from now."""
        self._wanted_ns = now_ns
        self._resume_ns = now_ns + round(resume_s * NANOSECONDS)
        self._stop(reason, LoopState.HOLDING)

    def wait_longer(self, resume_s: float) -> None:
        """Let a chunk continue until resume_s after the stop, where one still may."""
        if self.enabled and self.state in (LoopState.STOPPING, LoopState.HOLDING):
            self._resume_ns = self._wanted_ns + round(resume_s * NANOSECONDS)

    def wait_no_longer(self, now_ns: int) -> None:
        """End the time in which a chunk may continue, where it is over."""
        if self.state in (LoopState.STOPPING, LoopState.HOLDING) and now_ns > self._resume_ns:
            self.enabled = False
            self.status = LoopStatus(self.state, f'{self.status.reason}; {AGAIN}')

    def give_up(self, reason: str) -> None:
        """Brake at once, as was foreseen, where a chunk is followed; then as after a fault.

        What the joints cannot do they cannot do with the next chunk either: the arm would stop and
        start again and again.
        """
        if self.state is LoopState.TRACKING:
            self.enabled = False
            self._stop(f'{reason}; {AGAIN}', LoopState.HOLDING)

    def return_to(self, place: Anchor, problem: str) -> None:
        """Stop an arm that does not do what it is told, with its command where it is.

        The command goes there within limits, whatever is true of the arm: one that stands still
        does not jump when it is released, and one that was measured wrongly is not pulled.
        """
        if self.state in STOPS:
            self.status = LoopStatus(self.state, f'{problem}; {AGAIN}')
        elif self.state is not LoopState.DISABLED:
            self.stop(f'{problem}; {AGAIN}')
            self.status = LoopStatus(LoopState.STOPPING, self.status.reason)
        self.enabled = False
        self.returning = True
        self._commander.return_to(place)

    def was_moved(self, problem: str) -> None:
        """Let go of an arm that something else has moved from where it was held."""
        self._let_go_of(f'{problem}, at rest: something else moved it; {AGAIN}')

    def was_forgotten(self, problem: str) -> None:
        """Let go of an arm at rest whose controllers do not hold it where they were told to.

        What they were told last is no place to go on from, nor to come back from after a fault.
        """
        if self.enabled:
            self._let_go_of(f'{problem}; {AGAIN}')
        else:
            self.forget()

    def give_way(self, problem: str) -> None:
        """Let go of an arm that somebody else has taken, where it is enabled or moves."""
        if self.enabled or not self._commander.at_rest:
            self._let_go_of(f'{problem}; {AGAIN}')

    def _let_go_of(self, reason: str) -> None:
        self.enabled = False
        self.forget()
        self.counts.add_stop(reason)
        self.status = LoopStatus(LoopState.HOLDING, reason)

    @property
    def unsettled(self) -> bool:
        """Whether it matters where an arm has come to rest after a fault."""
        return self.returning or not (self.enabled or self._settled)

    def settle(self, place: Anchor) -> None:
        """Take the command to where the arm has come to rest after a fault, once.

        What an emergency stop has left undone is not to be done on its release.
        """
        self.returning = False
        if self.unsettled:
            self._settled = self.returning = True
            self._commander.return_to(place)

    def come_to_rest(self) -> None:
        """Take note that the arm has stopped."""
        self.status = LoopStatus(self._at_rest, self.status.reason)
        if self._at_rest is LoopState.DISABLED:
            self.forget(held=True)

    def _stop(self, reason: str, at_rest: LoopState) -> None:
        self.counts.add_stop(reason)
        self._settled = False
        self._at_rest = at_rest
        resets = at_rest is LoopState.WAITING
        self.status = LoopStatus(LoopState.RESETTING if resets else LoopState.STOPPING, reason)
