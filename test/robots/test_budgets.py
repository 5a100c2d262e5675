"""A stand-in's budgets: everything that a contract takes in, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.budgets import with_budgets
from robomamba_ros.robots.parts import Interlock, SpeedScaling

LATCHED = Interlock('stop', 'stop', 'std_msgs/msg/Bool', 'data', (True,), None, True, False)
TIMED = replace(LATCHED, budget_s=0.2, latched=False)
ARM = replace(
    load_arm('franka_fr3'),
    interlocks=(LATCHED, TIMED),
    speed_scaling=SpeedScaling('scaling', 0.5),
)


def test_every_budget_is_scaled_and_nothing_else():
    scaled = with_budgets(ARM, 10.0)
    assert scaled.budgets_s == {name: 10.0 * value for name, value in ARM.budgets_s.items()}
    assert [c.budget_s for c in scaled.cameras] == [10.0 * c.budget_s for c in ARM.cameras]
    assert scaled.speed_scaling == SpeedScaling('scaling', 5.0)
    assert [each.budget_s for each in scaled.interlocks] == [None, 2.0]
    kept = {name: getattr(ARM, name) for name in ('budgets_s', 'cameras', 'interlocks')}
    assert replace(scaled, **kept, speed_scaling=ARM.speed_scaling) == ARM
