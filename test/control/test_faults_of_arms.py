"""What an arm does other than it is told, for every shipped arm and kind of controller.

Whatever happens, nothing is commanded beyond a limit; ROBOMAMBA_ALL_FAULTS=1 tries every fault on
every arm, which takes minutes. `python test/support/faults.py` prints the numbers.
"""

from __future__ import annotations

import os

import pytest
from support.bench import ROUNDING
from support.faults import CELLS, FAULTS, applies, happen

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

ALL = os.environ.get('ROBOMAMBA_ALL_FAULTS') == '1'
# Each fault with each kind of controller, on one arm after the other.
_PLACES = [(fault, *cell) for fault in FAULTS for cell in CELLS if applies(fault, cell[1])]


def _some() -> list[tuple[str, str, str]]:
    found = []
    for index, fault in enumerate(FAULTS):
        for kind in sorted({kind for _, kind in CELLS if applies(fault, kind)}):
            arms = [arm for arm, of in CELLS if of == kind]
            found.append((fault, arms[index % len(arms)], kind))
    return found


CASES = _PLACES if ALL else _some()
GOES_ON = [case for case in CASES if not FAULTS[case[0]].noticed and not FAULTS[case[0]].at_rest]


@pytest.mark.parametrize(('fault', 'arm', 'kind'), GOES_ON)
def test_an_arm_that_is_as_arms_are_is_moved_on_within_its_limits(fault, arm, kind) -> None:
    found = happen(arm, kind, FAULTS[fault])
    assert found.noticed_s is None, found.reason
    assert found.worst <= 1.0 + ROUNDING, found.peaks
