"""The robot side: turns chunks into setpoints at the control rate and owns the watchdog.

SetpointLoop decides; this node connects it with the robot and says how it is. What happens in a
control period is in control_cycle. Runs without torch.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_srvs.srv import Trigger

from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.control.setpoints.status import STOPS
from robomamba_ros.nodes.common.diagnostics import OK, WARN, Report
from robomamba_ros.nodes.common.host import end_process, run
from robomamba_ros.nodes.common.lifecycle import ManagedNode
from robomamba_ros.nodes.common.parameter_tables import CONTROLLER
from robomamba_ros.nodes.common.realtime import Collector, ControlThread
from robomamba_ros.nodes.common.robot_description import RobotDescription
from robomamba_ros.nodes.common.state_input import StateInput
from robomamba_ros.nodes.controller.chunk_input import ChunkInput
from robomamba_ros.nodes.controller.control_clock import ControlClock
from robomamba_ros.nodes.controller.control_cycle import ControlCycle
from robomamba_ros.nodes.controller.guards import Guards
from robomamba_ros.nodes.controller.loop_settings import gate_of, loop_of
from robomamba_ros.nodes.controller.markers import Markers
from robomamba_ros.nodes.controller.measurements import Measurements
from robomamba_ros.nodes.controller.outputs import Outputs
from robomamba_ros.nodes.controller.run_policy import offered
from robomamba_ros.types import NANOSECONDS

# How often in a row a command may fail before the node gives up and ends.
DEFECTS = 10


class ControllerNode(ManagedNode):
    """Follows `action_chunk` with `joint_chunk`; publishes what the arm contract's outputs say.

    wall_s: the time by which ticks are measured [s].
    """

    wall_s: Callable[[], float] = staticmethod(time.monotonic)

    @property
    def activity(self) -> int:
        """How many setpoints it has commanded."""
        return self._measured.setpoints if self._configured else 0

    def __init__(self, **node_options: Any) -> None:
        self._connections: list[Any] = []
        self._control_timer: Any = None
        super().__init__('controller_node', CONTROLLER, **node_options)
        self.create_service(Trigger, '~/stop', self._on_stop)

    def configure(self, parameters: Mapping[str, Any]) -> None:
        """Load the arm, connect, start the control timer."""
        arm = self.load_arm(parameters)
        dry_run, gate = parameters['dry_run'], gate_of(parameters, arm)
        self._time = ControlClock(self)
        self._loop = loop_of(parameters, arm, simulated_time=self._time.simulated)
        self._measured = Measurements(arm.period_ns / NANOSECONDS)
        self._outputs = Outputs(self, arm, parameters, self._now_ns, self.warn, self._loop.give_way)
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
        self._conditions = Guards(
            self,
            arm,
            self._loop,
            self._now_ns,
            self.warn,
            robot=parameters['interlocks'],
            dry_run=dry_run,
        )
        self.writers = self._conditions.publishers
        self._connections.append(self._conditions)
        self._cycle = cycle = ControlCycle(
            self._loop,
            self._outputs,
            self._time,
            self._measured,
            gate,
            self._conditions.check,
            self.warn,
            dry_run=dry_run,
        )
        self._states = StateInput(
            self, arm, parameters['mode'], cycle.on_state, self.warn, description
        )
        self._connections.append(self._states)
        self._chunks = ChunkInput(
            self, arm.base_frame, cycle.on_chunk, cycle.on_withdrawal, self.warn
        )
        self._connections += [self._chunks, *offered(self, self._loop, self._now_ns, self._chunks)]
        self._connections.append(
            Markers(self, arm.base_frame, lambda: self._loop.scene(self._now_ns()))
        )
        # Last: threads that middleware has started by now are not bound to the same processors.
        self._connections.append(ControlThread(parameters))
        if gate is None:
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
        self._cycle.enable(enabled)

    def look(self) -> None:
        """Look who publishes, who listens and what they say."""
        self._conditions.look()

    def on_exception(self, error: Exception) -> None:
        """Brake and hold after an exception; end where commands themselves fail again and again."""
        if not self._configured or self._cycle.defects == DEFECTS:
            super().on_exception(error)
            return
        self._cycle.defects += 1
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
        self._cycle.reset()

    @property
    def at_rest(self) -> bool:
        """Whether the arm has stopped; in lockstep simulated time stands still instead."""
        return not self._configured or self._cycle.at_rest

    def _on_timer(self) -> None:
        begun_s = self.wall_s()
        self._tick()
        self._measured.ticks.add(begun_s, self.wall_s(), punctual=not self._time.simulated)

    def _tick(self) -> None:
        self._cycle.tick()

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
        counts = {'state': self._states.count, 'chunk': self._chunks.count}
        counts['setpoint'] = self._measured.setpoints
        values |= self._measured.values(counts | self._outputs.counts)
        message = f'{status.state.value}: {status.reason}' if status.reason else status.state.value
        return Report(WARN if bad else OK, message, values)


def main() -> None:
    """Run the node (console script `controller_node`)."""
    end_process(run([ControllerNode], sys.argv))
