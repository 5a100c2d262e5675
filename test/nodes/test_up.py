"""`robomamba up` with a checkpoint on disk, from a shell's point of view."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray

from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.nodes import qos
from robomamba_ros.policies.anolevla import AnoleVLA, AnoleVLAConfig
from robomamba_ros.policies.normalization import Affine, Normalization
from robomamba_ros.policies.registry import save_anolevla
from robomamba_ros.types import ActionSpace
from robomamba_ros.vision.preprocess import CropResize

SOURCE = Path(__file__).parents[2] / 'src'


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A network of random weights, small enough for a test."""
    tokenizer = InstructionTokenizer.train(['Open a drawer'], vocabulary=300, length=16)
    config = AnoleVLAConfig(
        cameras=('corner2',),
        crop=CropResize(source=64, left=0, top=0, side=64, target=32),
        state_names=('ee_x', 'ee_y', 'ee_z', 'gripper'),
        action_space=ActionSpace.EE_DELTA,
        action_names=('ee_dx', 'ee_dy', 'ee_dz', 'gripper'),
        horizon=50,
        dt_ns=12_500_000,
        execute_steps=10,
        vocabulary=tokenizer.vocabulary,
        instruction_length=16,
        d_model=32,
        n_layer=2,
        d_state=4,
        keypoints=4,
        d_condition=8,
    )
    torch.manual_seed(0)
    unit = Affine((0.0,) * 4, (1.0,) * 4)
    action = Affine((0.0, 0.0, 0.0, 0.5), (0.005, 0.005, 0.005, 0.5))
    scales = Normalization(state=unit, delta_state=unit, action=action)
    folder = tmp_path / 'tiny'
    save_anolevla(folder, config, AnoleVLA(config).state_dict(), tokenizer, scales)
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
            messages = {s.name: s for m in diagnostics for s in m.status}
            if not {'policy_node', 'controller_node'} <= set(messages):
                return False
            instruction = {v.key: v.value for v in messages['policy_node'].values}.get(
                'instruction'
            )
            tracking = messages['controller_node'].message == 'tracking'
            return instruction == 'Open a drawer' and tracking

        peer.wait_for(driven, 'the controller to follow the policy')
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, 'Traceback' in errors) == (0, False), errors


def test_up_says_in_one_line_what_is_wrong(checkpoint) -> None:
    process = start('--policy', 'nowhere', '--sim', 'drawer-open')
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("robomamba up: there is no directory 'nowhere'")
    process = start('--policy', checkpoint, '--mode', 'lockstep')
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, 'lockstep needs the simulation' in errors) == (2, True)


def test_up_ends_when_a_node_cannot_start(checkpoint) -> None:
    process = start('--policy', checkpoint, '--sim', 'open-drawer')
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, 'Traceback' in errors) == (1, False), errors
    assert "unknown Meta-World task 'open-drawer'" in errors
