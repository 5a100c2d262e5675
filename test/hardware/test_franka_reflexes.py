"""An FR3 that was not made here: franka-sim, which obeys our commands or answers with a reflex."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The Python of an environment of its own, as franka-sim needs an older NumPy and MuJoCo.
PYTHON = os.environ.get('ROBOMAMBA_FRANKA_SIM', '')
SCRIPT = Path(__file__).with_name('franka_reflexes.py')

pytestmark = pytest.mark.skipif(
    not PYTHON,
    reason='needs ROBOMAMBA_FRANKA_SIM, the python of an environment of franka-sim: '
    'pip install franka-sim pylibfranka "numpy<2" "mujoco<3.3"',
)


def storms(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), PYTHON, *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_no_command_of_ten_storms_is_a_reflex() -> None:
    found = storms()
    assert found.stdout.count('no reflex') == 10, found.stdout + found.stderr
    assert found.returncode == 0


def test_with_limits_that_are_too_high_each_storm_is() -> None:
    found = storms('--limits', '20')
    assert '10 storms, 10 reflexes' in found.stdout, found.stdout + found.stderr
    assert found.returncode == 1
