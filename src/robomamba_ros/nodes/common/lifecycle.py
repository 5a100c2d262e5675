"""What both managed nodes share: autostart, services, diagnostics, errors, teardown."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from robomamba_ros.bringup.option import Option
from robomamba_ros.errors import NotReadyError, RoboMambaError
from robomamba_ros.nodes.common.diagnostics import ERROR, OK, WARN, Diagnostics, Report
from robomamba_ros.nodes.common.parameters import Parameters
from robomamba_ros.nodes.common.publishers_watch import Publishers
from robomamba_ros.nodes.common.warning_counts import WarningCounts
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.robots.budgets import with_budgets

SUCCESS = TransitionCallbackReturn.SUCCESS
# How often a node looks around; what it sees twice in a row counts.
LOOK_S = 0.25


class ManagedNode(LifecycleNode):
    """A lifecycle node; a subclass gives `configure`, `enable`, `reset`, `report`, `teardown`.

    An error in a transition is logged in one line and leaves the node where it was. One at
    autostart is `fatal`: nobody is there to try again. `teardown` undoes `configure`, whole or
    half done, and may be called twice. writers: who publishes on its topics, where they are
    counted; named in diagnostics where there are too many. loading: while it configures; nothing
    moves by it then.
    """

    writers: Publishers | None = None

    def __init__(self, name: str, table: Sequence[Option], **node_options: Any) -> None:
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **node_options)
        self.fatal = ''
        self._failure = ''
        self._warnings = WarningCounts(lambda text: self.get_logger().warning(text))
        self._configured = self._active = self.loading = False
        # Whether the arm is to be moved as soon as it may be, as the parameter `enabled` says.
        self._enable_once = False
        self._ends = False
        self._declared = Parameters(self, table)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset', self._on_reset)
        self._diagnostics = Diagnostics(self, self._report)
        self._answer_transitions()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK_S, self._look, clock=steady)
        if self.get_parameter('autostart').value:
            # From a timer: the node is then spinning and every callback is in its one thread.
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    @property
    def activity(self) -> int:
        """A number that changes while the node works: who waits for its rest gives up where not."""
        return 0

    def load_arm(self, parameters: Mapping[str, Any]) -> ArmContract:
        """Return the contract of the parameter `arm`, its budgets as `budget_factor` says."""
        arm, factor = load_arm(parameters['arm']), parameters['budget_factor']
        if factor == 1.0:
            return arm
        self.get_logger().info(f'the arm is a stand-in: budgets of its inputs are x {factor:g}')
        return with_budgets(arm, factor)

    def configure(self, parameters: Mapping[str, Any]) -> None:
        """Load and warm up; raises RoboMambaError."""
        raise NotImplementedError

    def enable(self, enabled: bool) -> None:
        """Begin to work, or begin to come to rest."""
        raise NotImplementedError

    def enable_now(self, enabled: bool) -> None:
        """Enable in the place of whatever the parameter `enabled` still waits for.

        Raises NotReadyError where it must not.
        """
        if not self._active:
            raise NotReadyError('the node is not active; activate it first')
        self._enable_once = False
        self.enable(enabled)

    def reset(self) -> None:
        """Forget the episode."""
        raise NotImplementedError

    def report(self) -> Report:
        """Return the state of a configured node for /diagnostics."""
        raise NotImplementedError

    def teardown(self) -> None:
        """Free what `configure` made."""
        raise NotImplementedError

    def look(self) -> None:
        """Look around, a few times a second while configured."""
        if self.writers is not None:
            self.writers.look()

    def on_exception(self, error: Exception) -> None:
        """Decide about an exception that no callback has caught: this node ends.

        The one place where that is decided; whoever spins a node hands them over.
        """
        if not self.fatal:
            self.fatal = f'{type(error).__name__}: {error}'
            traceback.print_exception(error)

    @property
    def at_rest(self) -> bool:
        """Whether the node may be destroyed without leaving an arm in motion."""
        return True

    @property
    def moves(self) -> bool:
        """Whether something moves, or may begin to, by this node."""
        return self._active or not self.at_rest

    def halt(self) -> None:
        """Deactivate where active; `at_rest` tells when the arm has stopped."""
        if not self._active:
            return
        try:
            self.trigger_deactivate()
        except Exception as error:
            # A signal may have interrupted rclpy between two states; the arm rests all the same.
            self.get_logger().debug(f'deactivated without its state machine: {error}')
            self._active = self._enable_once = False
            self.enable(False)

    def warn(self, error: Exception) -> None:
        """Log what went wrong when it begins, and then each time its count has grown tenfold."""
        self._warnings.note(error)

    def _autostart(self) -> None:
        self.destroy_timer(self._autostart_timer)
        if self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS:
            self.fatal = self._failure

    def _answer_transitions(self) -> None:
        """Let a transition that is not possible now be answered, where rclpy raises."""
        service = self._service_change_state
        change = service.callback

        def answer(request: Any, response: Any) -> Any:
            try:
                return change(request, response)
            except Exception as error:
                self.get_logger().error(f'no such transition now: {error}')
                response.success = False
                return response

        service.callback = answer

    def _look(self) -> None:
        if self._configured:
            self.look()
        if self._enable_once and self._active:
            try:
                self.enable(True)
            except NotReadyError as error:
                self.warn(NotReadyError(f'not enabled yet: {error}'))
            else:
                self._enable_once = False
        if self._ends and self.at_rest:
            self._ends = self._configured = False
            self._guard('tear down', self.teardown)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            self.enable_now(request.data)
            response.success, response.message = True, self.report().message
        except NotReadyError as error:
            response.success, response.message = False, str(error)
        if self._active:
            self._diagnostics.publish()
        return response

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._configured
        if self._configured:
            self.reset()
            response.message = self.report().message
        else:
            response.message = 'the node is not configured; configure it first'
        return response

    def _report(self) -> Report:
        if not self._configured:
            return Report(ERROR if self._failure else OK, self._failure or 'not configured')
        report = self.report()
        duplicates = '' if self.writers is None else self.writers.problem
        if not duplicates:
            return report
        values = {**report.values, 'duplicate_publishers': duplicates}
        return Report(max(report.level, WARN), f'{report.message}; {duplicates}', values)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure from the parameters; on an error tear down what was made."""
        self.loading = True
        result = self._guard('configure', lambda: self.configure(self._declared.values()))
        self.loading = False
        self._configured = result == SUCCESS
        if not self._configured:
            self.teardown()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work, where the parameter `enabled` says so and as soon as it is possible."""
        self._enable_once = bool(self.get_parameter('enabled').value)
        self._active = True
        self._look()
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to come to rest; what that takes goes on while the node is inactive."""
        self._active = self._enable_once = False
        return self._guard('deactivate', lambda: self.enable(False))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tear down, so that the node can be configured again; refused while the arm moves."""
        if not self.at_rest:
            self.get_logger().error('cannot clean up: the arm has not come to rest yet')
            return TransitionCallbackReturn.FAILURE
        self._configured = self._active = False
        return self._guard('tear down', self.teardown)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tear down for good; an arm that moves comes to rest before."""
        self._ends = True
        if self._active:
            self.on_deactivate(state)
        self._look()
        return SUCCESS

    def destroy_node(self) -> None:
        """Tear down, destroy, and leave the graph."""
        self._guard('tear down', self.teardown)
        super().destroy_node()
        # rclpy forgets it, and until Python collects it the node stays in the graph with services
        # that nobody answers: clients of the next node of this name may find it never ready.
        self._state_machine.destroy_when_not_in_use()

    def _guard(self, step: str, action: Callable[[], None]) -> TransitionCallbackReturn:
        self._failure = ''
        try:
            action()
        except RoboMambaError as error:
            self._failure = str(error)
        # rclpy would drop it without a word, and a driver or library may raise anything.
        except Exception as error:
            self._failure = f'{type(error).__name__}: {error}'
            self.get_logger().debug(traceback.format_exc())
        if not self._failure:
            return SUCCESS
        self.get_logger().error(f'cannot {step}: {self._failure}')
        return TransitionCallbackReturn.FAILURE
