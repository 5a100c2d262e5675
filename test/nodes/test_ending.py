"""A process that is told to end while its policy loads, from a shell's point of view."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.patience import PATIENCE_S

SOURCE = Path(__file__).parents[2] / 'src'
# A shell starts what runs in the background with SIGINT ignored, and tests may run there: the
# programs of commands, which have no handler of ROS, take Python's own.
# A policy that is never loaded, in one process with a controller that is active.
PROGRAM = """
import sys
import threading
from functools import partial
from robomamba_ros.nodes.controller.controller_node import ControllerNode
from robomamba_ros.nodes.common.host import end_process, run
from robomamba_ros.nodes.policy.policy_node import PolicyNode

def never(*_):
    print('loading', flush=True)
    threading.Event().wait()

end_process(run([ControllerNode, partial(PolicyNode, load=never)], sys.argv))
"""
# The same in a command that is a client of its own nodes.
DEMO = """
import signal
import sys
import threading
from robomamba_ros.executables import robomamba
from robomamba_ros.nodes.policy import policy_node

signal.signal(signal.SIGINT, signal.default_int_handler)

def never(*_):
    print('loading', flush=True)
    threading.Event().wait()

policy_node.load_checkpoint = never
sys.argv[1:] = ['demo', '--mode', 'lockstep', '--output', *sys.argv[1:]]
robomamba()
"""
# One that is interrupted by what it imports first.
IMPORTING = """
import os
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from robomamba_ros import executables

class Interrupting:
    def find_spec(self, name, *_):
        if name == 'robomamba_ros.{module}':
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ['--help']
executables.{executable}()
"""


@pytest.mark.parametrize(
    ('executable', 'module'),
    [('policy_node', 'nodes.policy.policy_node'), ('robomamba', 'cli.main')],
)
def test_an_interrupt_while_it_imports_leaves_no_traceback(executable, module) -> None:
    program = IMPORTING.format(executable=executable, module=module)
    ended = subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, 'PYTHONPATH': str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, '', '')


@pytest.mark.parametrize(
    ('program', 'number', 'status'),
    [
        (PROGRAM, signal.SIGINT, 0),
        (PROGRAM, signal.SIGTERM, 0),
        (DEMO, signal.SIGINT, 130),
    ],
    ids=['nodes, SIGINT', 'nodes, SIGTERM', 'demo, SIGINT'],
)
def test_a_policy_that_loads_is_not_waited_for(
    ros_environment, tmp_path, program, number, status
) -> None:
    ros = ['-p', 'arm:=sawyer_sim', '-p', f'policy_node:checkpoint:={tmp_path}']
    arguments = ['--ros-args', *ros] if program is PROGRAM else [str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, '-c', program, *arguments],
        env={**os.environ, 'PYTHONPATH': str(SOURCE), 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert 'loading\n' in iter(process.stdout.readline, '')
        process.send_signal(number)
        # Only a hang reaches it: nobody ever ends the loading.
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, 'Traceback' in errors) == (status, False), errors
