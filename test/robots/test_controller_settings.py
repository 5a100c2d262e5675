"""By which settings of a controller limits hold, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.controller_settings import problems_of

UR = load_arm('ur5e')
SLOWED = 'speed_scaling/speed_scaling_factor'


def problems(arm, settings):
    output = arm.output('arm')
    known = {'joints': list(arm.names_of('arm')), 'interpolate_from_desired_state': True}
    return problems_of(output, '/way', {'/scaled': {**known, **settings}}, arm)


@pytest.mark.parametrize(
    'setting', ['speed_scaling.state_interface', 'speed_scaling_interface_name']
)
def test_a_controller_that_slows_trajectories_unheard_is_a_problem(setting) -> None:
    unheard = replace(UR, speed_scaling=None)
    (problem,) = problems(unheard, {setting: SLOWED})
    assert problem.found.startswith(f'/scaled slows trajectories by {SLOWED}, which the arm')
    assert 'speed_scaling: {topic: speed_scaling_state_broadcaster/' in problem.remedy
    # Nothing slows them, or it is heard.
    assert problems(unheard, {setting: ''}) == []
    assert problems(UR, {setting: SLOWED}) == []


def test_assumed_settings_that_slow_trajectories_are_a_problem_all_the_same() -> None:
    outputs = tuple(replace(each, assume_settings=True) for each in UR.outputs)
    arm = replace(UR, speed_scaling=None, outputs=outputs)
    assert problems(arm, {}) == []
    assert len(problems(arm, {'speed_scaling.state_interface': SLOWED})) == 1
