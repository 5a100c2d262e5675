"""When a program came how far."""

import subprocess
import sys
import time

import pytest

from robomamba_ros.common.milestones import Milestones, process_start_s


def test_stages_follow_in_time_and_add_up() -> None:
    start = Milestones(100.0)
    start.reach('compiled', 107.0)
    start.reach('loaded', 103.0)
    start.reach('moved', 108.5)
    start.reach('moved', 120.0)  # the first one counts
    start.reach('later', 109.0)
    stages = start.stages_s('moved')
    assert stages == {'loaded': 3.0, 'compiled': 4.0, 'moved': 1.5}
    assert list(stages) == ['loaded', 'compiled', 'moved']
    assert start.stages_s('never') == {}


def test_the_start_of_the_process_is_the_systems() -> None:
    program = (
        'from robomamba_ros.common.milestones import process_start_s; print(process_start_s())'
    )
    before_s = time.monotonic()
    run = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    after_s = time.monotonic()
    # The system counts in hundredths.
    assert before_s - 0.02 <= float(run.stdout) <= after_s
    assert process_start_s() == pytest.approx(process_start_s(), abs=0.02)
    assert process_start_s() < before_s
