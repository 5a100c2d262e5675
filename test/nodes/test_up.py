"""`robomamba up` with a checkpoint on disk, from a shell's point of view."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from support.patience import PATIENCE_S

from robomamba_ros.cli.main import main
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.nodes.common import qos
from robomamba_ros.policies.anolevla.checkpoint import save
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.normalization import Affine, Normalization

SOURCE = Path(__file__).parents[2] / 'src'


POLICY = """
policy: anolevla
cameras: [{name: corner2, height: 64, width: 64}]
state_names: [ee_x, ee_y, ee_z, gripper]
action_space: ee_delta
action_names: [ee_dx, ee_dy, ee_dz, gripper]
horizon: 50
dt_ns: 12500000
execute_steps: 10
vision: {keypoints: {image_size: 32, keypoints: 4, d_condition: 8}}
language: {vocabulary: 300, length: 16}
backbone: {d_model: 32, n_layer: 2, d_state: 4}
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A network of random weights, small enough for a test."""
    folder = tmp_path / 'tiny'
    folder.mkdir()
    (folder / 'config.yaml').write_text(POLICY)
    config = read_config(folder / 'config.yaml', 'tiny')
    tokenizer = InstructionTokenizer.train(['Open a drawer'], vocabulary=300, length=16)
    torch.manual_seed(0)
    unit = Affine((0.0,) * 4, (1.0,) * 4)
    action = Affine((0.0, 0.0, 0.0, 0.5), (0.005, 0.005, 0.005, 0.5))
    scales = Normalization(state=unit, delta_state=unit, action=action)
    save(folder, config, AnoleVLA(config).state_dict(), tokenizer, scales)
    return str(folder)


def start(*arguments: str) -> subprocess.Popen[str]:
    program = 'import sys; from robomamba_ros.cli.main import main; sys.exit(main())'
    return subprocess.Popen(
        [sys.executable, '-c', program, 'up', *arguments],
        env={**os.environ, 'PYTHONPATH': str(SOURCE), 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def status_of(diagnostics: list[DiagnosticArray], name: str) -> list[DiagnosticStatus]:
    return [s for message in diagnostics for s in message.status if s.name == name]


def drives(diagnostics: list[DiagnosticArray], namespace: str = '') -> bool:
    """Tell whether the controller has followed the policy, and that the task's instruction."""
    # At any time: on a busy machine the arm waits for the policy between two chunks.
    tracking = {s.message for s in status_of(diagnostics, f'{namespace}controller_node')}
    said = [v for s in status_of(diagnostics, f'{namespace}policy_node') for v in s.values]
    return 'tracking' in tracking and 'Open a drawer' in {
        v.value for v in said if v.key == 'instruction'
    }


def test_up_drives_the_simulated_arm_under_the_users_names_until_ctrl_c(peer, checkpoint) -> None:
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    process = start(
        *('--policy', checkpoint, '--sim', 'drawer-open', '--mode', 'lockstep'),
        *('--namespace', 'left', '--ros-args', '-r', 'ee_pose:=/pose'),
    )
    try:
        peer.wait_for(lambda: drives(diagnostics, 'left/'), 'the controller to follow the policy')
        topics = {name for name, _ in peer.node.get_topic_names_and_types()}
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, 'Traceback' in errors) == (0, False), errors
    assert {'/pose', '/left/target_pose', '/left/clock'} <= topics
    # What config/rviz/policy.rviz shows.
    assert {'/left/predicted_path', '/left/markers'} <= topics
    assert topics.isdisjoint({'/left/ee_pose', '/clock'})
    assert {s.name for m in diagnostics for s in m.status} == {
        'left/policy_node',
        'left/controller_node',
    }


def test_up_drives_in_real_time_and_impatience_does_no_harm(peer) -> None:
    """`ros2 launch` too sends the signal again, to a process that has had it from the terminal."""
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    process = start('--policy', 'hold', '--sim', 'drawer-open')
    try:
        peer.wait_for(lambda: drives(diagnostics), 'the controller to follow the policy')
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
        _, errors = process.communicate()
    finally:
        process.kill()
    assert (process.returncode, 'Traceback' in errors) == (0, False), errors


def test_up_says_in_one_line_what_is_wrong(checkpoint, capsys) -> None:
    assert main(['up', '--policy', 'nowhere', '--sim', 'drawer-open']) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("robomamba up: there is no directory 'nowhere'")
    assert main(['up', '--policy', checkpoint, '--mode', 'lockstep']) == 2
    assert 'lockstep needs the simulation' in capsys.readouterr().err


def test_what_ros_cannot_read_is_no_traceback() -> None:
    process = start('--policy', 'hold', '--ros-args', '-r', 'camera')
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, 'Traceback' in errors) == (2, False), errors
    assert "Couldn't parse remap rule: '-r camera'" in errors


def test_up_ends_when_a_node_cannot_start() -> None:
    process = start('--policy', 'hold', '--sim', 'open-drawer')
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, 'Traceback' in errors) == (1, False), errors
    assert "unknown Meta-World task 'open-drawer'" in errors
