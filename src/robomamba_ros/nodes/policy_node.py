"""The policy side: observations in, action chunks out.

PolicyLoop decides when to infer; this node carries messages to and from it. Knows nothing about
how chunks are executed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from nav_msgs.msg import Path as PathMessage
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from robomamba_ros.control.metrics import LatencyWindow
from robomamba_ros.control.policy_loop import InferenceThread, PolicyLoop
from robomamba_ros.errors import BackendError, RoboMambaError
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.chunk_messages import chunk_to_messages, predicted_path
from robomamba_ros.nodes.diagnostics import OK, WARN, Rate, Report, latency_values
from robomamba_ros.nodes.host import run
from robomamba_ros.nodes.lifecycle import ManagedNode
from robomamba_ros.nodes.parameter_tables import POLICY
from robomamba_ros.nodes.policy_inputs import PolicyInputs
from robomamba_ros.nodes.timed_policy import TimedPolicy
from robomamba_ros.policies.base import ChunkPolicy, LoadOptions
from robomamba_ros.resources import checkpoint_directory
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import ActionChunk

LoadPolicy = Callable[[Path, LoadOptions], ChunkPolicy]


def load_checkpoint(directory: Path, options: LoadOptions) -> ChunkPolicy:
    """Return the policy of a checkpoint; raises CheckpointError, BackendError."""
    try:
        # Imported here, so that a missing torch is one line and not a traceback at start.
        from robomamba_ros.policies.registry import load_chunk_policy
    except ImportError as error:
        raise BackendError(
            f"the policy node needs the package '{error.name}': pip install 'robomamba_ros[policy]'"
        ) from error
    return load_chunk_policy(directory, options)


class PolicyNode(ManagedNode):
    """Infers chunks; publishes `action_chunk`, `joint_chunk`, `predicted_path`.

    load: makes the policy of a checkpoint directory, running as the parameters say.
    realtime: inference has a thread of its own, so that no callback waits for it. lockstep: infers
    in the callback that completes the observation, because simulated time waits anyway.
    """

    def __init__(self, *, load: LoadPolicy = load_checkpoint, **node_options: Any) -> None:
        self._load = load
        self._thread: InferenceThread | None = None
        self._inputs: PolicyInputs | None = None
        self._outputs: list[Any] = []
        super().__init__('policy_node', POLICY, **node_options)

    def configure(self, parameters: Mapping[str, Any]) -> None:
        """Load the arm and the policy, warm up, connect."""
        self._arm = arm = load_arm(parameters['arm'])
        directory = checkpoint_directory(parameters['checkpoint'])
        options = LoadOptions(
            **{field.name: parameters[field.name] for field in fields(LoadOptions)}
        )
        self._policy = TimedPolicy(self._load(directory, options))
        spec = self._policy.spec
        self._policy.warm_up()
        self._enabled = False
        self._problem = ''
        self._chunks = 0
        self._newest_ns = 0
        self._last: tuple[int, Any, Any] | None = None
        self._latency = LatencyWindow()
        mode = parameters['mode']
        self._lockstep = mode == 'lockstep'
        self._inputs = PolicyInputs(self, arm, spec, mode, self._on_data, self.warn)
        steps = parameters['execute_steps'] or spec.execute_steps
        self._loop = PolicyLoop(self._policy, self._inputs.buffer, execute_steps=steps)
        self._outputs = [
            self.create_publisher(MultiDOFJointTrajectory, 'action_chunk', qos.COMMAND),
            self.create_publisher(JointTrajectory, 'joint_chunk', qos.COMMAND),
            self.create_publisher(PathMessage, 'predicted_path', qos.COMMAND),
        ]
        self._rates = {'chunk': Rate(), **{name: Rate() for name in self._inputs.cameras}}
        if parameters['instruction']:
            self._inputs.set_instruction(parameters['instruction'])
        if not self._lockstep:
            self._thread = InferenceThread(
                self._loop, self._now_ns, self._publish, self._on_inference_error
            )
            self._thread.start()

    def teardown(self) -> None:
        """Stop inference and disconnect."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
        if self._inputs is not None:
            self._inputs.destroy()
            self._inputs = None
        while self._outputs:
            self.destroy_publisher(self._outputs.pop())

    def enable(self, enabled: bool) -> None:
        """Infer from the next observation on, or stop inferring."""
        self._enabled = enabled
        self._on_data(self._newest_ns)

    def reset(self) -> None:
        """Forget the episode; the instruction stays."""
        if self._thread is not None:
            self._thread.reset()
        else:
            self._loop.reset()
        self._last = None
        self._chunks = 0
        self._latency = LatencyWindow()

    def _on_data(self, stamp_ns: int) -> None:
        self._newest_ns = max(self._newest_ns, stamp_ns)
        if not self._enabled:
            return
        if self._thread is not None:
            self._thread.notify()
        elif self._last is not None and stamp_ns == self._last[0]:
            # The simulation still waits at this stamp: the controller may have missed the chunk.
            self._send(*self._last[1:])
        else:
            self._infer_in_lockstep()

    def _infer_in_lockstep(self) -> None:
        try:
            if self._loop.due(self._now_ns()):
                self._publish(self._loop.infer(self._now_ns()))
        except RoboMambaError as error:
            self._on_inference_error(error)

    def _publish(self, chunk: ActionChunk) -> None:
        if not self._enabled or self._inputs is None:  # since this inference began
            return
        targets, joints = chunk_to_messages(chunk, self._arm.base_frame)
        self._send(targets, joints)
        self._last = (chunk.stamp_ns, targets, joints)
        self._chunks += 1
        self._problem = ''
        arrived_s = self._inputs.arrived_s(chunk.stamp_ns)
        if arrived_s is not None:
            self._latency.add(time.monotonic() - arrived_s)
        path, state = self._outputs[2], self._inputs.state
        if state is not None and path.get_subscription_count():
            path.publish(predicted_path(chunk, state.pose, self._arm.base_frame))

    def _send(self, targets: Any, joints: Any) -> None:
        self._outputs[0].publish(targets)
        self._outputs[1].publish(joints)

    def _on_inference_error(self, error: Exception) -> None:
        self._problem = str(error)
        self.warn(error)

    def _now_ns(self) -> int:
        # In lockstep time is what the newest message says: it does not pass between them.
        return self._newest_ns if self._lockstep else int(self.get_clock().now().nanoseconds)

    def report(self) -> Report:
        """Return state, instruction, rates and latencies."""
        assert self._inputs is not None
        waiting = '; '.join(self._inputs.buffer.problems(self._now_ns()))
        problem = self._problem or waiting
        state = 'waiting' if problem else 'inferring'
        values: dict[str, object] = {
            'state': state if self._enabled else 'disabled',
            'reason': problem,
            'policy': self._policy.spec.name,
            'instruction': self._inputs.instruction,
            'chunk_rate_hz': self._rates['chunk'].read(self._chunks),
        }
        for name, camera in self._inputs.cameras.items():
            values[f'{name}_rate_hz'] = self._rates[name].read(camera.count)
        values |= latency_values('inference', self._policy.latency)
        values |= latency_values('observation_to_chunk', self._latency)
        if not self._enabled:
            return Report(OK, 'disabled', values)
        message = f'{state}: {problem}' if problem else state
        return Report(WARN if problem else OK, message, values)


def main() -> None:
    """Run the node (console script `policy_node`)."""
    sys.exit(run([PolicyNode], sys.argv))
