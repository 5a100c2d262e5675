"""Tells of topics that two nodes publish at once, such as two drivers, or a bag beside the robot.

Knows nothing about what the topics are for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def duplicate_publishers(node: Any, topics: Iterable[str]) -> str:
    """Return which of `topics`, as `node` names them, have several publishers; '' where none."""
    found = []
    for topic in topics:
        publishers = node.get_publishers_info_by_topic(topic)
        if len(publishers) > 1:
            names = sorted(f'{p.node_namespace.rstrip("/")}/{p.node_name}' for p in publishers)
            found.append(
                f'{node.resolve_topic_name(topic)} has {len(names)} publishers, '
                f'{", ".join(names)}: end all but one'
            )
    return '; '.join(found)
