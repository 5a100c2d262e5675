"""The checkpoint that ships drives the simulated arm through the live nodes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from robomamba_ros.bringup.graph import PolicyOptions, SimOptions, sim_graph
from robomamba_ros.cli.main import main
from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import SimulationError
from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.nodes.clients.run_recorder import RunRecorder
from robomamba_ros.nodes.clients.simulated_graph import simulated_graph
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.metaworld import CAMERA, MetaWorldSim

CHECKPOINT = 'anolevla-mt10'
SOURCE = Path(__file__).parents[2] / 'src'


def test_the_same_episodes_in_process_and_over_topics(ros_environment) -> None:
    policy = load_policy(share_directory() / 'models' / CHECKPOINT)
    arm = load_arm('sawyer_sim')
    options = PolicyOptions(CHECKPOINT, mode='lockstep', enabled=True)
    episodes = [('drawer-close', 101), ('push', 103)]
    sim = MetaWorldSim('reach', 0)
    recorders = []

    def recorder() -> RunRecorder:
        recorders.append(RunRecorder(CAMERA))
        return recorders[0]

    specs = sim_graph(options, SimOptions('reach'))
    with simulated_graph(specs, extra=[recorder]) as runner:
        for task, seed in episodes:
            sim.reset(task, seed)
            expected = run_episode(sim, policy, arm, seed, execute_steps=10)
            result = runner.run(task, seed)
            assert (result.success, result.steps) == (expected.success, expected.steps)
            assert result.success
            seen = recorders[0].take(result.begin_ns, result.end_ns)
            np.testing.assert_array_equal(seen.commanded, expected.commanded)
            np.testing.assert_array_equal(seen.measured, expected.measured)
        with pytest.raises(SimulationError, match="refuses the instruction 'Pull a handle up'"):
            runner.run('handle-pull', 1)
    sim.close()


def demo(tmp_path, task: str) -> subprocess.CompletedProcess[str]:
    arguments = ['--tasks', task, '--mode', 'lockstep', '--output', str(tmp_path)]
    return subprocess.run(
        [sys.executable, '-m', 'robomamba_ros', 'demo', *arguments],
        env={**os.environ, 'PYTHONPATH': str(SOURCE)},
        capture_output=True,
        text=True,
    )


def test_the_demo_refuses_what_its_policy_was_not_trained_on(ros_environment, tmp_path, capsys):
    arguments = ['--tasks', 'handle-pull', '--mode', 'lockstep', '--output', str(tmp_path)]
    assert main(['demo', *arguments]) == 2
    refusal = "handle-pull: the instruction 'Pull a handle up' is none of the 10"
    assert refusal in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_demo_says_what_happened(ros_environment, tmp_path):
    task = 'drawer-close'
    done = demo(tmp_path, task)
    assert done.returncode == 0, done.stderr
    assert '1 of 1 episodes succeeded' in done.stdout
    assert 'start to first motion: ' in done.stdout
    page = (tmp_path / 'report.html').read_text()
    assert task in page
    assert (tmp_path / f'{task}.mp4').stat().st_size > 10_000
    numbers = json.loads((tmp_path / 'report.json').read_text())
    assert numbers['success']['total']['successes'] == 1
    stages = set(numbers['start_s'])
    assert stages >= {'modules imported', 'policy loaded', 'policy compiled', 'first motion'}
    assert min(numbers['start_s'].values()) >= 0.0
    # One for every tenth state, the first and the last one too.
    steps = numbers['episodes'][0]['steps']
    assert numbers['latency_ms']['inference']['count'] == steps // 10 + 1
