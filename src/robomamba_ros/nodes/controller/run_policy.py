"""The action `~/run_policy`, by which behaviour trees and planners have a policy run."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.action.server import ActionServer, CancelResponse
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.task import Future

from robomamba_ros.control.setpoints.policy_goal import Ending, Outcome, PolicyGoal
from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.control.setpoints.status import LoopStatus
from robomamba_ros.errors import ActionError, ObservationError
from robomamba_ros.language.instructions import check_text
from robomamba_ros.nodes.controller.chunk_input import ChunkInput
from robomamba_ros.nodes.controller.policy_request import PolicyRequest
from robomamba_ros.types import NANOSECONDS

# How often a goal is looked at, and its feedback is sent [s of wall time].
LOOK_S, FEEDBACK_S = 0.05, 0.5


def offered(
    node: Any, loop: SetpointLoop, now_ns: Callable[[], int], chunks: ChunkInput
) -> list[RunPolicy]:
    """Return what serves the action; nothing where the package of its type is not installed."""
    kind = action_type()
    return [] if kind is None else [RunPolicy(node, kind, loop, now_ns, chunks)]


def action_type() -> Any:
    """Return the type of the action; None where its package is not installed."""
    try:
        return importlib.import_module('robomamba_interfaces.action').RunPolicy
    except ImportError:
        return None


class RunPolicy:
    """Serves the action, one goal at a time; a second one is aborted with the reason.

    node: a ManagedNode, whose arm it lets move as `~/enable` does. kind: type of the action. loop:
    what the arm does. chunks: what the policy sends.
    """

    def __init__(
        self,
        node: Any,
        kind: Any,
        loop: SetpointLoop,
        now_ns: Callable[[], int],
        chunks: ChunkInput,
    ) -> None:
        self._node, self._kind, self._loop = node, kind, loop
        self._now_ns, self._chunks = now_ns, chunks
        self._running: _Running | None = None
        self._policy = PolicyRequest(node)
        self._server = ActionServer(
            node,
            kind,
            '~/run_policy',
            self._execute,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        # Not the node's clock: simulated time may stand still, and a goal can be canceled then.
        self._timer = node.create_timer(
            LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    async def _execute(self, handle: Any) -> Any:
        begun = self._chunks.count
        try:
            outcome = await self._begin(handle, begun)
        except (ActionError, ObservationError) as error:
            outcome = Outcome(Ending.ABORTED, str(error))
        self._node.get_logger().info(f'run_policy {outcome.ending.value}: {outcome.reason}')
        {
            Ending.SUCCEEDED: handle.succeed,
            Ending.ABORTED: handle.abort,
            Ending.CANCELED: handle.canceled,
        }[outcome.ending]()
        return self._kind.Result(reason=outcome.reason, chunks=self._chunks.count - begun)

    def _begin(self, handle: Any, begun: int) -> Future:
        """Begin a goal; return what will have its outcome. Raises where it cannot begin."""
        if self._running is not None:
            raise ActionError('another goal runs: cancel it first')
        text, limit = handle.request.instruction, handle.request.time_limit
        check_text('instruction', text)
        limit_ns = limit.sec * NANOSECONDS + limit.nanosec
        goal = PolicyGoal(self._loop, limit_ns, self._now_ns(), self._policy.look, self._enable)
        self._policy.ask(text)
        self._running = _Running(handle, goal, begun)
        return self._running.end

    def _enable(self, enabled: bool) -> None:
        self._node.enable_now(enabled)
        if enabled:
            # An episode begins now, and what was to be done once is not over before it could be.
            self._policy.restart()

    def _look(self) -> None:
        running = self._running
        if running is None:
            return
        canceled = running.handle.is_cancel_requested
        outcome = running.goal.look(self._now_ns(), canceled=canceled)
        self._policy.keep_asking()
        if outcome is not None:
            self._running = None
            running.end.set_result(outcome)
        else:
            self._tell(running)

    def _tell(self, running: _Running) -> None:
        """Send feedback when the state changes, and now and then."""
        status, now_s = self._loop.status, time.monotonic()
        if status == running.told and now_s < running.told_s + FEEDBACK_S:
            return
        running.told, running.told_s = status, now_s
        count = self._chunks.count - running.begun
        age_ns = self._now_ns() - self._chunks.newest_ns
        running.handle.publish_feedback(
            self._kind.Feedback(
                state=status.state.value,
                reason=status.reason,
                chunks=count,
                chunk_age=age_ns / NANOSECONDS if count else math.nan,
            )
        )

    def destroy(self) -> None:
        """Disconnect; a goal that runs gets no result, as its server is gone."""
        self._node.destroy_timer(self._timer)
        self._server.destroy()
        self._policy.destroy()


@dataclass
class _Running:
    """The goal that runs. begun: chunks before it. told: of the last feedback, at told_s [s]."""

    handle: Any
    goal: PolicyGoal
    begun: int
    end: Future = field(default_factory=Future)
    told: LoopStatus | None = None
    told_s: float = 0.0
