"""Following errors: what arms with lag make, what arms that stand make, and joints that wrap."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.control.history import StateHistory
from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.control.motion.space import Space
from robomamba_ros.control.setpoints.arm_time import ArmTime
from robomamba_ros.control.setpoints.following import Following
from robomamba_ros.control.setpoints.start import start_problem
from robomamba_ros.errors import ObservationError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import NANOSECONDS, Pose, RobotState

HSR, FR3 = load_arm('hsr'), load_arm('franka_fr3')
YAW = [joint.name for joint in HSR.joints].index('odom_t')


def lagged(path, period_s, lag_s, order):
    """Return what an arm makes of commands (k, n): a lag, by a time constant or two of half."""
    for _ in range(order):
        there, share, rows = path[0], min(order * period_s / lag_s, 1.0), []
        for row in path:
            there = there + share * (row - there)
            rows.append(there)
        path = np.array(rows)
    return path


@pytest.mark.parametrize('order', [1, 2])
@pytest.mark.parametrize('every', [1, 4])
@pytest.mark.parametrize('late_s', [0.0, 0.03])
def test_a_lag_of_a_tenth_of_a_second_is_no_fault_at_full_speed(order, every, late_s):
    arm, period_s = FR3, FR3.period_ns / NANOSECONDS
    speed = np.array([joint.velocity for joint in arm.joints])
    times = np.arange(400) * period_s
    # To and fro at full speed, turned within a tenth of a second.
    wave = np.clip(8.0 * np.sin(2.0 * np.pi * times / 1.5), -1.0, 1.0).cumsum() * period_s
    path = wave[:, None] * speed
    measured = lagged(path, period_s, 0.1, order)
    following = Following(arm)
    for i in range(400):
        following.tell((i + 1) * arm.period_ns, Anchor(None, path[i]))
        if i % every == 0:
            stamp_ns = (i + 1) * arm.period_ns + round(late_s * NANOSECONDS)
            assert following.problem(Anchor(None, measured[i]), stamp_ns) == ''


def test_without_the_lag_that_is_allowed_it_would_be_a_fault():
    following = Following(FR3)
    speed = np.array([joint.velocity for joint in FR3.joints])
    for i in range(100):
        following.tell(i * FR3.period_ns, Anchor(None, i * 0.01 * speed))
    behind = Anchor(None, (0.99 - 0.1) * speed)
    assert following.problem(behind, 99 * FR3.period_ns) == ''
    following._lag_ns = 0
    assert 'does not follow' in following.problem(behind, 99 * FR3.period_ns)


def test_a_whole_turn_of_a_base_is_no_following_error():
    following = Following(HSR)
    joints = np.array([joint.rest or 0.0 for joint in HSR.joints])
    following.tell(0, Anchor(None, joints))
    turned = joints.copy()
    turned[YAW] += 4.0 * np.pi
    assert following.problem(Anchor(None, turned), 0) == ''
    turned[YAW] += 1.0
    assert 'odom_t was measured 1.000 off' in following.problem(Anchor(None, turned), 0)


def test_states_of_a_joint_that_wraps_go_on_without_a_step():
    history = StateHistory(wraps=('j',))
    anywhere = Pose(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))
    for stamp_ns, angle in ((0, 3.13), (100, -3.13), (200, -3.0)):
        history.add(RobotState(stamp_ns, anywhere, 1.0, {'j': angle}))
    assert history.at(50).joints['j'] == pytest.approx(np.pi, abs=1e-9)
    assert history.newest.joints['j'] == pytest.approx(2.0 * np.pi - 3.0)


def test_a_pose_far_from_the_workspace_is_no_start():
    arm = load_arm('sawyer_sim')
    pose = Pose(np.array([1e10, 0.6, 0.2]), np.array([0.0, 0.0, 0.0, 1.0]))
    problem = start_problem(arm, [Anchor(pose, np.zeros(0))] * 5)
    assert 'far outside its workspace' in problem


def test_the_time_of_an_arm_is_the_integral_of_its_scaling():
    time = ArmTime()
    assert time.at(7_000_000_123) == 7_000_000_123
    time.set_scale(0.5, 10 * NANOSECONDS)
    time.set_scale(0.0, 12 * NANOSECONDS)
    time.set_scale(1.0, 15 * NANOSECONDS)
    seconds = [time.at(round(s * NANOSECONDS)) / NANOSECONDS for s in (9, 11, 12, 14, 15, 16.5)]
    assert seconds == [9.0, 10.5, 11.0, 11.0, 11.0, 12.5]
    with pytest.raises(ObservationError, match='allowed: 0 to 1'):
        time.set_scale(80.0, 0)


def test_nothing_is_known_of_space_without_kinematics():
    joints = np.zeros(len(FR3.joints))
    space = Space(FR3, None)
    assert space.leaving(joints + 1.0, joints) == ''
    assert space.touching(joints + 1.0, joints) == ''
