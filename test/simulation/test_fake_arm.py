"""The fake arm on a virtual clock: each kind of controller that a contract may name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import Output
from robomamba_ros.simulation.controllers import ARM_TIMEOUT_NS, BASE_TIMEOUT_NS
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.simulation.trajectory_controller import JointTrajectory, TrajectoryPoint
from robomamba_ros.spatial.transforms import move_in_base, turn_between
from robomamba_ros.types import NANOSECONDS, Pose

NOW = 50 * NANOSECONDS
X = np.array([1.0, 0.0, 0.0])
STILL = np.zeros(3)


def contract(name: str, **kinds: str):
    """Return a shipped contract with other kinds of outputs, by part."""
    arm = load_arm(name)
    outputs = [o for o in arm.outputs if o.part not in kinds]
    outputs += [Output(part, kind, part) for part, kind in kinds.items()]
    return replace(arm, outputs=tuple(outputs))


def kinematics(arm) -> Kinematics:
    pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')
    return Kinematics(arm, made_up_urdf(arm))


def run(fake: FakeArm, seconds: float) -> None:
    fake.advance(fake.now_ns + round(seconds * NANOSECONDS))


def names_of(arm, part='arm'):
    return tuple(joint.name for joint in arm.joints_of(part))


def to(names, positions, seconds, velocities=None) -> JointTrajectory:
    still = np.zeros(len(names)) if velocities is None else velocities
    point = TrajectoryPoint(round(seconds * NANOSECONDS), np.asarray(positions, float), still)
    return JointTrajectory(0, names, (point,))


def test_it_is_at_rest_at_first_and_a_period_is_a_step():
    arm = load_arm('franka_fr3')
    fake = FakeArm(arm, None, NOW)
    assert fake.positions['fr3_joint4'] == -2.3562
    assert fake.positions['fr3_finger_joint1'] == 0.039
    assert set(fake.velocities.values()) == {0.0}
    assert not fake.advance(NOW + arm.period_ns - 1)
    assert fake.advance(NOW + arm.period_ns)
    assert fake.now_ns == NOW + arm.period_ns
    assert not fake.advance(NOW + arm.period_ns)


def test_it_is_where_a_trajectory_put_it_a_period_later():
    arm = load_arm('franka_fr3')
    fake, names = FakeArm(arm, None, NOW), names_of(arm)
    start = np.array([fake.positions[name] for name in names])
    fake.accept('arm', to(names, start + 0.1, 1.0), NOW)
    run(fake, 1.0)
    # The cubic from rest to rest, 3 s^2 - 2 s^3, at 0.99.
    assert fake.positions['fr3_joint1'] == pytest.approx(0.1 * (3 * 0.99**2 - 2 * 0.99**3))
    assert fake.velocities['fr3_joint1'] > 0.0
    run(fake, 0.02)
    assert fake.positions['fr3_joint1'] == pytest.approx(0.1)
    assert fake.velocities['fr3_joint1'] == 0.0
    assert fake.trajectories['arm'].arrived
    # The peaks of that cubic: 1.5 and 6 times the way.
    assert fake.peaks['arm']['velocity'].value == pytest.approx(0.15, rel=1e-3)
    # As large at both ends: rounding decides which of them it is.
    assert abs(fake.peaks['arm']['acceleration'].value) == pytest.approx(0.6, rel=0.03)


def test_a_step_is_followed_and_noticed():
    arm = load_arm('franka_fr3')
    fake, names = FakeArm(arm, None, NOW), names_of(arm)
    start = np.array([fake.positions[name] for name in names])
    fake.accept('arm', to(names, start + 0.1, 0.0), NOW)
    run(fake, 0.05)
    assert fake.positions['fr3_joint1'] == pytest.approx(0.1)
    peaks = fake.peaks['arm']
    assert peaks['velocity'].exceeded
    # 0.1 rad within 10 ms, and the slowest joint allows 0.6 rad/s.
    share = pytest.approx(10 / 0.6)
    assert (peaks['velocity'].name, peaks['velocity'].share) == ('fr3_joint4', share)
    fake.reset(fake.now_ns)
    assert fake.peaks['arm'] == {}
    assert fake.positions['fr3_joint1'] == 0.0


def test_forward_positions_count_by_order_and_move_at_once():
    arm = contract('ur5e', arm='forward_position')
    fake = FakeArm(arm, None, NOW)
    start = np.array([fake.positions[name] for name in names_of(arm)])
    fake.streams['arm'].command(start + 0.001)
    run(fake, 0.02)
    assert fake.positions['wrist_3_joint'] == pytest.approx(0.001)
    with pytest.raises(ActionError, match=r'6 finite positions .*shoulder_pan_joint.* got \[1.0\]'):
        fake.streams['arm'].command(np.array([1.0]))
    with pytest.raises(ActionError, match='6 finite positions'):
        fake.streams['arm'].command(start * np.nan)
    run(fake, 1.0)
    assert fake.positions['wrist_3_joint'] == pytest.approx(0.001)
    # 1 mrad in 10 ms: 0.1 rad/s, from rest.
    assert fake.peaks['arm']['velocity'].value == pytest.approx(0.1)
    assert fake.peaks['arm']['acceleration'].exceeded


def test_a_pose_is_reached_by_the_joints_at_their_speed():
    arm = contract('franka_fr3', arm='target_pose')
    fake = FakeArm(arm, kinematics(arm), NOW)
    start = fake.pose
    goal = move_in_base(start, 0.1 * X, np.array([0.0, 0.0, 0.2]))
    fake.poses['arm'].command(goal)
    before = dict(fake.positions)
    run(fake, 0.02)
    for joint in arm.joints:
        moved = abs(fake.positions[joint.name] - before[joint.name])
        assert moved <= joint.velocity / arm.control_rate_hz + 1e-12
    run(fake, 2.0)
    assert np.linalg.norm(fake.pose.position - goal.position) < 1e-4
    assert np.linalg.norm(turn_between(fake.pose, goal)) < 1e-3
    # The command jumped by 0.1 m in one period, and 0.3 m/s are allowed at most.
    assert fake.peaks['arm']['velocity'].value == pytest.approx(10.0)
    assert fake.peaks['arm']['velocity'].exceeded


def test_without_kinematics_the_pose_is_the_commanded_one():
    arm = contract('franka_fr3', arm='target_pose')
    fake = FakeArm(arm, None, NOW)
    np.testing.assert_allclose(fake.pose.position, [0.475, 0.0, 0.41])
    joints = dict(fake.positions)
    goal = Pose(np.array([0.5, 0.1, 0.4]), np.array([0.0, 0.0, 0.0, 1.0]))
    fake.poses['arm'].command(goal)
    run(fake, 0.02)
    assert fake.pose is goal
    assert fake.positions == joints
    assert FakeArm(load_arm('franka_fr3'), None, NOW).pose is None


@pytest.mark.parametrize('with_joints', [True, False])
def test_a_twist_moves_the_end_effector_until_it_is_old(with_joints):
    arm = contract('franka_fr3', arm='twist')
    fake = FakeArm(arm, kinematics(arm) if with_joints else None, NOW)
    start = fake.pose
    for _ in range(50):
        fake.twists['arm'].drive(0.1 * X, np.array([0.0, 0.0, 0.2]), fake.now_ns)
        run(fake, 0.01)
    assert (fake.pose.position - start.position)[0] == pytest.approx(0.05, abs=2e-3)
    run(fake, 2.0)
    coasted = 0.1 * ARM_TIMEOUT_NS / NANOSECONDS
    moved, turned = fake.pose.position - start.position, turn_between(start, fake.pose)
    np.testing.assert_allclose(moved, [0.05 + coasted, 0, 0], atol=1.1e-3)
    np.testing.assert_allclose(turned, [0, 0, 0.1 + 2 * coasted], atol=2.1e-3)
    assert fake.peaks['arm']['velocity'].value == pytest.approx(0.1)
    # 0.1 m/s at once.
    assert fake.peaks['arm']['acceleration'].exceeded
    with pytest.raises(ActionError, match='a twist must be finite'):
        fake.twists['arm'].drive(np.nan * X, STILL, fake.now_ns)


def test_a_base_drives_in_its_footprint_until_its_twist_is_old():
    arm = load_arm('hsr')
    fake, base = FakeArm(arm, None, NOW), names_of(arm, 'base')
    quarter = np.array([0.0, 0.0, np.pi / 2])
    for _ in range(50):
        fake.twists['base'].drive(STILL, quarter, fake.now_ns)
        run(fake, 0.02)
    assert [fake.positions[name] for name in base] == pytest.approx([0, 0, np.pi / 2], abs=0.04)
    # Ahead is now along y of the odometry.
    fake.twists['base'].drive(0.1 * X, STILL, fake.now_ns)
    run(fake, 0.04)
    assert fake.velocities['odom_y'] == pytest.approx(0.1)
    run(fake, 3.0)
    coasted = 0.1 * BASE_TIMEOUT_NS / NANOSECONDS
    assert fake.positions['odom_y'] == pytest.approx(coasted, abs=2.1e-3)
    assert fake.velocities['odom_y'] == 0.0
    assert fake.peaks['base']['velocity'].name == 'odom_t'
    assert fake.peaks['base']['velocity'].value == pytest.approx(np.pi / 2)


@pytest.mark.parametrize(
    'kind', ['gripper_command', 'parallel_gripper_command', 'joint_state', 'forward_position']
)
def test_a_gripper_closes_at_its_own_speed(kind):
    arm = contract('ur5e', gripper=kind)
    fake, joint = FakeArm(arm, None, NOW), arm.gripper.joint
    fake.streams['gripper'].command(np.array([arm.gripper.closed_position]))
    run(fake, 0.51)
    assert fake.positions[joint] == pytest.approx(arm.gripper.closed_position / 2)
    run(fake, 1.0)
    assert fake.positions[joint] == arm.gripper.closed_position
    assert 'gripper' not in fake.peaks


def test_a_gripper_follows_trajectories_too():
    arm = load_arm('hsr')
    fake = FakeArm(arm, None, NOW)
    fake.accept('gripper', to(('hand_motor_joint',), [0.2], 0.5), NOW)
    run(fake, 0.52)
    assert fake.positions['hand_motor_joint'] == pytest.approx(0.2)


@pytest.mark.parametrize('from_desired', [True, False])
def test_only_from_the_desired_state_a_stream_of_trajectories_keeps_its_speed(from_desired):
    arm = load_arm('franka_fr3')
    names, fake = (
        names_of(arm),
        FakeArm(
            arm, None, NOW, disagreement=Disagreement(interpolate_from_desired_state=from_desired)
        ),
    )
    start = np.array([fake.positions[name] for name in names])
    path = []
    # A way at 0.5 rad/s, sent anew in every period, two periods ahead.
    for k in range(100):
        ahead = TrajectoryPoint(2 * arm.period_ns, start + 0.005 * (k + 2), np.full(7, 0.5))
        end = TrajectoryPoint(NANOSECONDS, start + 0.005 * (k + 60), np.zeros(7))
        fake.accept('arm', JointTrajectory(0, names, (ahead, end)), fake.now_ns)
        run(fake, 0.01)
        path.append(fake.positions['fr3_joint1'])
    speeds = np.diff(path[-20:]) / 0.01
    if from_desired:
        np.testing.assert_allclose(speeds, 0.5, rtol=1e-3)
    else:
        # What was measured lies a period back, and each trajectory begins there.
        assert np.ptp(speeds) > 0.1


def test_a_clock_that_is_set_stops_every_motion_where_it_is():
    arm = load_arm('franka_fr3')
    fake, names = FakeArm(arm, None, NOW), names_of(arm)
    start = np.array([fake.positions[name] for name in names])
    fake.accept('arm', to(names, start + 0.2, 1.0), NOW)
    run(fake, 0.5)
    for set_to in (10 * NANOSECONDS, 10**6 * NANOSECONDS):
        here = fake.positions['fr3_joint1']
        assert fake.advance(set_to)
        assert fake.now_ns == set_to
        run(fake, 2.0)
        assert fake.positions['fr3_joint1'] == pytest.approx(here, abs=0.31 / 100)
        assert fake.trajectories['arm'].arrived


def test_a_joint_without_a_rest_stands_at_zero_or_at_its_nearest_end():
    arm = load_arm('hsr')
    ends = replace(arm.joints[0], position=(1.0, np.inf), rest=None)
    fake = FakeArm(replace(arm, joints=(ends, *arm.joints[1:])), None, NOW)
    assert (fake.positions['odom_x'], fake.positions['odom_y']) == (1.0, 0.0)
