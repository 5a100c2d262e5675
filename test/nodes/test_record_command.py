"""`robomamba record` as a process, ended in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.qos import QoSProfile
from std_msgs.msg import Int64, String
from support.patience import PATIENCE_S

from robomamba_ros.bags.reader import Bag
from robomamba_ros.cli.main import main
from robomamba_ros.errors import DataError

SOURCE = Path(__file__).parents[2] / 'src'


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, '-m', 'robomamba_ros', 'record', *arguments],
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(SOURCE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def publish(peer: Any, count: int, begin: int = 0) -> Any:
    """Publish numbers once somebody listens, and wait until all have arrived."""
    publisher = peer.node.create_publisher(Int64, '/number', QoSProfile(depth=count))
    peer.wait_for(lambda: publisher.get_subscription_count() > 0, 'the recorder')
    for i in range(begin, begin + count):
        publisher.publish(Int64(data=i))
    publisher.wait_for_all_acked()
    return publisher


def numbers(folder: Path) -> tuple[list[int], list[str]]:
    with Bag(folder) as bag:
        return [message.content.data for message in bag.messages(['/number'])], bag.warnings


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_whole_bag(start, peer, tmp_path, number) -> None:
    process = start('/number', '/never', '-o', 'bag')
    publish(peer, 300)
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert 'bag: 300 messages' in output
    assert '/never was never published' in output
    assert 'recording /number (std_msgs/msg/Int64)' in errors
    assert (tmp_path / 'bag' / 'metadata.yaml').is_file()
    assert numbers(tmp_path / 'bag') == (list(range(300)), [])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_killed_recorder_leaves_what_it_had_written(start, peer, tmp_path, storage) -> None:
    process = start('/number', '-o', 'bag', '--storage', storage)
    publisher = publish(peer, 300)
    found: list[int] = []

    def written() -> bool:
        if (tmp_path / 'bag').is_dir() and any((tmp_path / 'bag').iterdir()):
            publisher.publish(Int64(data=-1))
            try:
                found[:] = numbers(tmp_path / 'bag')[0]
            except DataError:  # nothing readable yet
                return False
        return len(found) >= 300

    peer.wait_for(written, 'the messages on disk')
    process.kill()
    process.wait()
    after, warnings = numbers(tmp_path / 'bag')
    assert after[:300] == list(range(300))
    assert 'metadata.yaml is missing: it was not closed' in ' '.join(warnings)


def test_a_duration_ends_it(start, peer, tmp_path) -> None:
    latched = peer.node.create_publisher(String, '/number', 1)
    process = start('--all', '-o', 'bag', '--duration', '0.2')
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert 'bag: ' in output
    assert (tmp_path / 'bag' / 'metadata.yaml').is_file()
    peer.node.destroy_publisher(latched)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((), 'one of the arguments TOPIC --all --arm is required'),
        (('--all', '/number'), 'not allowed with'),
        (('--arm', 'no_such_arm'), "no 'no_such_arm'"),
    ],
)
def test_a_mistake_is_one_line(capsys, arguments, message) -> None:
    try:
        status = main(['record', *arguments])
    except SystemExit as ended:
        status = ended.code
    errors = capsys.readouterr().err
    assert (status, message in errors) == (2, True), errors


def test_a_folder_that_exists_is_one_line(start) -> None:
    process = start('--all', '-o', '.')
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, output
    assert '. exists already' in errors
    assert 'Traceback' not in errors
