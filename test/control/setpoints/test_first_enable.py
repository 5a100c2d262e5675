"""The first enable of an arm whose controller does not want the joints where they are measured.

The controllers follow the documented rules of joint_trajectory_controller and are looked at every
millisecond, by the limits that hold between points too.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.bench import Bench
from support.faults import ARMS, arm_of, policy
from support.first_enable import begin, held, pushed

from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.control.setpoints.held import Held
from robomamba_ros.control.setpoints.references import References
from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.following import joint_tolerance
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace, Pose, RobotState

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')
pytest.importorskip('mujoco', reason='an arm with masses needs MuJoCo: pip install mujoco')


# A chunk that comes at once, and one that comes when the arm has settled.
@pytest.mark.parametrize('wait', [0, 40])
@pytest.mark.parametrize('name', ['ur5e', 'hsr'])
def test_an_arm_that_hangs_starts_within_its_limits(name, wait) -> None:
    bench = pushed(name, states=True)
    begin(bench, wait)
    assert bench.exceeded == {}


@pytest.mark.parametrize('wait', [0, 40])
@pytest.mark.parametrize('name', ARMS)
def test_so_does_one_whose_controller_was_left_elsewhere(name, wait) -> None:
    bench = held(name)
    begin(bench, wait)
    assert bench.exceeded == {}


@pytest.mark.parametrize(
    ('make', 'name', 'wait', 'quantity', 'least'),
    [
        (pushed, 'ur5e', 40, 'acceleration', 1.1),
        (pushed, 'hsr', 0, 'jerk', 2.0),
        (held, 'so101', 0, 'acceleration', 20.0),
    ],
)
def test_without_what_the_controller_says_they_do_not(make, name, wait, quantity, least) -> None:
    bench = make(name, states=False)
    begin(bench, wait)
    assert bench.exceeded['arm', quantity][0] > least


def test_it_is_held_where_its_controller_wants_it_and_not_let_sink() -> None:
    bench = pushed('ur5e', states=True)
    wanted = bench.fake.trajectories['arm'].desired[0]
    assert np.abs(bench.joints - wanted).max() > 1e-3
    assert bench.enable()
    bench.run(0.3)
    told = bench.loop.command().setpoint.joints
    assert np.array_equal([told[name] for name in bench.names], wanted)
    assert bench.worst['velocity'] == 0.0


def test_a_controller_that_is_too_far_away_is_no_place_to_start_from() -> None:
    bench = held('ur5e', 1.1)
    assert not bench.enable()
    # 1.1 times 0.02 s at 3.1416 rad/s.
    assert '0.069 from where it is measured, 0.063 is allowed: free the arm' in bench.refused
    bench.run(0.1)
    assert bench.state is LoopState.DISABLED
    assert bench.loop.command() is None
    # Deactivated and activated it holds where the arm is.
    bench.fake.deactivate('arm')
    bench.fake.activate('arm')
    bench.tick()
    assert bench.enable()


def test_nor_is_one_that_moves() -> None:
    bench = held('ur5e', 0.0)
    state = bench.fake.trajectories['arm'].desired
    state[1, 2] = 0.01
    bench.loop.references.take('arm', state, bench.now_ns)
    assert not bench.enable()
    assert bench.refused == (
        'the controller of elbow_joint moves it, by 0.010 per s: somebody else commands the arm'
    )


def test_an_arm_that_is_enabled_waits_for_what_its_controller_will_say() -> None:
    bench = held('ur5e', 0.5)
    bench.loop.references.forget('arm')
    bench._states = False
    bench.loop.references.awaited['arm'] = 'nothing was said'
    assert bench.enable()
    bench.run(0.2)
    assert bench.loop.status.reason == 'nothing was said'
    assert bench.loop.command() is None
    wanted = bench.fake.trajectories['arm'].desired
    bench.loop.references.take('arm', wanted, bench.now_ns)
    bench.tick()
    told = bench.loop.command().setpoint.joints
    assert np.array_equal([told[name] for name in bench.names], wanted[0])


def test_a_joint_that_turns_without_end_is_where_it_is_after_a_turn() -> None:
    arm = load_arm('hsr')
    names = arm.names_of('base')
    references = References(arm)
    wanted = np.array([[0.1, 0.0, 2.0 * np.pi + 0.01], [0.0] * 3, [0.0] * 3])
    references.take('base', wanted, 0)
    assert references.problem(dict(zip(names, [0.1, 0.0, 0.0], strict=True))) == ''
    assert references.joints['odom_t'] == 2.0 * np.pi + 0.01
    away = references.problem(dict(zip(names, [7.0, 0.0, 0.0], strict=True)))
    assert 'the controller of odom_x wants it at 0.100' in away


# Streams: what holds them is what they were sent last.


@pytest.mark.parametrize('again', ['enable', 'reset'])
@pytest.mark.parametrize(('name', 'kind'), [('so101', 'forward_position'), ('ur5e', 'target_pose')])
def test_an_arm_that_hangs_below_its_stream_goes_on_from_where_it_is_held(
    name, kind, again
) -> None:
    hangs = Disagreement(lag_s=0.05, lag_order=2, friction_rad=2e-3, backlash_rad=2e-3)
    bench = Bench(arm_of(name, kind), hangs)
    policy(bench)
    bench.run(0.3)
    if again == 'enable':
        bench.loop.enable(False)
    else:
        bench.loop.reset()
    bench.run(1.0)
    told, before = bench.loop.status.state, bench.joints
    assert told in (LoopState.DISABLED, LoopState.WAITING)
    assert bench.enable(), bench.refused
    bench.run(0.3)
    policy(bench)
    bench.run(0.4)
    assert np.abs(bench.joints - before).max() > 1e-3
    assert bench.exceeded == {}


def test_from_the_measured_state_it_would_step(monkeypatch) -> None:
    monkeypatch.setattr(Held, 'start', lambda _, measured: measured)
    with pytest.raises(AssertionError, match='jerk'):
        test_an_arm_that_hangs_below_its_stream_goes_on_from_where_it_is_held(
            'so101', 'forward_position', 'enable'
        )


def test_an_arm_that_was_moved_further_than_it_can_hang_starts_where_it_is() -> None:
    arm = arm_of('ur5e', 'forward_position')
    held_at, far = Held(arm), 3.0 * joint_tolerance(arm.joints)
    here = np.array([joint.rest for joint in arm.joints])
    held_at.keep(Anchor(None, here))
    assert np.array_equal(held_at.start(Anchor(None, here + far)).joints, here + far)
    assert np.array_equal(held_at.start(Anchor(None, here + far / 6.0)).joints, here)


def test_a_reset_of_an_arm_that_a_fault_stops_keeps_the_reason() -> None:
    bench = Bench(load_arm('so101'))
    policy(bench)
    bench.run(0.3)
    bench.loop.fault('something was wrong')
    bench.loop.reset()
    bench.loop.reset()
    assert bench.loop.status.state is LoopState.RESETTING
    bench.run(1.5)
    assert bench.loop.status.state is LoopState.DISABLED
    assert bench.loop.status.reason == 'reset; something was wrong; enable to move again'


@pytest.mark.parametrize('simulated', [True, False])
def test_a_simulated_arm_that_was_put_elsewhere_before_a_reset_starts_there(simulated) -> None:
    """Meta-World's hand may be a metre off its commands; a real arm is where it was held."""
    arm = load_arm('sawyer_sim')
    loop = SetpointLoop(arm, simulated_time=simulated)
    begin, moved = np.array([0.0, 0.6, 0.2]), np.array([0.1, 0.2, 0.1])
    now_ns, here, told = NANOSECONDS, begin, None

    def run(count: int, follows: bool) -> None:
        nonlocal now_ns, here, told
        for _ in range(count):
            now_ns += arm.period_ns
            loop.update_state(
                RobotState(now_ns, Pose(here, np.array([0.0, 0.0, 0.0, 1.0])), 1.0), now_ns
            )
            told = loop.tick(now_ns)
            here = told.pose.position if follows and told is not None else here

    run(30, follows=True)
    loop.enable(True)
    run(5, follows=True)
    names, actions = ('ee_dx', 'ee_dy', 'ee_dz'), np.full((20, 3), 0.002, dtype=np.float32)
    loop.add_chunk(ActionChunk(now_ns, arm.period_ns, actions, ActionSpace.EE_DELTA, names), now_ns)
    run(20, follows=True)
    loop.enable(False)
    run(80, follows=True)
    assert loop.status.state is LoopState.DISABLED
    end, here = here, begin + moved
    assert np.linalg.norm(end - here) > 0.1
    loop.reset()
    run(30, follows=False)
    loop.enable(True)
    run(1, follows=False)
    assert told.pose.position == pytest.approx(here if simulated else end, abs=1e-6)
