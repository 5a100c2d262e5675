"""Runs episodes on a live graph (sim_node, policy_node, controller_node) over its own topics.

A client like any other: it uses the services and topics that a user has. Works in both modes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from robomamba_ros.errors import SimulationError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.nodes.common import qos

# A service can be announced before it takes requests, and the middleware drops what comes then.
RESEND_S = 3.0
# Whoever waits longer is told for what.
NOTICE_S = 15.0
MANAGED = ('controller_node', 'policy_node')
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpisodeResult:
    """One episode. latencies: the figures of /diagnostics by name, e.g. inference_p50_ms.

    begin_ns, end_ns: simulated time of its first and of its last step.
    """

    task: str
    seed: int
    success: bool
    steps: int
    begin_ns: int
    end_ns: int
    latencies: Mapping[str, float]


class EpisodeRunner:
    """Runs one episode after the other; a context manager.

    timeout_s: wall time that one answer, or one sign of progress of the simulation, may take; on a
    busy machine a policy loads for minutes. failed: whether a node is known to have failed, which
    is not waited for.
    """

    def __init__(
        self,
        *,
        namespace: str = '',
        timeout_s: float = 600.0,
        failed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._timeout_s = timeout_s
        self._failed = failed
        self._node = Node('episode_runner', namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._clients: dict[str, Any] = {}
        self._status: dict[str, str] = {}
        self._active_instruction: str | None = None
        self._diagnostics: dict[str, dict[str, str]] = {}
        node = self._node
        self._instruction = node.create_publisher(String, 'instruction', qos.LATCHED)
        node.create_subscription(DiagnosticStatus, 'sim_node/status', self._on_status, qos.LATCHED)
        node.create_subscription(String, 'active_instruction', self._on_active, qos.LATCHED)
        node.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS
        )

    def run(self, task: str, seed: int, instruction: str | None = None) -> EpisodeResult:
        """Run an episode from its reset to its end.

        instruction: None takes the task's own. Raises SimulationError naming the node, service
        or topic that did not answer in time, or the reason a node gives for refusing.
        """
        for name in MANAGED:
            self._enable(name, False)
        # Before the simulation is reset too: an arm still braking would move the new episode's.
        self._trigger('controller_node/reset')
        self._set_parameters('sim_node', {'task': task, 'seed': seed})
        episode = int(self._trigger('sim_node/reset').split(':')[0].removeprefix('episode '))
        for name in MANAGED:
            self._trigger(f'{name}/reset')
        text = self._announced(episode) if instruction is None else instruction
        if not self._active_instruction:
            self._active_instruction = None  # the last one was refused
        self._instruction.publish(String(data=text))
        self._wait_for_instruction(text)
        for name in MANAGED:
            self._enable(name, True)
        self._wait_for_the_end(episode)
        return EpisodeResult(
            task,
            seed,
            success=self._status['success'] == 'True',
            steps=int(self._status['step']),
            begin_ns=int(self._status['begin_ns']),
            end_ns=int(self._status['stamp_ns']),
            latencies=self._latencies(),
        )

    def _announced(self, episode: int) -> str:
        """Return what an episode is to do, in words that may change with its scene."""
        self._wait(
            lambda: int(self._status.get('episode', 0)) >= episode,
            f'episode {episode} on sim_node/status',
        )
        return self._status['instruction']

    def _wait_for_instruction(self, text: str) -> None:
        """Wait until the policy follows a text, in its own spelling."""
        spellings = Instructions((text,))

        def answered() -> bool:
            active = self._active_instruction
            return active is not None and (not active or spellings.known(active) is not None)

        self._wait(answered, 'policy_node on active_instruction')
        if not self._active_instruction:
            raise SimulationError(f"policy_node refuses the instruction '{text}'; its log says why")

    def _wait_for_the_end(self, episode: int) -> None:
        def seen() -> tuple[int, int]:
            return int(self._status.get('episode', 0)), int(self._status.get('step', 0))

        def done() -> bool:
            return seen()[0] >= episode and self._status['done'] == 'True'

        while not done():
            before = seen()
            self._wait(
                lambda before=before: done() or seen() != before,  # type: ignore[misc]
                f'progress of episode {episode} on sim_node/status (last: {before})',
            )

    def _latencies(self) -> dict[str, float]:
        self._diagnostics.clear()
        for name in MANAGED:
            self._enable(name, False)  # a node publishes its diagnostics with this
        namespace = self._node.get_namespace().strip('/')
        names = [f'{namespace}/{name}'.strip('/') for name in MANAGED]
        for name in names:
            self._wait(lambda name=name: name in self._diagnostics, f'/diagnostics of {name}')  # type: ignore[misc]
        return {
            key: float(value)
            for name in names
            for key, value in self._diagnostics[name].items()
            if key.endswith(('_ms', '_count'))
        }

    def _enable(self, name: str, enabled: bool) -> None:
        deadline = time.monotonic() + self._timeout_s
        while True:
            response = self._call(SetBool, f'{name}/enable', SetBool.Request(data=enabled))
            if response.success:
                return
            if self._failed() or time.monotonic() > deadline:
                raise SimulationError(f'{name}/enable: {response.message}')
            self._executor.spin_once(timeout_sec=0.1)  # it is still loading its policy

    def _trigger(self, name: str) -> str:
        response = self._call(Trigger, name, Trigger.Request())
        if not response.success:
            raise SimulationError(f'{name}: {response.message}')
        return str(response.message)

    def _set_parameters(self, name: str, values: Mapping[str, Any]) -> None:
        request = SetParameters.Request(
            parameters=[Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        )
        response = self._call(SetParameters, f'{name}/set_parameters', request)
        reasons = [result.reason for result in response.results if not result.successful]
        if reasons:
            raise SimulationError(f'{name}: {"; ".join(reasons)}')

    def _call(self, kind: Any, name: str, request: Any) -> Any:
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, name)
        client = self._clients[name]
        self._wait(client.service_is_ready, f'the service {name}')
        futures: list[Any] = []
        asked_s = -RESEND_S

        def answered() -> bool:
            nonlocal asked_s
            if time.monotonic() > asked_s + RESEND_S:
                asked_s = time.monotonic()
                futures.append(client.call_async(request))
            return any(future.done() for future in futures)

        self._wait(answered, f'the service {name}')
        return next(future.result() for future in futures if future.done())

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        begin_s = time.monotonic()
        said = False
        while not condition():
            waited_s = time.monotonic() - begin_s
            if self._failed():
                raise SimulationError(f'no answer from {what}')
            if waited_s > NOTICE_S and not said:
                said = True
                _log.info('waiting for %s: its node still starts, or the machine is busy', what)
            if waited_s > self._timeout_s:
                raise SimulationError(
                    f'no answer from {what} within {self._timeout_s:g} s; is its node running, in '
                    'this ROS domain, and active?'
                )
            self._executor.spin_once(timeout_sec=0.1)

    def _on_status(self, message: DiagnosticStatus) -> None:
        self._status = {item.key: item.value for item in message.values}

    def _on_active(self, message: String) -> None:
        self._active_instruction = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._diagnostics[status.name] = {item.key: item.value for item in status.values}

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()

    def __enter__(self) -> EpisodeRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
