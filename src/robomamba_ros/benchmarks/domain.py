"""A ROS domain of its own: a robot on the network, or another run, must not hear what is sent."""

from __future__ import annotations

import os
import socket

# Below the ports that Linux gives to programs by itself.
DOMAINS = 101


def free_domain() -> int:
    """Return a domain whose discovery port nobody on this machine holds.

    The search begins at a number of this process: of two that look at once, each finds another.
    Raises RuntimeError where all are in use.
    """
    for offset in range(DOMAINS):
        domain = 1 + (os.getpid() + offset) % DOMAINS
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('0.0.0.0', 7400 + 250 * domain + 10))
            except OSError:
                continue
            return domain
    raise RuntimeError('every ROS 2 domain of this machine is in use')


def keep_to_itself() -> None:
    """Let this process and those it starts talk on this machine alone, in a domain of their own.

    ROS_DOMAIN_ID, where it is set, names the domain.
    """
    os.environ.setdefault('ROS_DOMAIN_ID', str(free_domain()))
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
