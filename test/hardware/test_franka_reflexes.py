"""An FR3 that was not made here: the limits of franka-sim, for what our FR3 is commanded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The Python of an environment of its own, as franka-sim needs an older NumPy and MuJoCo.
PYTHON = os.environ.get('ROBOMAMBA_FRANKA_SIM', '')
SCRIPT = Path(__file__).with_name('franka_reflexes.py')


@pytest.mark.skipif(
    not PYTHON,
    reason='needs ROBOMAMBA_FRANKA_SIM, the python of an environment of franka-sim: '
    'pip install franka-sim pylibfranka "numpy<2" "mujoco<3.3"',
)
def test_no_command_of_ten_storms_is_a_reflex(tmp_path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), 'record', str(tmp_path)], check=True)
    checked = subprocess.run(
        [PYTHON, str(SCRIPT), 'check', str(tmp_path)], capture_output=True, text=True
    )
    assert checked.stdout.count('no reflex') == 10, checked.stdout
    assert checked.returncode == 0
