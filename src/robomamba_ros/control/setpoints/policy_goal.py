"""A planner's request to run a policy for a while: what it waits for, and how it ends.

It enables and disables a setpoint loop as a person does by `~/enable`, and has no other way to the
arm. It never lets an arm go on that has stopped: somebody has to look, as after any stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.control.setpoints.status import STOPS, LoopState
from robomamba_ros.errors import ActionError, NotReadyError


class Ending(str, Enum):
    """How a goal ended, in the words of ROS actions."""

    SUCCEEDED = 'succeeded'
    ABORTED = 'aborted'
    CANCELED = 'canceled'


@dataclass(frozen=True)
class Outcome:
    """How a goal ended, and why in words."""

    ending: Ending
    reason: str


class PolicyGoal:
    """One goal, from its acceptance to the arm at rest.

    limit_ns: how long it may run, from now_ns on. prepare: looks whether the policy follows the
    instruction; returns None as long as that is not known, '' where it does, else why it does not.
    enable: lets the arm follow chunks, or brakes, as `~/enable`; raises NotReadyError.

    It succeeds where the arm still follows the policy when the time is over: nothing here knows
    whether the task is done. It is refused, by ActionError, while the arm moves, and after a stop
    until somebody has enabled or disabled the arm: a planner that tries again is not somebody who
    has looked.
    """

    def __init__(
        self,
        loop: SetpointLoop,
        limit_ns: int,
        now_ns: int,
        prepare: Callable[[], str | None],
        enable: Callable[[bool], None],
    ) -> None:
        if limit_ns <= 0:
            raise ActionError('time_limit must be positive: nobody else ends a goal that was left')
        if refusal := _refusal(loop):
            raise ActionError(refusal)
        self._loop, self._prepare, self._enable = loop, prepare, enable
        self._end_ns = now_ns + limit_ns
        self._limit_s = limit_ns / 1e9
        self._runs = False
        self._outcome: Outcome | None = None

    def look(self, now_ns: int, *, canceled: bool = False) -> Outcome | None:
        """Do what is due; return how the goal ended once the arm is at rest, None until then."""
        if self._outcome is not None:
            return None if self._loop.status.state in STOPS else self._outcome
        if canceled:
            return self._brake(Outcome(Ending.CANCELED, 'canceled'))
        over = now_ns >= self._end_ns
        if self._runs:
            return self._watch(over=over)
        problem = self._prepare()
        if problem == '':
            # The arm may have been moved, or have been stopped, while the policy was asked.
            problem = _refusal(self._loop) or self._start()
            self._runs = not problem
        elif problem is None and over:
            problem = f'policy_node did not take the instruction within {self._limit_s:g} s'
        return Outcome(Ending.ABORTED, problem) if problem else None

    def _start(self) -> str:
        try:
            self._enable(True)
        except NotReadyError as error:
            return str(error)
        return ''

    def _watch(self, *, over: bool) -> Outcome | None:
        status = self._loop.status
        if not self._loop.enabled:
            self._outcome = Outcome(Ending.ABORTED, status.reason or status.state.value)
            return None if status.state in STOPS else self._outcome
        if not over:
            return None
        if status.state is LoopState.TRACKING:
            return self._brake(Outcome(Ending.SUCCEEDED, f'ran for {self._limit_s:g} s'))
        why = f'{status.state.value} when its {self._limit_s:g} s were over: {status.reason}'
        return self._brake(Outcome(Ending.ABORTED, why))

    def _brake(self, outcome: Outcome) -> Outcome | None:
        if self._runs:
            self._enable(False)
        self._outcome = outcome
        return self.look(0)


def _refusal(loop: SetpointLoop) -> str:
    """Return why no goal may begin now; '' where one may."""
    status = loop.status
    if status.state is LoopState.HOLDING:
        return (
            f'the arm has stopped, and somebody has to look: {status.reason}; '
            'a goal is taken after a call of ~/enable, true or false'
        )
    if status.state not in (LoopState.DISABLED, LoopState.WAITING):
        return f'the arm moves already, it is {status.state.value}: disable it first'
    return ''
