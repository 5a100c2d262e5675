"""What the table of stops says follows from limits, budgets and the lead of a contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robomamba_ros.benchmarks.standstill import stops
from robomamba_ros.robots.arm import load_arm

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')


def test_ways_to_standstill_are_those_of_limits_lead_and_budget() -> None:
    arm = load_arm('ur5e')
    limits = replace(arm.cartesian, jerk=None, rotation_jerk=None)
    joints = tuple(replace(joint, jerk=None) for joint in arm.joints)
    found = stops(replace(arm, cartesian=limits, joints=joints))
    speed, lead_s, budget_s = found.commanded.speed, 0.06, 0.1
    assert 0.97 * limits.velocity < speed <= 1.0001 * limits.velocity
    braking_m = speed**2 / (2.0 * limits.stop_deceleration)
    assert found.commanded.way_m == pytest.approx(speed * lead_s + braking_m, abs=0.006)
    assert found.commanded.time_s == pytest.approx(lead_s + speed / 1.2, abs=0.03)
    # An input is late once its budget is over; then it is the same stop.
    assert found.late.time_s == pytest.approx(found.commanded.time_s + budget_s, abs=0.025)
    assert found.late.way_m == pytest.approx(found.commanded.way_m + speed * budget_s, abs=0.006)
    # What controllers have been told covers at most 0.3 s, and brakes joint by joint.
    assert found.alone.way_m < 0.3 * speed + braking_m
    assert found.alone.way_m > 0.2 * speed
    # Each joint by its own limits: 3.1416 rad/s at 5 rad/s^2, after the lead.
    assert found.joint[1] == pytest.approx(3.1416 * lead_s + 3.1416**2 / 10.0, rel=0.06)
    assert found.joints_s == pytest.approx(lead_s + 3.1416 / 5.0, abs=0.03)
