"""Ends nodes of tests whose time stands still."""

from __future__ import annotations

from unittest.mock import patch

from robomamba_ros.nodes.common import hosted_node
from robomamba_ros.nodes.common.host import Host


def end_at_once(*hosts: Host) -> None:
    """End the nodes of hosts; an arm that still moves is not waited for."""
    with patch.object(hosted_node, 'REST_S', 0.0):
        for host in hosts:
            host.stop()
