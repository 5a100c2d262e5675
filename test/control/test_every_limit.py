"""Every shipped arm and kind of controller, whatever is asked: no limit is exceeded at any time.

Trajectory controllers follow the documented rules of joint_trajectory_controller and are looked at
every millisecond: their own way from one trajectory onto the next counts, too.
"""

from __future__ import annotations

import pytest
from adversary import Rig, commanded_by, storm, without_limits

from robomamba_ros.resources import share_directory
from robomamba_ros.robots.arm import ArmContract, load_arm

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

ARMS = sorted(path.stem for path in (share_directory() / 'config' / 'arms').glob('*.yaml'))
OTHER = {
    'positions': ('ur5e', {'arm': 'forward_position'}),
    'poses': ('franka_fr3', {'arm': 'target_pose'}),
    'twists': ('franka_fr3', {'arm': 'twist'}),
    'positions beside trajectories': ('hsr', {'head': 'forward_position'}),
    'trajectories only': ('hsr', {'base': 'joint_trajectory'}),
}
CASES = [*ARMS, *OTHER]
# Differences of a millisecond, of positions that are known to some 1e-15.
ROUNDING = 1e-4


def arm_of(case: str) -> ArmContract:
    return commanded_by(*OTHER[case]) if case in OTHER else load_arm(case)


def exceeded(rig: Rig) -> dict[tuple[str, str], tuple[float, str]]:
    """Return what exceeds its limit: the share of it and the joint, by part and quantity."""
    return {
        (part, quantity): (peak.share, peak.name)
        for part, peaks in rig.peaks.items()
        for quantity, peak in peaks.items()
        if peak.share > 1.0 + ROUNDING
    }


@pytest.mark.parametrize('seed', [0, 1])
@pytest.mark.parametrize('case', CASES)
def test_whatever_is_asked_no_limit_is_exceeded(case, seed) -> None:
    rig = storm(Rig(arm_of(case), seed))
    assert exceeded(rig) == {}
    # They were reached, and trajectories replaced one another.
    assert rig.worst['acceleration'] > 0.95
    assert all(rig.sent[part] > 5 for part in rig.fine)


@pytest.mark.parametrize('name', ['franka_fr3', 'ur5e', 'hsr'])
def test_without_the_limiters_they_are(name) -> None:
    arm = load_arm(name)
    wild = storm(Rig(arm, believed=without_limits(arm)))
    worst = {quantity: share for (_, quantity), (share, _) in exceeded(wild).items()}
    assert min(worst[quantity] for quantity in ('velocity', 'acceleration', 'jerk')) > 1.5


@pytest.mark.parametrize(('name', 'quantity'), [('franka_fr3', 'acceleration'), ('so101', 'jerk')])
def test_without_a_look_at_the_quintic_onto_the_new_way_they_are(name, quantity) -> None:
    arm = load_arm(name)
    far = storm(Rig(arm, blended=without_limits(arm)))
    assert exceeded(far)['arm fine', quantity][0] > 1.1


def test_without_the_delay_that_keeps_the_old_way_they_are(monkeypatch) -> None:
    monkeypatch.setattr('robomamba_ros.control.foresight._delay_ns', lambda _: 0)
    assert exceeded(storm(Rig(load_arm('franka_fr3'))))['arm fine', 'acceleration'][0] > 2.0
