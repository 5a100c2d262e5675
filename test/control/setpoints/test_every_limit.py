"""Every shipped arm and kind of controller, whatever is asked: no limit is exceeded at any time.

Trajectory controllers follow the documented rules of joint_trajectory_controller and are looked at
every millisecond: their own way from one trajectory onto the next counts, too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.bench import FINE_HZ, Bench, commanded_by, without_limits
from support.storms import storm

from robomamba_ros.common.resources import share_directory
from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.robots.arm import ArmContract, Workspace, load_arm
from robomamba_ros.simulation.disagreement import Disagreement

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


def arm_of(case: str) -> ArmContract:
    """Return an arm; one that takes joints has room, or its workspace would stop every storm."""
    arm = commanded_by(*OTHER[case]) if case in OTHER else load_arm(case)
    room = Workspace(np.full(3, -9.0), np.full(3, 9.0))
    return arm if arm.takes_poses else replace(arm, workspace=room)


@pytest.mark.parametrize('seed', [0, 2])
@pytest.mark.parametrize('case', CASES)
def test_whatever_is_asked_no_limit_is_exceeded(case, seed) -> None:
    rig = storm(Bench(arm_of(case), seed=seed, late=True))
    assert rig.exceeded == {}
    # They were reached, and trajectories replaced one another.
    assert rig.worst['acceleration'] > 0.85
    assert all(rig.sent[part] > 5 for part in rig.fake.trajectories if part in rig.sent)


def test_nor_where_an_arm_hangs_below_what_it_is_told() -> None:
    # Each start is from where it was measured; its controller may be where it was told to be.
    hangs = Disagreement(physics='mujoco', load_n=10.0, controller_rate_hz=FINE_HZ)
    rig = storm(Bench(load_arm('franka_fr3'), hangs, seed=3, enabled=False), events=30)
    assert rig.exceeded == {}
    assert rig.worst['acceleration'] > 0.95


@pytest.mark.parametrize(('name', 'load_n'), [('franka_fr3', 30.0), ('ur5e', 20.0)])
def test_nor_where_a_command_returns_to_an_arm_that_hangs(name, load_n) -> None:
    hangs = Disagreement(physics='mujoco', load_n=load_n, controller_rate_hz=FINE_HZ)
    rig = Bench(load_arm(name), hangs, enabled=False)
    # It sinks, before it is enabled and after.
    rig.run(0.5)
    assert rig.enable()
    rig.run(0.5)
    rig.fake.forget_peaks()
    rig.loop.fault('for a test')
    told = rig.loop.tick(rig.now_ns).joints
    rig.run(0.5)
    now = rig.loop.tick(rig.now_ns).joints
    assert rig.state is LoopState.HOLDING
    assert max(abs(now[joint] - told[joint]) for joint in told) > 2e-3
    assert rig.exceeded == {}


@pytest.mark.parametrize('name', ['franka_fr3', 'ur5e', 'hsr'])
def test_without_the_limiters_they_are(name) -> None:
    arm = arm_of(name)
    wild = storm(Bench(arm, seed=3, believed=without_limits(arm), late=True))
    assert min(wild.worst[quantity] for quantity in ('velocity', 'acceleration', 'jerk')) > 1.5


@pytest.mark.parametrize(('name', 'quantity'), [('franka_fr3', 'acceleration'), ('so101', 'jerk')])
def test_without_a_look_at_the_quintic_onto_the_new_way_they_are(name, quantity) -> None:
    arm = arm_of(name)
    far = storm(Bench(arm, blended=without_limits(arm), late=True))
    assert far.exceeded['arm', quantity][0] > 1.1


def test_without_the_delay_that_keeps_the_old_way_they_are(monkeypatch) -> None:
    monkeypatch.setattr('robomamba_ros.control.motion.forecast._delay_ns', lambda _: 0)
    assert storm(Bench(arm_of('franka_fr3'), late=True)).exceeded['arm', 'acceleration'][0] > 1.5
