"""Runs side by side do not hear each other."""

import socket

from robomamba_ros.benchmarks import domain


def test_a_domain_that_somebody_uses_is_not_taken_and_one_that_is_named_stays(monkeypatch):
    first = domain.free_domain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as discovery:
        discovery.bind(('0.0.0.0', 7400 + 250 * first + 10))
        assert domain.free_domain() != first
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    monkeypatch.setenv('ROS_DOMAIN_ID', '42')
    domain.keep_to_itself()
    assert domain.os.environ['ROS_DOMAIN_ID'] == '42'
    assert domain.os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
