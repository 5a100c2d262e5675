"""The policy side: observations in; action chunks, pose targets and answers out.

PolicyRunner decides when to infer; this node carries messages to and from it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import wraps
from pathlib import Path
from typing import Any

from robomamba_ros.common.metrics import LatencyWindow
from robomamba_ros.control.policy.fit import misfits
from robomamba_ros.control.policy.policy_runner import PolicyCallbacks, PolicyRunner, RunnerState
from robomamba_ros.errors import BackendError, ConfigError
from robomamba_ros.nodes.common.diagnostics import OK, WARN, Rate, Report, latency_values
from robomamba_ros.nodes.common.host import end_process, run
from robomamba_ros.nodes.common.lifecycle import ManagedNode
from robomamba_ros.nodes.common.parameter_tables import POLICY
from robomamba_ros.nodes.common.publishers_watch import Publishers
from robomamba_ros.nodes.policy.inputs import PolicyInputs
from robomamba_ros.nodes.policy.outputs import PolicyOutputs
from robomamba_ros.policies.base import LoadOptions, Policy
from robomamba_ros.policies.location import checkpoint_directory
from robomamba_ros.policies.timed import timed
from robomamba_ros.types import PolicyOutput

LoadPolicy = Callable[[Path, LoadOptions], Policy]


def load_checkpoint(directory: Path, options: LoadOptions) -> Policy:
    """Return the policy of a checkpoint; raises CheckpointError, BackendError."""
    try:
        # Imported here, so that a missing torch is one line and not a traceback at start.
        from robomamba_ros.policies.registry import load_policy
    except ImportError as error:
        raise BackendError(
            f"the policy node needs the package '{error.name}': pip install 'robomamba_ros[policy]'"
        ) from error
    return load_policy(directory, **asdict(options))


class PolicyNode(ManagedNode):
    """Runs a policy; PolicyInputs and PolicyOutputs have its topics.

    load: makes the policy of a checkpoint directory, running as the parameters say.
    """

    def __init__(self, *, load: LoadPolicy = load_checkpoint, **node_options: Any) -> None:
        self._load = load
        self._runner: PolicyRunner | None = None
        self._inputs: PolicyInputs | None = None
        self._outputs: PolicyOutputs | None = None
        super().__init__('policy_node', POLICY, **node_options)

    def create_subscription(
        self,
        msg_type: Any,
        topic: str,
        callback: Callable[..., None],
        qos_profile: Any,
        **options: Any,
    ) -> Any:
        """Subscribe, so that no message can end the node: one that raises counts as not come.

        Its stream then goes stale, and the arm stops for a reason that is named.
        """

        @wraps(callback)
        def take(*received: Any) -> None:
            try:
                callback(*received)
            except Exception as error:
                self.warn(RuntimeError(f'{topic}: {type(error).__name__}: {error}'))

        return super().create_subscription(msg_type, topic, take, qos_profile, **options)

    def configure(self, parameters: Mapping[str, Any]) -> None:
        """Load the arm and the policy, warm up, connect."""
        arm = self.load_arm(parameters)
        directory = checkpoint_directory(parameters['checkpoint'])
        options = LoadOptions(
            **{field.name: parameters[field.name] for field in fields(LoadOptions)}
        )
        self._policy = timed(self._load(directory, options))
        problems = misfits(self._policy.spec, arm)
        if problems:
            raise ConfigError('; '.join(problems))
        self._policy.warm_up()
        self._newest_ns = 0
        self._latency = LatencyWindow()
        mode = parameters['mode']
        self._lockstep = mode == 'lockstep'
        self._outputs = PolicyOutputs(self, arm, follow_targets=parameters['follow_targets'])
        self._inputs = PolicyInputs(self, arm, self._policy.spec, mode, self._on_data, self.warn)
        self._runner = PolicyRunner(
            self._policy,
            self._inputs.buffer,
            PolicyCallbacks(self._publish, self._outputs.withdraw, self._outputs.answer, self.warn),
            self._now_ns,
            execute_steps=parameters['execute_steps'],
            lockstep=self._lockstep,
        )
        self.writers = Publishers(self, self._inputs.topics)
        self._inputs.on_instruction = self._runner.ask
        self._inputs.on_question = self._runner.question
        self._rates = {name: Rate() for name in ('chunk', *self._inputs.counts)}
        if parameters['instruction']:
            self._inputs.set_instruction(parameters['instruction'])

    def teardown(self) -> None:
        """Stop inference and disconnect."""
        if self._runner is not None:
            self._runner.stop()
        for connections in (self._inputs, self._outputs):
            if connections is not None:
                connections.destroy()
        self._runner = self._inputs = self._outputs = None

    def enable(self, enabled: bool) -> None:
        """Infer from the next observation on, or stop inferring."""
        assert self._runner is not None
        self._runner.enable(enabled)
        self._on_data(self._newest_ns)

    def reset(self) -> None:
        """Forget the episode; the instruction stays."""
        assert self._runner is not None
        assert self._outputs is not None
        self._runner.reset()
        self._outputs.reset()
        self._latency = LatencyWindow()

    def _on_data(self, stamp_ns: int) -> None:
        self._newest_ns = max(self._newest_ns, stamp_ns)
        if self._runner is None or self._outputs is None:
            return
        # In lockstep the simulation still waits at this stamp: the controller may have missed it.
        waits = self._lockstep and self._runner.enabled
        if not (waits and self._outputs.repeat(stamp_ns)):
            self._runner.notify()

    def _publish(self, output: PolicyOutput) -> None:
        inputs, outputs = self._inputs, self._outputs
        then = None if inputs is None else inputs.buffer.state(output.stamp_ns)
        if inputs is None or outputs is None or inputs.state is None or then is None:
            return  # torn down or reset since this inference began
        now = inputs.state.pose
        outputs.publish(output, then, now, self._now_ns(), inputs.kinematics)
        arrived_s = inputs.arrived_s(output.stamp_ns)
        if arrived_s is not None:
            self._latency.add(time.monotonic() - arrived_s)

    def _now_ns(self) -> int:
        # In lockstep time is what the newest message says: it does not pass between them.
        return self._newest_ns if self._lockstep else int(self.get_clock().now().nanoseconds)

    def report(self) -> Report:
        """Return state, instruction, rates, ages and latencies."""
        runner, inputs, outputs = self._runner, self._inputs, self._outputs
        assert runner is not None
        assert inputs is not None
        assert outputs is not None
        now_ns = self._now_ns()
        status = runner.status(now_ns)
        reason = inputs.problem or status.reason
        values: dict[str, object] = {
            'state': status.state.value,
            'reason': reason,
            'policy': self._policy.spec.name,
            'instruction': inputs.buffer.instruction,
            'question_problem': status.question_problem,
            'cameras_absent': ', '.join(inputs.buffer.absent),
            'chunks_sent': outputs.chunks,
            'targets_sent': outputs.targets,
        }
        counts = {'chunk': outputs.chunks, **inputs.counts}
        for name, rate in self._rates.items():
            values[f'{name}_rate_hz'] = rate.read(counts[name])
        for name, age_s in inputs.buffer.ages_s(now_ns).items():
            values[f'{name}_age_s'] = age_s
        for name, latency in {**self._policy.latencies, 'image_to_chunk': self._latency}.items():
            values |= latency_values(name, latency)
        message = ': '.join(filter(None, (status.state.value, reason)))
        if status.question_problem:
            message = f'{message}; no answer: {status.question_problem}'
        bad = status.question_problem or status.state is RunnerState.WAITING
        return Report(WARN if bad else OK, message, values)


def main() -> None:
    """Run the node (console script `policy_node`)."""
    end_process(run([PolicyNode], sys.argv))
