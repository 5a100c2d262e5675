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
# Within which time the loop stops, and the arm and its command are at rest [s], for a policy that
# moves it at a fifth of its speed: a slower one is longer within the tolerance. A robot that is
# paused for two seconds comes to rest after them.
NOTICED_S, STILL_S = 1.0, 2.6


def _some() -> list[tuple[str, str, str]]:
    """Return each fault with each kind of controller, on one arm after the other."""
    found = []
    for index, fault in enumerate(FAULTS):
        kinds = {kind for arm, kind in CELLS if applies(fault, arm, kind)}
        for kind in sorted(kinds):
            arms = [arm for arm, of in CELLS if of == kind and applies(fault, arm, kind)]
            found.append((fault, arms[index % len(arms)], kind))
    return found


_EVERY = [(fault, *cell) for fault in FAULTS for cell in CELLS if applies(fault, *cell)]
CASES = [case for case in (_EVERY if ALL else _some()) if FAULTS[case[0]].held]
NOTICED = [case for case in CASES if FAULTS[case[0]].noticed]
AT_REST = [case for case in CASES if FAULTS[case[0]].at_rest]
GOES_ON = [case for case in CASES if case not in NOTICED and case not in AT_REST]


@pytest.mark.parametrize(('fault', 'arm', 'kind'), GOES_ON)
def test_an_arm_that_is_as_arms_are_is_moved_on_within_its_limits(fault, arm, kind) -> None:
    found = happen(arm, kind, FAULTS[fault])
    assert found.noticed_s is None, found.reason
    assert found.worst <= 1.0 + ROUNDING, found.peaks


@pytest.mark.parametrize(('fault', 'arm', 'kind'), NOTICED)
def test_an_arm_that_does_not_do_what_it_is_told_is_stopped_and_stays_so(fault, arm, kind) -> None:
    found = happen(arm, kind, FAULTS[fault])
    assert found.noticed_s is not None
    assert found.noticed_s <= NOTICED_S
    assert any(cause in found.reason for cause in FAULTS[fault].causes), found.reason
    assert not found.resumed
    assert found.still_s is not None
    assert found.still_s <= STILL_S
    assert found.worst <= 1.0 + ROUNDING, found.peaks
    # Enabled by somebody, it moves on from where it is.
    assert found.again


@pytest.mark.parametrize(('fault', 'arm', 'kind'), AT_REST)
def test_an_arm_that_was_moved_while_it_held_is_not_pulled_back(fault, arm, kind) -> None:
    found = happen(arm, kind, FAULTS[fault])
    assert not found.resumed
    assert found.worst <= 1.0 + ROUNDING, found.peaks


# Each law with its protection removed.


@pytest.mark.parametrize(
    ('arm', 'kind', 'least'),
    [('franka_fr3', 'joint_trajectory', 10.0), ('ur5e', 'forward_position', 1000.0)],
)
def test_without_the_following_error_it_goes_on_and_jumps(monkeypatch, arm, kind, least) -> None:
    monkeypatch.setattr(
        'robomamba_ros.control.setpoints.following.Following.problem', lambda *_: ''
    )
    # The robot's own word for it, which is heard first, is not heard here.
    found = happen(arm, kind, FAULTS['emergency stop'], tells=False)
    assert found.noticed_s is None
    assert found.worst > least


def test_without_letting_go_of_an_arm_that_was_moved_it_is_pulled_back(monkeypatch) -> None:
    monkeypatch.setattr(
        'robomamba_ros.control.setpoints.following.Following.problem', lambda *_: ''
    )
    found = happen('franka_panda', 'forward_position', FAULTS['moved by hand while holding'])
    assert found.worst > 10.0


def test_without_its_speed_scaling_a_slow_robot_is_hurried() -> None:
    found = happen('ur5e', 'joint_trajectory', FAULTS['slider at half speed before'], tells=False)
    assert found.worst > 10.0
