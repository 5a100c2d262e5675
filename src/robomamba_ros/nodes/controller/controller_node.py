"""The robot side: turns chunks into setpoints at the control rate and owns the watchdog.

SetpointLoop decides; this node carries messages to and from it. Runs without torch.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_srvs.srv import Trigger

from robomamba_ros.control.motion.blending import Blending
from robomamba_ros.control.setpoints.lockstep import LockstepGate
from robomamba_ros.control.setpoints.senders import sends_trajectories
from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.control.setpoints.status import STOPS
from robomamba_ros.errors import ActionError, ConfigError, NotReadyError
from robomamba_ros.nodes.common.diagnostics import OK, WARN, Report
from robomamba_ros.nodes.common.host import end_process, run
from robomamba_ros.nodes.common.lifecycle import ManagedNode
from robomamba_ros.nodes.common.parameter_tables import CONTROLLER
from robomamba_ros.nodes.common.realtime import Collector, ControlThread
from robomamba_ros.nodes.common.robot_description import RobotDescription
from robomamba_ros.nodes.common.state_input import StateInput
from robomamba_ros.nodes.controller.chunk_input import ChunkInput
from robomamba_ros.nodes.controller.control_clock import ControlClock
from robomamba_ros.nodes.controller.guards import Guards
from robomamba_ros.nodes.controller.markers import Markers
from robomamba_ros.nodes.controller.measurements import Measurements
from robomamba_ros.nodes.controller.outputs import Outputs
from robomamba_ros.types import NANOSECONDS, ActionChunk, RobotState

# How often in a row a command may fail before the node gives up and ends.
DEFECTS = 10


class ControllerNode(ManagedNode):
    """Follows `action_chunk` with `joint_chunk`; publishes what the arm contract's outputs say.

    realtime: a setpoint per control period of the node's clock. lockstep: a setpoint per state,
    stamped like it, once the chunk that it depends on is there; a disabled controller gives none,
    so that simulated time stands still.
    wall_s: the time by which ticks are measured [s].
    """

    wall_s: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, **node_options: Any) -> None:
        self._connections: list[Any] = []
        self._control_timer: Any = None
        self._defects = 0
        super().__init__('controller_node', CONTROLLER, **node_options)
        self.create_service(Trigger, '~/stop', self._on_stop)

    def configure(self, parameters: Mapping[str, Any]) -> None:
        """Load the arm, connect, start the control timer."""
        arm = self.load_arm(parameters)
        mode = parameters['mode']
        self._gate: LockstepGate | None = None
        if mode == 'lockstep':
            if parameters['execute_steps'] == 0:
                raise ConfigError("mode lockstep needs the parameter 'execute_steps' above 0")
            self._gate = LockstepGate(parameters['execute_steps'], arm.period_ns)
        decay = parameters['ensemble_decay']
        blending = Blending(parameters['crossfade_steps'], decay if decay >= 0.0 else None)
        self._dry_run = parameters['dry_run']
        foresight = sends_trajectories(arm) and not self._dry_run
        self._time = ControlClock(self)
        self._loop = SetpointLoop(
            arm,
            blending=blending,
            foresight=foresight,
            supervised=not self._dry_run and mode != 'lockstep',
            age_factor=parameters['budget_factor'],
            enable_timeout_s=parameters['enable_timeout_s'],
            simulated_time=self._time.simulated,
        )
        self._enabled = False
        self._measured = Measurements(arm.period_ns / NANOSECONDS)
        self._outputs = Outputs(
            self, arm, parameters['gripper_output'], self._now_ns, self.warn, dry_run=self._dry_run
        )
        self._connections.append(self._outputs)
        description: RobotDescription | None = None
        if arm.has_kinematics:
            description = RobotDescription(
                self,
                arm,
                self._loop.use_kinematics,
                lambda: self._loop.status.state is LoopState.DISABLED,
                watch=True,
            )
            self._connections.append(description)
        self._states = StateInput(self, arm, mode, self._on_state, self.warn, description)
        self._connections.append(self._states)
        self._chunks = ChunkInput(
            self, arm.base_frame, self._on_chunk, self._on_withdrawal, self.warn
        )
        self._connections.append(self._chunks)
        if not parameters['interlocks'] and (arm.interlocks or arm.speed_scaling):
            self.get_logger().warning(
                f"interlocks and speed scaling of arm '{arm.name}' are not looked at, as the "
                "parameter 'interlocks' is false: no real arm may move so"
            )
        self._conditions = Guards(
            self,
            arm,
            self._loop,
            self._now_ns,
            self.warn,
            robot=parameters['interlocks'],
            dry_run=self._dry_run,
        )
        self.writers = self._conditions.publishers
        self._connections.append(self._conditions)
        self._connections.append(
            Markers(self, arm.base_frame, lambda: self._loop.scene(self._now_ns()))
        )
        # Last: threads that middleware has started by now are not bound to the same processors.
        self._connections.append(ControlThread(parameters))
        if self._gate is None:
            self._control_timer = self.create_timer(
                1.0 / arm.control_rate_hz, self._on_timer, clock=self._time.timer_clock
            )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work, with what is loaded out of the garbage collector's way."""
        Collector.freeze()
        return super().on_activate(state)

    def teardown(self) -> None:
        """Disconnect."""
        if self._control_timer is not None:
            self.destroy_timer(self._control_timer)
            self._control_timer = None
        while self._connections:
            self._connections.pop().destroy()

    def enable(self, enabled: bool) -> None:
        """Follow chunks from the next one on, or brake to rest."""
        self._conditions.check(self._now_ns())
        self._loop.enable(enabled)
        self._enabled = enabled
        self._step_in_lockstep()

    def look(self) -> None:
        """Look who publishes, who listens and what they say."""
        self._conditions.look()

    def on_exception(self, error: Exception) -> None:
        """Brake and hold after an exception; end where commands themselves fail again and again."""
        self._defects += 1
        if not self._configured or self._defects > DEFECTS:
            super().on_exception(error)
            return
        traceback.print_exception(error)
        self._loop.fault(f'internal error, {type(error).__name__}: {error}')

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Stop at once and hold; needs an enable afterwards, whoever asks."""
        self._enable_once = False
        response.success = self._configured
        if self._configured:
            self._loop.fault('stopped by ~/stop')
            response.message = self.report().message
        else:
            response.message = 'the node is not configured: nothing moves'
        return response

    def reset(self) -> None:
        """Forget chunk, inputs, commands and measurements, once an arm that moves is at rest."""
        self._loop.reset(at_once=self._gate is not None)
        if self.at_rest:
            self._outputs.stop()
        if self._gate is not None:
            self._gate.reset()
        self._measured.clear()

    @property
    def at_rest(self) -> bool:
        """Whether the arm has stopped; in lockstep simulated time stands still instead."""
        return (
            not self._configured
            or self._gate is not None
            or (self._loop.status.state not in STOPS and self._outputs.at_rest)
        )

    def _on_state(self, state: RobotState) -> None:
        self._measured.state(state.stamp_ns)
        self._loop.update_state(state, None if self._gate else self._now_ns())
        if self._gate is not None:
            self._gate.add_state(state.stamp_ns)
            self._step_in_lockstep()

    def _on_chunk(self, chunk: ActionChunk) -> None:
        if self._gate is not None:
            self._gate.add_chunk(chunk)
            self._step_in_lockstep()
        elif self._enabled:
            self._follow(chunk, self._now_ns())

    def _on_withdrawal(self) -> None:
        self._loop.withdraw_chunk('the policy took its chunk back, as for a new instruction')

    def _follow(self, chunk: ActionChunk, now_ns: int) -> None:
        try:
            if self._dry_run:
                # The arm has not followed: the chunk is about where it is, not where it was told
                # to be. And no arm waits for somebody to let it move on after a stop.
                self._loop.let_go()
                self._loop.enable(True)
            self._loop.add_chunk(chunk, now_ns)
        except (ActionError, NotReadyError) as error:
            self.warn(error)
        else:
            self._measured.chunk(chunk.stamp_ns)

    def _on_timer(self) -> None:
        begun_s = self.wall_s()
        self._tick()
        self._measured.ticks.add(begun_s, self.wall_s(), punctual=not self._time.simulated)

    def _tick(self) -> None:
        now_ns = self._now_ns()
        jump_s = self._time.jump_s()
        if jump_s:
            self._loop.fault(f'the system clock was set by {jump_s:.3f} s')
            if self.at_rest:
                self._time.follow()
                now_ns = self._now_ns()
        self._conditions.check(now_ns)
        if self._command(now_ns):
            self._measured.command(now_ns)

    def _step_in_lockstep(self) -> None:
        step = self._gate.release() if self._gate is not None and self._enabled else None
        if step is None:
            return
        if step.chunk is not None:
            self._follow(step.chunk, step.stamp_ns)
        if self._command(step.stamp_ns) and step.chunk is not None:
            self._measured.command_in_lockstep()

    def _command(self, now_ns: int) -> bool:
        """Publish the command of the period that begins now; tell whether there is one."""
        setpoint = self._loop.tick(now_ns)
        self._defects = 0
        if self._loop.clock.stood_still:
            self._outputs.stand_still()
        if setpoint is None:
            self._outputs.stop()
            return False
        self._measured.setpoints += 1
        self.activity = self._measured.setpoints
        command = self._loop.command()
        # What was computed before this process was stopped is not sent when it goes on.
        if command is not None and (self._gate or self._now_ns() - now_ns < NANOSECONDS):
            self._outputs.send(command)
        return True

    def _counts(self) -> dict[str, int]:
        inputs = {'state': self._states.count, 'chunk': self._chunks.count}
        return {**inputs, 'setpoint': self._measured.setpoints, **self._outputs.counts}

    def _now_ns(self) -> int:
        return self._time.now_ns()

    def report(self) -> Report:
        """Return state, reason, rates, ages and latencies."""
        status = self._loop.status
        bad = status.state in (*STOPS, LoopState.HOLDING)
        values: dict[str, object] = {'state': status.state.value, 'reason': status.reason}
        values['interlocks'] = self._conditions.problems
        for stream, age_s in self._loop.ages_s(self._now_ns()).items():
            values[f'{stream}_age_s'] = age_s
        values |= self._loop.counts.values()
        values |= self._measured.values(self._counts())
        message = f'{status.state.value}: {status.reason}' if status.reason else status.state.value
        return Report(WARN if bad else OK, message, values)


def main() -> None:
    """Run the node (console script `controller_node`)."""
    end_process(run([ControllerNode], sys.argv))
