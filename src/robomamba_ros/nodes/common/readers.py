"""Who reads a topic, besides the node itself."""

from __future__ import annotations

from typing import Any


def readers_of(node: Any, topic: str) -> set[str]:
    """Return the full names of the nodes that subscribe to a topic, without `node`."""
    infos = node.get_subscriptions_info_by_topic(topic)
    names = {f'{info.node_namespace.rstrip("/")}/{info.node_name}' for info in infos}
    return names - {node.get_fully_qualified_name()}
