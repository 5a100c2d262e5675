"""Who reads topics, besides the node itself."""

from __future__ import annotations

from typing import Any


def readers_of(node: Any, *topics: str) -> set[str]:
    """Return the full names of the nodes that subscribe to any of `topics`, without `node`."""
    names = {
        f'{info.node_namespace.rstrip("/")}/{info.node_name}'
        for topic in topics
        for info in node.get_subscriptions_info_by_topic(topic)
    }
    return names - {node.get_fully_qualified_name()}
