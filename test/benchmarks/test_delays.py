"""What the table of delays says follows from the limits of a contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robomamba_ros.benchmarks.delays import delays
from robomamba_ros.robots.arm import load_arm

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')


def test_a_reversal_takes_the_lead_the_average_and_the_acceleration():
    arm = load_arm('ur5e')
    limits = replace(arm.cartesian, jerk=None, rotation_jerk=None)
    joints = tuple(replace(joint, jerk=None) for joint in arm.joints)
    plain = delays(replace(arm, cartesian=limits, joints=joints))
    # Half of the change comes after the lead of 60 ms and half of 0.12 m/s at 1.2 m/s^2.
    assert plain.reversal_s[1] == pytest.approx(0.060 + 0.050, abs=0.011)
    # From 0.29 m/s at 1.2 m/s^2, after the lead: v^2 / 2a + v * 0.06.
    assert plain.stop_m == pytest.approx(0.3**2 / 2.4 + 0.3 * 0.06, rel=0.1)
    # Averages of 6 periods for the joints and for the hand, 25 ms each.
    assert delays(arm).reversal_s[1] == pytest.approx(plain.reversal_s[1] + 0.05, abs=0.011)
