"""What ROS refuses is one line: a name, an argument, an enclave, of a node and of a command."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
from rclpy.node import Node

from robomamba_ros.cli.main import main
from robomamba_ros.nodes.common.host import Host

# rclpy's own, of a node that it could not make.
pytestmark = pytest.mark.filterwarnings('ignore:Failed to fini rosout:RuntimeWarning')


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['doctor', '--arm', 'ur5e', '--namespace', 'a b'], 'ROS refuses .*Invalid namespace'),
        (['doctor', '--arm', 'ur5e', '--ros-args', '--bad'], 'ROS refuses .*--bad'),
        (['record', 'x', '--namespace', '1x'], 'ROS refuses .*Invalid namespace'),
    ],
)
def test_a_command_says_it_in_one_line(
    ros_environment: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    [line] = [x for x in capfd.readouterr().err.splitlines() if x.startswith('robomamba')]
    assert re.search(said, line)


def test_a_command_names_an_enclave_that_is_not_there(
    ros_environment: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(tmp_path))
    monkeypatch.setenv('ROS_SECURITY_ENCLAVE_OVERRIDE', '/doctor')
    assert main(['doctor', '--arm', 'ur5e']) == 2
    error = capfd.readouterr().err
    assert 'ROS refuses this process' in error
    assert f'{tmp_path}/enclaves/doctor' in error
    assert 'Traceback' not in error


def test_a_node_that_ros_refuses_ends_with_one_line(
    ros: None, capfd: pytest.CaptureFixture[str]
) -> None:
    with Host([partial(Node, 'fine', namespace='1x')]) as host:
        host.wait()
    [failure] = host.failures
    assert failure.startswith('ROS refuses the node: Invalid namespace')
    assert '\n' not in failure
    assert 'Traceback' not in capfd.readouterr().err
