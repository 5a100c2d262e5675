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
from diagnostic_msgs.msg import DiagnosticArray
from support.patience import PATIENCE_S

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


@pytest.mark.parametrize('mode', ['realtime', 'lockstep'])
def test_up_drives_the_simulated_arm_until_ctrl_c(peer, checkpoint, mode) -> None:
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    process = start('--policy', checkpoint, '--sim', 'drawer-open', '--mode', mode)
    try:

        def driven() -> bool:
            # At any time: on a busy machine the arm waits for the policy between two chunks.
            said = [status for message in diagnostics for status in message.status]
            tracking = {s.message for s in said if s.name == 'controller_node'}
            values = [v for s in said if s.name == 'policy_node' for v in s.values]
            instructions = {v.value for v in values if v.key == 'instruction'}
            return 'tracking' in tracking and 'Open a drawer' in instructions

        peer.wait_for(driven, 'the controller to follow the policy')
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, 'Traceback' in errors) == (0, False), errors


def test_up_says_in_one_line_what_is_wrong(checkpoint) -> None:
    process = start('--policy', 'nowhere', '--sim', 'drawer-open')
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert errors.startswith("robomamba up: there is no directory 'nowhere'")
    process = start('--policy', checkpoint, '--mode', 'lockstep')
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, 'lockstep needs the simulation' in errors) == (2, True)


def test_up_remaps_as_the_user_says(peer) -> None:
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    process = start(
        *('--policy', 'hold', '--sim', 'reach', '--namespace', 'left'),
        *('--ros-args', '-r', 'ee_pose:=/pose'),
    )
    try:
        peer.wait_for(
            lambda: {'tracking', 'inferring'} <= {s.message for m in diagnostics for s in m.status},
            'the controller to follow the policy',
        )
        topics = {name for name, _ in peer.node.get_topic_names_and_types()}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert {'/pose', '/left/target_pose', '/left/clock'} <= topics
    # What config/rviz/policy.rviz shows.
    assert {'/left/predicted_path', '/left/markers'} <= topics
    assert topics.isdisjoint({'/left/ee_pose', '/clock'})
    assert {s.name for m in diagnostics for s in m.status} == {
        'left/policy_node',
        'left/controller_node',
    }


def test_impatience_does_no_harm(peer) -> None:
    """`ros2 launch` too sends the signal again, to a process that has had it from the terminal."""
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    process = start('--policy', 'hold', '--sim', 'reach')
    peer.wait_for(lambda: diagnostics, 'the nodes')
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
    _, errors = process.communicate()
    assert (process.returncode, 'Traceback' in errors) == (0, False), errors


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
