"""Facts about the graph: who publishes, who reads, with which quality of service, who serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.action.graph import get_action_server_names_and_types_by_node
from rclpy.duration import Duration, Infinite
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from robomamba_ros.doctor.facts import Endpoint, Topic, Wanted
from robomamba_ros.nodes.common import qos
from robomamba_ros.robots.controller_settings import CONTROLLER_PARAMETERS


def reading_profile(wanted: Wanted) -> QoSProfile:
    """Return the quality of service by which the nodes read a topic."""
    if wanted.name in ('instruction', 'robot_description'):
        return qos.TEXT
    return qos.camera('realtime') if wanted.name.startswith('camera/') else qos.state('realtime')


class GraphFacts:
    """Who publishes and who reads, without this node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        types = {name: tuple(kinds) for name, kinds in node.get_topic_names_and_types()}
        self.published = {n: t for n, t in types.items() if node.count_publishers(n)}
        self.read = {n: t for n, t in types.items() if self._readers(n)}

    def _readers(self, topic: str) -> list[Any]:
        infos = sorted(self._node.get_subscriptions_info_by_topic(topic), key=_full_name)
        return [info for info in infos if _full_name(info) != self._node.get_fully_qualified_name()]

    def writers(self, topic: str) -> tuple[str, ...]:
        """Return the nodes that publish a topic."""
        infos = self._node.get_publishers_info_by_topic(topic)
        return tuple(sorted(_full_name(info) for info in infos))

    def topic(self, wanted: Wanted) -> Topic:
        """Return a topic with everybody's quality of service held against that of the nodes."""
        node, ours = self._node, reading_profile(wanted)
        writers = tuple(
            Endpoint(_full_name(i), i.topic_type, _mismatch(i.qos_profile, ours))
            for i in sorted(node.get_publishers_info_by_topic(wanted.name), key=_full_name)
        )
        readers = tuple(
            Endpoint(_full_name(i), i.topic_type, _mismatch(qos.COMMAND, i.qos_profile))
            for i in self._readers(wanted.name)
        )
        return Topic(node.resolve_topic_name(wanted.name), writers, readers)

    def actions(self) -> dict[str, tuple[Endpoint, ...]]:
        """Return who serves each action, and as which type."""
        servers: dict[str, tuple[Endpoint, ...]] = {}
        for name, namespace in self._node.get_node_names_and_namespaces():
            with suppress(RuntimeError):  # of a node that has just gone
                for action, types in get_action_server_names_and_types_by_node(
                    self._node, name, namespace
                ):
                    server = Endpoint(f'{namespace.rstrip("/")}/{name}', ', '.join(types))
                    servers[action] = (*servers.get(action, ()), server)
        return servers

    def parameters(
        self, controllers: Iterable[str], spin_until: Callable[[Callable[[], bool]], None]
    ) -> dict[str, dict[str, Any]]:
        """Return what controllers say about themselves; those that say nothing are left out."""
        services = {name for name, _ in self._node.get_service_names_and_types()}
        asked = {}
        for controller in sorted(controllers):
            service = f'{controller}/get_parameters'
            if service not in services:
                continue
            client = self._node.create_client(GetParameters, service)
            for name in CONTROLLER_PARAMETERS:
                # One by one: a name that a node does not have empties the whole answer.
                asked[controller, name] = client.call_async(GetParameters.Request(names=[name]))
        spin_until(lambda: all(future.done() for future in asked.values()))
        found: dict[str, dict[str, Any]] = {}
        for (controller, name), future in asked.items():
            if future.done() and future.result().values:
                value = parameter_value_to_python(future.result().values[0])
                if value is not None:
                    found.setdefault(controller, {})[name] = value
        return found


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
