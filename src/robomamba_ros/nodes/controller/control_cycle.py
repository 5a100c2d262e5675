"""What happens in a control period: look, tick the setpoint loop, send, measure.

In realtime there is one per period of the control's time. In lockstep there is one per state,
stamped like it, once the chunk that it depends on is there; a disabled controller does none, so
that simulated time stands still.
"""

from __future__ import annotations

from collections.abc import Callable

from robomamba_ros.control.setpoints.lockstep import LockstepGate
from robomamba_ros.control.setpoints.senders import Command
from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.control.setpoints.status import STOPS
from robomamba_ros.errors import ActionError, NotReadyError
from robomamba_ros.nodes.controller.control_clock import ControlClock
from robomamba_ros.nodes.controller.measurements import Measurements
from robomamba_ros.nodes.controller.outputs import Outputs
from robomamba_ros.types import NANOSECONDS, ActionChunk, RobotState


class ControlCycle:
    """Carries states and chunks to a setpoint loop, and its commands to the outputs.

    gate: of lockstep, None in realtime. check: looks, before every period, at what others say of
    the arm (see Guards). defects: how many periods in a row an exception has ended.
    """

    def __init__(
        self,
        loop: SetpointLoop,
        outputs: Outputs,
        clock: ControlClock,
        measured: Measurements,
        gate: LockstepGate | None,
        check: Callable[[int], None],
        warn: Callable[[Exception], None],
        *,
        dry_run: bool,
    ) -> None:
        self._loop, self._outputs, self._clock = loop, outputs, clock
        self._measured, self._gate = measured, gate
        self._check, self._warn = check, warn
        self._dry_run = dry_run
        self._enabled = False
        self._sent: Command | None = None
        self.defects = 0

    @property
    def at_rest(self) -> bool:
        """Whether the arm has stopped; in lockstep simulated time stands still instead."""
        stopped = self._loop.status.state not in STOPS and self._outputs.at_rest
        return self._gate is not None or stopped

    def enable(self, enabled: bool) -> None:
        """Follow chunks from the next one on, or brake to rest."""
        self._loop.enable(enabled)
        self._enabled = enabled
        self._step_in_lockstep()

    def reset(self) -> None:
        """Forget chunk, inputs, commands and measurements, once an arm that moves is at rest."""
        self._loop.reset(at_once=self._gate is not None)
        if self._gate is not None:
            self._gate.reset()
            self._clock.step_ns = None
            self._outputs.forget()
        elif self.at_rest:
            self._outputs.stop()
        self._measured.clear()

    def on_state(self, state: RobotState) -> None:
        """Take a state of the arm."""
        self._measured.state(state.stamp_ns)
        self._loop.update_state(state, None if self._gate else self._clock.now_ns())
        if self._gate is not None:
            self._gate.add_state(state.stamp_ns)
            self._step_in_lockstep()

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Take a chunk of the policy."""
        if self._gate is not None:
            self._gate.add_chunk(chunk)
            self._step_in_lockstep()
        elif self._enabled:
            self._follow(chunk, self._clock.now_ns())

    def on_withdrawal(self) -> None:
        """Brake, as the policy has taken back its chunk."""
        self._loop.withdraw_chunk('the policy took its chunk back, as for a new instruction')

    def tick(self) -> None:
        """Do the period that begins now."""
        now_ns = self._clock.now_ns()
        jump_s = self._clock.jump_s()
        if jump_s:
            self._loop.fault(f'the system clock was set by {jump_s:.3f} s')
            if self.at_rest:
                self._clock.follow()
                now_ns = self._clock.now_ns()
        self._check(now_ns)
        if self._command(now_ns):
            self._measured.command(now_ns)

    def _step_in_lockstep(self) -> None:
        step = self._gate.release() if self._gate is not None and self._enabled else None
        if step is None:
            return
        if step.stamp_ns == self._clock.step_ns and step.chunk is None:
            # What was sent may be lost; another look ahead would be another episode.
            self._send(self._sent)
            return
        self._clock.step_ns = step.stamp_ns
        if step.chunk is not None:
            self._follow(step.chunk, step.stamp_ns)
        if self._command(step.stamp_ns) and step.chunk is not None:
            self._measured.command_in_lockstep()

    def _follow(self, chunk: ActionChunk, now_ns: int) -> None:
        try:
            if self._dry_run:
                # The arm has not followed: the chunk is about where it is, not where it was told
                # to be. And no arm waits for somebody to let it move on after a stop.
                self._loop.let_go()
                self._loop.enable(True)
            self._loop.add_chunk(chunk, now_ns)
        except (ActionError, NotReadyError) as error:
            self._warn(error)
        else:
            self._measured.chunk(chunk.stamp_ns)

    def _command(self, now_ns: int) -> bool:
        """Publish the command of the period that begins now; tell whether there is one."""
        setpoint = self._loop.tick(now_ns)
        self.defects = 0
        if self._loop.clock.stood_still:
            self._outputs.stand_still()
        self._sent = None if setpoint is None else self._loop.command()
        # What was computed before this process was stopped is not sent when it goes on.
        if self._sent is None or self._gate or self._clock.now_ns() - now_ns < NANOSECONDS:
            self._send(self._sent)
        if setpoint is None:
            return False
        self._measured.setpoints += 1
        return True

    def _send(self, command: Command | None) -> None:
        if command is None:
            self._outputs.stop()
        else:
            self._outputs.send(command)
