"""A fake arm that does not do what it is told: each way by its numbers, without a loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robomamba_ros.errors import ActionError, ConfigError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.disagreement import Disagreement, read_disagreement
from robomamba_ros.simulation.disagreement.drive import Drive, Flaws
from robomamba_ros.simulation.disagreement.reports import joint_messages
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.trajectory_controller import JointTrajectory, TrajectoryPoint
from robomamba_ros.types import NANOSECONDS

NOW = 50 * NANOSECONDS
PERFECT = Flaws(0.0, 1, np.array([np.inf]), np.array([np.inf]), 0.0, 0.0)
POSITION, WHEEL = np.array([False]), np.array([True])
STEP_S = 1e-3


def driven(wanted, flaws: Flaws, by_velocity=POSITION, blocked=None) -> np.ndarray:
    """Return the path (k,) of one joint whose drive is told `wanted` (k,) every millisecond."""
    drive, path, last = Drive(np.zeros(1), flaws, by_velocity), [], 0.0
    for each in wanted:
        speed = np.array([(each - last) / STEP_S])
        drive.step(np.array([each]), speed, STEP_S, blocked)
        last = each
        path.append(float(drive.positions[0]))
    return np.array(path)


def ramp(speed: float, seconds: float) -> np.ndarray:
    return speed * STEP_S * np.arange(1, round(seconds / STEP_S) + 1)


# Drives


@pytest.mark.parametrize('order', [1, 2])
def test_a_lag_is_the_same_distance_behind_a_steady_motion_in_either_order(order):
    wanted = ramp(1.0, 1.0)
    path = driven(wanted, replace(PERFECT, lag_s=0.05, order=order))
    assert wanted[-1] - path[-1] == pytest.approx(0.05, abs=1.1e-3)
    # A jump: the first order begins at once, the second at rest; neither goes beyond it.
    step = driven(np.ones(1000), replace(PERFECT, lag_s=0.05, order=order))
    expected = 1.0 - np.exp(-STEP_S / 0.05) if order == 1 else 0.5 * (2 / 0.05) ** 2 * STEP_S**2
    assert step[0] == pytest.approx(expected, rel=0.03)
    assert 0.999 < step[-1] <= 1.0


def test_the_lag_of_wheels_is_one_of_their_speed():
    wanted = ramp(1.0, 1.0)
    path = driven(wanted, replace(PERFECT, lag_s=0.05), WHEEL)
    assert np.diff(path)[-1] / STEP_S == pytest.approx(1.0, rel=1e-6)
    assert wanted[-1] - path[-1] == pytest.approx(0.05, abs=1e-3)


def test_drives_move_no_faster_than_they_can_and_overshoot_where_they_cannot_brake():
    limited = replace(PERFECT, velocity=np.array([0.5]), acceleration=np.array([5.0]))
    path = driven(np.full(2000, 0.5), limited)
    speeds = np.diff(path, prepend=0.0) / STEP_S
    assert np.abs(speeds).max() == pytest.approx(0.5)
    assert np.abs(np.diff(speeds, prepend=0.0)).max() / STEP_S == pytest.approx(5.0)
    assert path.max() > 0.5
    slow = driven(np.full(2000, 0.5), replace(limited, acceleration=np.array([np.inf])))
    assert slow.max() == 0.5


def test_friction_holds_a_joint_at_rest_until_its_command_is_away():
    wanted = np.concatenate([ramp(0.01, 1.0), np.full(100, 0.01), 0.01 - ramp(0.01, 1.0)])
    path = driven(wanted, replace(PERFECT, friction=0.004))
    moved = np.flatnonzero(np.diff(path, prepend=0.0))
    # It starts when it is told to be 4 mrad away, then follows; to turn back it is at rest again.
    assert moved[0] == pytest.approx(400, abs=1)
    np.testing.assert_allclose(path[401:1100], wanted[401:1100])
    assert moved[moved > 1000][0] == pytest.approx(1100 + 400, abs=1)


def test_backlash_is_a_play_that_a_reversal_goes_through():
    wanted = np.concatenate([ramp(0.1, 0.5), 0.05 - ramp(0.1, 0.5)])
    path = driven(wanted, replace(PERFECT, backlash=0.01))
    assert path[499] == pytest.approx(0.045)
    turned = np.flatnonzero(np.diff(path) < 0.0)[0]
    assert turned == pytest.approx(499 + 100, abs=2)


@pytest.mark.parametrize('by_velocity', [POSITION, WHEEL])
def test_a_blocked_joint_stands_and_only_wheels_forget_the_way(by_velocity):
    drive = Drive(np.zeros(1), PERFECT, by_velocity)
    for k in range(100):
        drive.step(np.array([1e-3 * k]), np.ones(1), STEP_S, np.array([True]))
    assert (drive.positions[0], drive.velocities[0]) == (0.0, 0.0)
    drive.step(np.array([0.1]), np.ones(1), STEP_S, None)
    assert drive.positions[0] == pytest.approx(1e-3 if by_velocity is WHEEL else 0.1)


# What happens to an arm


def arm_of(**options) -> tuple[FakeArm, tuple[str, ...]]:
    arm = load_arm('franka_fr3')
    return FakeArm(arm, None, NOW, disagreement=Disagreement(**options)), arm.names_of('arm')


def go(fake: FakeArm, names, way: float, seconds: float) -> None:
    here = np.array([fake.positions[name] for name in names])
    end = TrajectoryPoint(round(seconds * NANOSECONDS), here + way, np.zeros(len(names)))
    fake.accept('arm', JointTrajectory(0, names, (end,)), fake.now_ns)


def run(fake: FakeArm, seconds: float) -> None:
    fake.advance(fake.now_ns + round(seconds * NANOSECONDS))


def first(fake: FakeArm) -> float:
    return fake.positions['fr3_joint1']


@pytest.mark.parametrize('deactivates', [True, False])
def test_an_emergency_stop_holds_the_arm_until_its_release(deactivates):
    fake, names = arm_of(stop_deactivates=deactivates)
    go(fake, names, 0.5, 1.0)
    run(fake, 0.5)
    here, speed = first(fake), fake.velocities['fr3_joint1']
    fake.stop('emergency_stop')
    run(fake, 0.1)
    # Brakes are five times as strong as the limits: 50 rad/s^2.
    assert first(fake) - here == pytest.approx(speed**2 / (2 * 50.0), abs=5e-3)
    stood = first(fake)
    run(fake, 1.0)
    assert first(fake) == pytest.approx(stood, abs=1e-12)
    if deactivates:
        with pytest.raises(ActionError, match='controller of the part arm is not active'):
            go(fake, names, 0.1, 1.0)
    fake.release()
    run(fake, 0.1)
    # A controller that went on has the arm catch up at once; one that starts anew holds it.
    assert first(fake) == pytest.approx(stood if deactivates else 0.5, abs=1e-9)


def test_a_protective_stop_stops_the_time_of_trajectories():
    fake, names = arm_of(controller_rate_hz=500.0)
    go(fake, names, 0.5, 1.0)
    run(fake, 0.4)
    before = first(fake)
    fake.stop('protective_stop')
    run(fake, 2.0)
    assert first(fake) == pytest.approx(before, abs=0.02)
    fake.release()
    run(fake, 0.3)
    assert first(fake) < 0.45
    run(fake, 0.4)
    assert first(fake) == pytest.approx(0.5)


def test_at_half_the_speed_a_trajectory_takes_twice_the_time():
    fake, names = arm_of(speed_scaling=0.5)
    go(fake, names, 0.5, 1.0)
    run(fake, 1.01)
    assert first(fake) == pytest.approx(0.25, abs=5e-3)
    run(fake, 1.0)
    assert first(fake) == pytest.approx(0.5)


def test_a_hand_moves_the_arm_and_a_controller_begins_where_it_left_it():
    fake, _ = arm_of()
    fake.deactivate('arm')
    fake.move_by_hand({'fr3_joint1': 0.3}, 0.5)
    run(fake, 0.25)
    assert first(fake) == pytest.approx(0.15)
    run(fake, 0.5)
    fake.activate('arm')
    run(fake, 0.5)
    assert first(fake) == pytest.approx(0.3)
    assert fake.peaks['arm']['velocity'].share == 0.0
    assert fake.moved['arm'].peaks['velocity'].value == pytest.approx(0.3 * np.pi, rel=2e-3)
    # A stiff arm goes back.
    fake.move_by_hand({'fr3_joint1': -0.1}, 0.1)
    run(fake, 0.1)
    assert first(fake) == pytest.approx(0.2)
    run(fake, 0.05)
    assert first(fake) == pytest.approx(0.3)


def test_beyond_the_path_tolerance_the_arm_is_held_where_it_is():
    fake, names = arm_of(path_tolerance_rad=0.2, controller_rate_hz=500.0)
    fake.blocked.add('arm')
    go(fake, names, 1.0, 2.0)
    run(fake, 2.5)
    assert fake.trajectories['arm'].stopped == 1
    assert first(fake) == 0.0
    # The command comes back by what it was ahead within one update of 2 ms: a step.
    assert fake.peaks['arm']['velocity'].value < -0.199 / 2e-3
    fake.blocked.clear()
    run(fake, 1.0)
    assert first(fake) == 0.0


# What an arm says


def reports(fake: FakeArm, seconds: float) -> list:
    found = []
    for _ in range(round(seconds / 0.01)):
        run(fake, 0.01)
        found += fake.reports.due(fake.now_ns)
    return found


def test_states_come_at_their_rate_and_late():
    fake, _ = arm_of(state_rate_hz=30.0, state_latency_s=0.05)
    found = reports(fake, 2.0)
    stamps = np.array([each.stamp_ns for each in found])
    assert len(found) == pytest.approx(2.0 * 30 - 2, abs=1)
    assert np.diff(stamps).mean() == pytest.approx(NANOSECONDS / 30, rel=0.02)
    fast, _ = arm_of(state_rate_hz=1000.0, controller_rate_hz=1000.0)
    assert len(reports(fast, 1.0)) == 1000


@pytest.mark.parametrize('restamps', [True, False])
def test_only_a_publisher_that_stamps_now_goes_on_when_nothing_is_measured(restamps):
    fake, names = arm_of(restamps=restamps)
    go(fake, names, 0.5, 1.0)
    assert len(reports(fake, 0.2)) == 20
    fake.reports.dead = True
    last = first(fake)
    found = reports(fake, 0.5)
    assert len(found) == (50 if restamps else 0)
    assert {each.positions['fr3_joint1'] for each in found} <= {last}
    assert not restamps or found[-1].stamp_ns == fake.now_ns
    assert first(fake) > last + 0.1


def test_joints_without_ends_may_be_said_within_a_turn():
    arm = load_arm('ur5e')
    endless = replace(arm.joints[5], position=(-np.inf, np.inf), rest=None)
    arm = replace(arm, joints=(*arm.joints[:5], endless))
    fake = FakeArm(arm, None, NOW, disagreement=Disagreement(wraps=True))
    fake.deactivate()
    fake.move_by_hand({'wrist_3_joint': 4.0, 'shoulder_pan_joint': 4.0}, 1.0)
    said = reports(fake, 1.5)[-1].positions
    assert fake.positions['wrist_3_joint'] == pytest.approx(4.0)
    assert said['wrist_3_joint'] == pytest.approx(4.0 - 2.0 * np.pi)
    assert said['shoulder_pan_joint'] == pytest.approx(4.0)


def test_arm_and_gripper_may_speak_for_themselves():
    arm = load_arm('franka_panda')
    hand, others = joint_messages(arm, Disagreement(split_states=True))
    assert hand == ('joint_states', ['panda_finger_joint1'])
    assert others == ('joint_states', list(arm.names_of('arm')))
    assert len(joint_messages(arm, Disagreement())) == 1


# The text of an option


def test_a_disagreement_is_read_from_its_text():
    assert read_disagreement('') == Disagreement()
    found = read_disagreement('lag_s=0.05, lag_order=2,wraps=true,controller_version=humble')
    assert found == Disagreement(lag_s=0.05, lag_order=2, wraps=True, controller_version='humble')
    assert read_disagreement('friction_rad=1e-3') == Disagreement(friction_rad=0.001)
    assert read_disagreement({'state_rate_hz': 30}) == Disagreement(state_rate_hz=30.0)


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('lag=0.05', "lag: found an unknown key, allowed: .*did you mean 'lag_s'"),
        ('lag_s', "'lag_s': expected name=value"),
        ('lag_s=0.1,lag_s=0.2', 'each name once'),
        ('lag_s=-1', 'lag_s: found -1.0, allowed: 0 or more'),
        ('lag_s=nan', 'lag_s: found'),
        ('speed_scaling=1.5', r'speed_scaling: found 1.5, allowed: 0..1'),
        ('lag_order=3', 'lag_order: found 3, allowed: a whole number from 1 to 2'),
        ('wraps=maybe', "wraps: found 'maybe'"),
        ('controller_version=foxy', "controller_version: found 'foxy', allowed: .*ideal, humble"),
    ],
)
def test_what_cannot_be_a_disagreement_is_named(text, reason):
    with pytest.raises(ConfigError, match=reason):
        read_disagreement(text)
