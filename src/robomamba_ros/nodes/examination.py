"""Gathers the facts that the doctor judges, from the live graph and from a policy.

Publishes nothing, and calls nothing but the parameter services of controllers: the arm cannot move
by it. Knows nothing about what is right or wrong.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.action.graph import get_action_server_names_and_types_by_node
from rclpy.duration import Duration, Infinite
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from robomamba_ros.bringup import arm_remappings
from robomamba_ros.data.state_messages import nanoseconds
from robomamba_ros.doctor.facts import (
    ClockFacts,
    Endpoint,
    Facts,
    PolicyFacts,
    Stream,
    Topic,
    Wanted,
    wanted_inputs,
    wanted_output,
)
from robomamba_ros.doctor.outputs import CONTROLLER_PARAMETERS
from robomamba_ros.errors import RoboMambaError
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.timed_policy import timed
from robomamba_ros.policies.base import Gives, LoadOptions, fake_observation
from robomamba_ros.resources import checkpoint_directory
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS

# Inferences that are timed.
TRIALS = 10
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
        trials = TRIALS if policy.spec.gives is Gives.CHUNKS else 0
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
        listeners = {wanted.name: _Listener(node, wanted) for wanted in inputs}
        start_s = _now_s(node)
        _spin(executor, seconds, lambda: False)
        graph = _Graph(node)
        outputs = [wanted_output(output) for output in arm.outputs]
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
            parameters=_parameters(node, executor, controllers),
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


class _Listener:
    """Notes when the messages of a topic come, and keeps the last ones."""

    def __init__(self, node: Node, wanted: Wanted) -> None:
        self._node = node
        self._arrivals_s: deque[float] = deque(maxlen=KEPT)
        self._ages_s: deque[float] = deque(maxlen=KEPT)
        # Of images the newest will do.
        kept = 1 if wanted.name.startswith('camera/') else KEPT
        self._messages: deque[Any] = deque(maxlen=kept)
        package, _, name = wanted.type.partition('/msg/')
        kind = getattr(import_module(f'{package}.msg'), name)
        node.create_subscription(kind, wanted.name, self._take, _profile(wanted))

    def _take(self, message: Any) -> None:
        now_s = _now_s(self._node)
        self._arrivals_s.append(now_s)
        if hasattr(message, 'header'):
            self._ages_s.append(now_s - nanoseconds(message.header.stamp) / NANOSECONDS)
        self._messages.append(message)

    def stream(self) -> Stream:
        """Return what has come by now."""
        return Stream(
            tuple(self._arrivals_s),
            tuple(self._ages_s),
            tuple(self._messages),
            _now_s(self._node),
        )


def _profile(wanted: Wanted) -> QoSProfile:
    """Return the quality of service by which the nodes read a topic."""
    if wanted.name in ('instruction', 'robot_description'):
        return qos.LATCHED
    return qos.camera('realtime') if wanted.name.startswith('camera/') else qos.state('realtime')


class _Graph:
    """Who publishes and who reads, without this node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        types = {name: tuple(kinds) for name, kinds in node.get_topic_names_and_types()}
        self.published = {n: t for n, t in types.items() if node.count_publishers(n)}
        self.read = {n: t for n, t in types.items() if self._readers(n)}

    def _readers(self, topic: str) -> list[Any]:
        infos = self._node.get_subscriptions_info_by_topic(topic)
        return [info for info in infos if _full_name(info) != self._node.get_fully_qualified_name()]

    def writers(self, topic: str) -> tuple[str, ...]:
        """Return the nodes that publish a topic."""
        infos = self._node.get_publishers_info_by_topic(topic)
        return tuple(sorted(_full_name(info) for info in infos))

    def topic(self, wanted: Wanted) -> Topic:
        """Return a topic with everybody's quality of service held against that of the nodes."""
        node, ours = self._node, _profile(wanted)
        writers = tuple(
            Endpoint(_full_name(i), i.topic_type, _mismatch(i.qos_profile, ours))
            for i in node.get_publishers_info_by_topic(wanted.name)
        )
        readers = tuple(
            Endpoint(_full_name(i), i.topic_type, _mismatch(qos.COMMAND, i.qos_profile))
            for i in self._readers(wanted.name)
        )
        return Topic(node.resolve_topic_name(wanted.name), writers, readers)

    def actions(self) -> Mapping[str, tuple[str, ...]]:
        """Return the nodes that serve each action."""
        servers: dict[str, tuple[str, ...]] = {}
        for name, namespace in self._node.get_node_names_and_namespaces():
            for action, _ in get_action_server_names_and_types_by_node(self._node, name, namespace):
                servers[action] = (*servers.get(action, ()), f'{namespace.rstrip("/")}/{name}')
        return servers


def _full_name(info: Any) -> str:
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def _mismatch(writer: QoSProfile, reader: QoSProfile) -> str:
    compatibility, reason = qos_check_compatible(_spelled_out(writer), _spelled_out(reader))
    return str(reason).replace('ERROR: ', '') if compatibility == QoSCompatibility.ERROR else ''


def _spelled_out(profile: QoSProfile) -> QoSProfile:
    """Return a profile as it is seen on the graph: without a deadline and a lease they are endless.

    A profile that was just made leaves both at 0, which the comparison takes for a time.
    """
    return QoSProfile(
        depth=1,
        reliability=profile.reliability,
        durability=profile.durability,
        deadline=_or_endless(profile.deadline),
        liveliness_lease_duration=_or_endless(profile.liveliness_lease_duration),
    )


def _or_endless(duration: Duration) -> Duration:
    return duration if duration.nanoseconds else Infinite


def _parameters(
    node: Node, executor: SingleThreadedExecutor, controllers: set[str]
) -> dict[str, dict[str, Any]]:
    """Return what controllers say about themselves; those that say nothing are left out."""
    services = {name for name, _ in node.get_service_names_and_types()}
    asked = {}
    for controller in sorted(controllers):
        service = f'{controller}/get_parameters'
        if service not in services:
            continue
        client = node.create_client(GetParameters, service)
        for name in CONTROLLER_PARAMETERS:
            # One by one: a name that a node does not have empties the whole answer.
            asked[controller, name] = client.call_async(GetParameters.Request(names=[name]))
    _spin(executor, PATIENCE_S, lambda: all(future.done() for future in asked.values()))
    found: dict[str, dict[str, Any]] = {}
    for (controller, name), future in asked.items():
        if future.done() and future.result().values:
            value = parameter_value_to_python(future.result().values[0])
            found.setdefault(controller, {})[name] = value
    return found
