"""The benchmark of control periods times every one, and tells those with a chunk or a stop."""

from __future__ import annotations

from collections import Counter

import pytest

from robomamba_ros.benchmarks.periods import CHUNKS, row, run
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import ActionSpace

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')


@pytest.mark.parametrize('space', [ActionSpace.EE_DELTA, ActionSpace.JOINT_DELTA])
def test_every_period_is_timed_with_what_came_in_it(space) -> None:
    took = run(load_arm('so101'), space)
    # Five chunks, half a second each, and the stop.
    assert Counter(event for _, event in took) == {'': 144, 'chunk': CHUNKS, 'stop': 1}
    assert all(took_s > 0.0 for took_s, _ in took)


def test_a_row_has_the_period_and_five_times() -> None:
    cells = [cell.strip() for cell in row('so101', ActionSpace.EE_DELTA, 1).strip('|').split('|')]
    assert cells[:3] == ['`so101`', '20', 'ee_delta']
    assert len([float(cell) for cell in cells[3:]]) == 5
