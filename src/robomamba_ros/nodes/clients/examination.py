"""Gathers the facts that the doctor judges, from the live graph and from a policy.

Publishes nothing, and calls nothing but the parameter services of controllers: the arm cannot move
by it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String

from robomamba_ros.bringup.topics import arm_remappings
from robomamba_ros.doctor.facts import (
    STRING,
    ClockFacts,
    Facts,
    PolicyFacts,
    Stream,
    Wanted,
    wanted_inputs,
    wanted_output,
)
from robomamba_ros.doctor.outputs import is_controller
from robomamba_ros.errors import RoboMambaError
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.nodes.clients.graph_facts import GraphFacts, reading_profile
from robomamba_ros.nodes.common.readers import readers_of
from robomamba_ros.nodes.common.text_input import TextInput
from robomamba_ros.policies.base import LoadOptions, OutputKind, fake_observation
from robomamba_ros.policies.location import checkpoint_directory
from robomamba_ros.policies.timed import timed
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS

# Inferences that are timed.
TRIALS = 10
# How long nodes may take to be seen [s]; a busy machine needs more than a second.
DISCOVERY_S = 5.0
# How long a controller may take to say its parameters [s].
PATIENCE_S = 2.0
# Messages of a stream that are kept at most.
KEPT = 10_000


def try_policy(name: str, options: LoadOptions, execute_steps: int = 0) -> PolicyFacts:
    """Return what a policy needs and how long its inferences take, or why it does not run."""
    try:
        # Imported here: an arm can be examined on a machine without torch.
        from robomamba_ros.policies.registry import load_policy

        policy = timed(load_policy(checkpoint_directory(name), **vars(options)))
        policy.warm_up()
        trials = TRIALS if policy.spec.output_kind is OutputKind.CHUNKS else 0
        for seed in range(trials):
            policy.infer(fake_observation(policy.spec, seed))
    except (RoboMambaError, ImportError) as error:
        return PolicyFacts(name, str(error))
    durations = tuple(policy.latencies['inference'].durations.tolist())
    return PolicyFacts(policy.spec.name, '', policy.spec, execute_steps, durations)


def gather(
    arm: ArmContract,
    policy: PolicyFacts | None,
    *,
    namespace: str = '',
    seconds: float = 5.0,
    use_sim_time: bool = False,
    ros_arguments: Sequence[str] = (),
) -> Facts:
    """Return what can be seen of an arm in `seconds` of wall time; needs rclpy initialised."""
    node = _node(arm, namespace, use_sim_time, ros_arguments)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        spec = None if policy is None else policy.spec
        inputs = wanted_inputs(arm, spec)
        words = Wanted('instruction', 'instruction', STRING)
        listeners = {wanted.name: _Listener(node, wanted) for wanted in (*inputs, words)}
        outputs = [wanted_output(output) for output in arm.outputs]
        _spin(executor, DISCOVERY_S, lambda: _discovered(node, inputs, outputs))
        for listener in listeners.values():
            listener.restart()
        start_s = _now_s(node)
        _spin(executor, seconds, lambda: False)
        graph = GraphFacts(node)
        wanted = (*inputs, *outputs, Wanted('instruction', 'instruction', ''))
        topics = {each.name: graph.topic(each) for each in wanted}
        controllers = {reader.node for each in outputs for reader in topics[each.name].readers}
        return Facts(
            arm=arm,
            seconds=seconds,
            clock=ClockFacts(use_sim_time, graph.writers('/clock'), _now_s(node) - start_s),
            topics=topics,
            streams={name: listener.stream() for name, listener in listeners.items()},
            published=graph.published,
            read=graph.read,
            actions=graph.actions(),
            parameters=graph.parameters(
                controllers, lambda done: _spin(executor, PATIENCE_S, done)
            ),
            policy=policy,
        )
    finally:
        executor.shutdown()
        node.destroy_node()


def _node(arm: ArmContract, namespace: str, simulated: bool, ros_arguments: Sequence[str]) -> Node:
    rules = [f'{name}:={topic}' for name, topic in arm_remappings(arm).items()]
    return Node(
        'doctor',
        namespace=namespace,
        # The user's come first, and the first that fits counts: as for the nodes themselves.
        cli_args=['--ros-args', *ros_arguments, *(word for rule in rules for word in ('-r', rule))],
        parameter_overrides=[Parameter('use_sim_time', value=simulated)],
        start_parameter_services=False,
        enable_rosout=False,
        use_global_arguments=False,
    )


def _now_s(node: Node) -> float:
    return float(node.get_clock().now().nanoseconds / NANOSECONDS)


def _spin(executor: SingleThreadedExecutor, seconds: float, done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0 and not done():
        executor.spin_once(timeout_sec=min(left_s, 0.1))


def _discovered(node: Node, inputs: Sequence[Wanted], outputs: Sequence[Wanted]) -> bool:
    """Return whether every topic has what the nodes need on its other side; an action is none."""
    # Nodes of rclpy count what has a name, whatever it is remapped to.
    resolved = node.resolve_topic_name
    return all(node.count_publishers(resolved(wanted.name)) for wanted in inputs) and all(
        # A controller_node that runs reads along.
        any(not is_controller(name) for name in readers_of(node, resolved(wanted.name)))
        for wanted in outputs
        if wanted.type
    )


class _Listener:
    """Notes when the messages of a topic come, and keeps the last ones."""

    def __init__(self, node: Node, wanted: Wanted) -> None:
        self._node = node
        self._arrivals_s: deque[float] = deque(maxlen=KEPT)
        self._ages_s: deque[float] = deque(maxlen=KEPT)
        # Of images the newest will do.
        kept = 1 if wanted.name.startswith('camera/') else KEPT
        self._messages: deque[Any] = deque(maxlen=kept)
        if wanted.type == STRING:
            TextInput(node, wanted.name, lambda text: self._take(String(data=text)))
            return
        package, _, name = wanted.type.partition('/msg/')
        kind = getattr(import_module(f'{package}.msg'), name)
        node.create_subscription(kind, wanted.name, self._take, reading_profile(wanted))

    def _take(self, message: Any) -> None:
        now_s = _now_s(self._node)
        self._arrivals_s.append(now_s)
        if hasattr(message, 'header'):
            self._ages_s.append(now_s - nanoseconds(message.header.stamp) / NANOSECONDS)
        self._messages.append(message)

    def restart(self) -> None:
        """Forget when messages came: while nodes find each other they come in bursts."""
        self._arrivals_s.clear()
        self._ages_s.clear()

    def stream(self) -> Stream:
        """Return what has come by now."""
        return Stream(
            tuple(self._arrivals_s),
            tuple(self._ages_s),
            tuple(self._messages),
            _now_s(self._node),
        )
