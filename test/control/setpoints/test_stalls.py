"""A loop that is not called for a while, on a busy machine: what moves the arm again, and what not.

Time is virtual. What happens after a stall depends on whether states or the timer come first.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.bench import START_NS, Bench
from support.faults import UPDATES_HZ, arm_of, policy

from robomamba_ros.control.setpoints.loop_clock import LoopClock
from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.types import NANOSECONDS

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

KINDS = {
    'joint_trajectory': 'franka_fr3',
    'forward_position': 'franka_fr3',
    'target_pose': 'franka_panda',
    'twist': 'franka_panda',
}
STOOD_STILL = 'the control loop stood still for'


def moving(kind: str) -> Bench:
    """Return a bench whose arm moves along a chunk of half a second."""
    options = Disagreement(controller_rate_hz=UPDATES_HZ if kind == 'joint_trajectory' else 0.0)
    bench = Bench(arm_of(KINDS[kind], kind), options)
    bench.tick(2)
    policy(bench)
    bench.run(0.2)
    assert bench.state is LoopState.TRACKING
    assert bench.speed > 0.01
    return bench


def speak(bench: Bench, seconds: float) -> None:
    """Go on under a policy that sends a chunk every fifth of a second."""
    for _ in range(round(seconds / 0.2)):
        policy(bench)
        bench.run(0.2)


def stall(bench: Bench, seconds: float, *, timer_first: bool) -> None:
    for _ in range(round(seconds * bench.arm.control_rate_hz) - 1):
        bench.pass_time()
    if timer_first:
        bench.pass_time()
        bench.command()
    else:
        bench.tick()


@pytest.mark.parametrize(('seconds', 'timer_first'), [(0.4, False), (1.2, True)])
@pytest.mark.parametrize('kind', KINDS)
def test_an_arm_whose_loop_stood_still_waits_for_a_person(kind, seconds, timer_first) -> None:
    bench = moving(kind)
    stall(bench, seconds, timer_first=timer_first)
    speak(bench, 0.4)
    status = bench.loop.status
    assert status.state is LoopState.HOLDING
    assert status.reason.startswith(STOOD_STILL)
    assert status.reason.endswith('; enable to move again')
    here = bench.joints
    speak(bench, 0.2)
    assert bench.state is LoopState.HOLDING
    assert np.abs(bench.joints - here).max() < 1e-6
    assert bench.enable(), bench.refused
    bench.tick(2)
    speak(bench, 0.2)
    assert bench.state is LoopState.TRACKING
    assert np.abs(bench.joints - here).max() > 1e-3


@pytest.mark.parametrize('kind', KINDS)
def test_an_arm_goes_on_where_its_loop_was_a_little_late(kind) -> None:
    bench = moving(kind)
    stall(bench, 0.08, timer_first=True)
    speak(bench, 0.2)
    assert bench.state is LoopState.TRACKING
    assert {name: share for name, share in bench.worst.items() if share > 1.0 + 1e-4} == {}


@pytest.mark.parametrize('kind', ['joint_trajectory', 'forward_position'])
def test_a_chunk_that_ran_out_is_all_that_the_next_one_continues(kind) -> None:
    bench = moving(kind)
    for wait_s, state in ((0.6, LoopState.TRACKING), (1.6, LoopState.HOLDING)):
        bench.run(wait_s)
        assert bench.state is LoopState.HOLDING
        assert 'no newer chunk has come' in bench.loop.status.reason
        policy(bench)
        assert bench.state is state
    assert bench.refused.endswith('; enable to move again)')


@pytest.mark.parametrize(
    ('simulated', 'factor', 'stall_s', 'problem'),
    [
        (False, 1.0, 0.29, ''),
        (False, 1.0, 0.31, f'{STOOD_STILL} 0.310 s'),
        # A stand-in has longer budgets, and a simulated clock may come late.
        (False, 10.0, 0.9, ''),
        (False, 10.0, 1.1, f'{STOOD_STILL} 1.100 s'),
        (True, 1.0, 0.9, ''),
        (True, 1.0, 1.1, 'the clock went on by 1.100 s at once'),
    ],
)
def test_how_long_a_loop_may_stand_still(simulated, factor, stall_s, problem) -> None:
    clock = LoopClock(load_arm('so101'), foresight=False, simulated=simulated, factor=factor)
    clock.come(START_NS)
    clock.come(START_NS + round(stall_s * NANOSECONDS))
    assert clock.problem == problem
    assert clock.stood_still == (bool(problem) and not simulated)
