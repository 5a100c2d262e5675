"""Episodes begun and ended by keys and by services, while topics go on."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Int64, String
from std_srvs.srv import Trigger
from support.patience import PATIENCE_S

from robomamba_ros.bags.episodes import EpisodeRecording
from robomamba_ros.bags.reader import Bag
from robomamba_ros.nodes.clients.bag_recorder import BagRecorder
from robomamba_ros.nodes.clients.episode_control import EpisodeControl, pressed_keys


def contents(folder: Path) -> list[Any]:
    with Bag(folder) as bag:
        return [message.content.data for message in bag.messages([*bag.topics])]


def test_a_pedal_and_a_key_do_the_same(peer, tmp_path) -> None:
    episodes = EpisodeRecording(tmp_path / 'drawer', 'mcap', 1 << 20)
    said: list[str] = []
    node = BagRecorder(['/number', '/robot'], episodes, lambda text: None)
    control = EpisodeControl(node, episodes, said.append)
    peer.also_spin(node)
    try:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        robot = peer.node.create_publisher(String, '/robot', latched)
        robot.publish(String(data='urdf'))
        number = peer.node.create_publisher(Int64, '/number', 10)
        peer.wait_for(lambda: number.get_subscription_count() > 0, 'the recorder')
        peer.wait_for(lambda: node.seen == 1, 'what was latched')

        def send(value: int) -> None:
            seen = node.seen
            number.publish(Int64(data=value))
            peer.wait_for(lambda: node.seen > seen, 'the number')

        def call(name: str) -> Any:
            client = peer.node.create_client(Trigger, f'/robomamba_record/{name}')
            peer.wait_for(client.service_is_ready, name)
            future = client.call_async(Trigger.Request())
            peer.wait_for(future.done, name)
            return future.result()

        send(1)
        assert call('begin').message == 'episode 000 begins'
        send(2)
        answer = call('keep')
        assert re.fullmatch(
            r'episode 000 is kept: [\d.]+ s, 2 messages; 1 of this session', answer.message
        )
        send(3)
        assert (call('keep').success, call('keep').message) == (
            False,
            'no episode is being recorded',
        )
        control.press('x ')
        send(4)
        control.press(' ')
        control.press(' ')
        control.press(' ')
        control.press('d')
        assert not control.finished
        control.press('q')
        assert control.finished
    finally:
        node.destroy_node()
    assert contents(tmp_path / 'drawer/000') == ['urdf', 2]
    assert contents(tmp_path / 'drawer/001') == ['urdf', 4]
    assert [path.name for path in sorted((tmp_path / 'drawer').iterdir())] == ['000', '001']
    assert said[-2].endswith('2 is kept: 0.0 s, 1 messages; 3 of this session; NOTHING of /number')
    assert said[-1] == '\aepisode 002 is discarded'


def test_keys_come_one_by_one_and_the_terminal_is_left_as_it_was(monkeypatch) -> None:
    terminal, inside = pty.openpty()
    with os.fdopen(inside, 'r') as stdin:
        monkeypatch.setattr(sys, 'stdin', stdin)
        before = termios.tcgetattr(inside)
        with pressed_keys() as keys:
            assert keys() == ''
            os.write(terminal, b' d')
            assert keys() == ' d'
        assert termios.tcgetattr(inside) == before
    os.close(terminal)


def test_the_command_records_the_task_and_keeps_what_runs_at_its_end(tmp_path) -> None:
    arguments = ['record', '--episodes', '/nothing', '--task', 'Open the drawer', '-o', 'drawer']
    done = subprocess.run(
        [sys.executable, '-m', 'robomamba_ros', *arguments],
        input=' q',
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, 'drawer: 1 episodes\n')
    assert 'the last episode was being recorded when this ended' in done.stderr
    assert contents(tmp_path / 'drawer/000') == ['Open the drawer']


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['/a', '--task', 'x'], '--task is written into episodes'),
        (['--episodes', '/a', '--task', ' '], 'task'),
        (['/a', '--take-over'], '--take-over marks parts of episodes'),
    ],
)
def test_a_mistake_is_named(arguments, said, capsys, tmp_path, monkeypatch) -> None:
    from robomamba_ros.cli.main import main

    monkeypatch.chdir(tmp_path)
    assert main(['record', *arguments]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
