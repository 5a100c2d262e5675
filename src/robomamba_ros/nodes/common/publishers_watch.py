"""Watches for topics that more nodes publish than should: two drivers, a bag beside the robot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Publishers:
    """Who publishes on the topics of a node, each with the number of publishers it may have.

    problems: by topic, those that have more, where it was so at two looks in a row: a node that
    has just left is still seen for a moment.
    """

    def __init__(self, node: Any, allowed: Mapping[str, int]) -> None:
        self._node = node
        self._allowed = dict(allowed)
        self._seen: dict[str, frozenset[tuple[int, ...]]] = {}
        self.problems: dict[str, str] = {}

    @property
    def problem(self) -> str:
        """All of them; '' for none."""
        return '; '.join(self.problems.values())

    def look(self) -> None:
        """Look at the graph; to be called a few times a second."""
        self.problems = {}
        for topic, allowed in self._allowed.items():
            publishers = {
                tuple(info.endpoint_gid): info
                for info in self._node.get_publishers_info_by_topic(topic)
            }
            before = self._seen.get(topic, frozenset())
            self._seen[topic] = frozenset(publishers)
            if len(before & self._seen[topic]) > allowed:
                names = sorted(
                    f'{info.node_namespace.rstrip("/")}/{info.node_name}'
                    for info in publishers.values()
                )
                self.problems[topic] = (
                    f'{self._node.resolve_topic_name(topic)} has {len(names)} publishers, '
                    f'{", ".join(names)}: end all but {allowed if allowed > 1 else "one"}; one '
                    'that was killed is still seen for some 20 s'
                )
