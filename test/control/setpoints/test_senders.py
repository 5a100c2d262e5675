"""What is sent keeps limits where ticks are late and ways change; without its protections not.

The controllers are those of the fake arm, looked at every millisecond.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.bench import Bench, commanded_by

from robomamba_ros.control.setpoints.commander import Commander
from robomamba_ros.control.setpoints.senders import Command, PositionSender, TwistSender
from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import ActionSpace, Setpoint

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

HEAD = {'head': 'forward_position'}


def stalled(arm, names, speeds):
    """Return a bench whose loop missed ticks while joints moved, and that then changed its mind."""
    bench = Bench(arm, late=True)
    bench.run(0.3)
    way = np.tile(np.array(speeds) * 0.02, (50, 1))
    for sign in (1.0, -1.0, 1.0, -1.0):
        bench.add(sign * way, names)
        bench.run(0.24)
        for _ in range(7):
            bench.pass_time()
        bench.tick(3)
    return bench


def head_beside_an_arm():
    return stalled(commanded_by('hsr', HEAD), ('head_pan_joint', 'arm_roll_joint'), (0.8, 0.8))


def fr3():
    return stalled(load_arm('franka_fr3'), ('fr3_joint1', 'fr3_joint5'), (1.8, 2.5))


def so101():
    return stalled(load_arm('so101'), ('shoulder_pan', 'wrist_roll'), (2.0, 2.5))


@pytest.mark.parametrize('make', [head_beside_an_arm, fr3, so101])
def test_late_ticks_and_changes_of_course_exceed_no_limit(make):
    bench = make()
    assert bench.exceeded == {}
    assert bench.worst['acceleration'] > 0.9


def test_without_the_limiter_of_streamed_positions_they_do(monkeypatch):
    # As if no other part had controllers of trajectories, with which the loop catches up.
    monkeypatch.setattr(
        'robomamba_ros.control.setpoints.senders.sends_trajectories', lambda arm: False
    )
    bench = head_beside_an_arm()
    assert bench.exceeded['head', 'velocity'][0] > 1.5
    assert isinstance(bench.senders['head'], PositionSender)


def test_without_the_catch_up_they_do(monkeypatch):
    monkeypatch.setattr(Commander, 'catch_up', lambda self, now_ns: (now_ns, ''))
    assert fr3().exceeded['arm', 'acceleration'][0] > 1.5


@pytest.mark.parametrize('kind', ['twist', 'target_pose', 'forward_position'])
def test_an_arm_that_stood_still_with_its_process_is_not_run_on(kind) -> None:
    bench = Bench(commanded_by('franka_fr3', {'arm': kind}))
    bench.tick(2)
    bench.add(np.full((50, 1), 0.002), ('ee_dz',), ActionSpace.EE_DELTA)
    bench.run(0.3)
    assert bench.speed > 0.01
    for _ in range(200):
        bench.pass_time()
        bench.measure()
    here = bench.joints
    bench.run(0.5)
    assert bench.state is LoopState.HOLDING
    assert 'the control loop stood still for 2.010 s' in bench.loop.status.reason
    assert np.abs(bench.joints - here).max() < 1e-6


def test_twists_brake_to_zero_within_limits_when_commands_end():
    arm = commanded_by('hsr', {'base': 'twist'})
    output = next(each for each in arm.outputs if each.part == 'base')
    sender, names = TwistSender(arm, output), [joint.name for joint in arm.joints_of('base')]
    period_s, sent = arm.period_ns / 1e9, []
    for tick in range(60):
        joints = dict.fromkeys(names, 0.0) | {names[0]: 0.2 * period_s * tick}
        speeds = dict.fromkeys(names, 0.0) | {names[0]: 0.2}
        setpoint = Setpoint((tick + 1) * arm.period_ns, None, 1.0, joints, speeds)
        sent.append(sender.send(Command(setpoint, None, False, None)))
    assert sent[-1][0] > 0.1
    while (twist := sender.stop()) is not None:
        sent.append(twist)
    assert len(sent) > 62
    assert not sent[-1].any()
    most = [joint.acceleration * period_s for joint in arm.joints_of('base')]
    assert (abs(np.diff(sent, axis=0)) <= np.array(most) * (1 + 1e-9)).all()
