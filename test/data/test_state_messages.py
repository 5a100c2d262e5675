"""States from messages: which make one, what is refused by name, turns that add up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from made_arms import MADE, write_arm
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState

from robomamba_ros.data.state_messages import StateJoiner, gripper_opening
from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes.conversions import pose_to_stamped, time_message
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import Pose

ARM = load_arm('sawyer_sim')
POSE = Pose(np.array([0.1, 0.6, 0.2]), np.array([0.5, -0.5, 0.5, 0.5]))


def joint_state(stamp_ns: int = 3, **changes: float) -> JointState:
    positions = {joint.name: 0.1 * i for i, joint in enumerate(ARM.joints)}
    positions |= {'gripper': 0.25, 'head_pan': 7.0, **changes}
    message = JointState(name=list(positions), position=list(positions.values()))
    message.header.stamp = time_message(stamp_ns)
    return message


def pose(stamp_ns: int = 5) -> PoseStamped:
    return pose_to_stamped(POSE, stamp_ns, 'base')


def odometry(
    stamp_ns: int, x: float = 0.0, y: float = 0.0, yaw: float = 0.0, frame: str = 'odom'
) -> Odometry:
    turn = np.array([0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)])
    stamped = pose_to_stamped(Pose(np.array([x, y, 0.0]), turn), stamp_ns, frame)
    message = Odometry(header=stamped.header, child_frame_id='base_footprint')
    message.pose.pose = stamped.pose
    return message


@pytest.fixture(scope='module')
def mobile(tmp_path_factory):
    made = MADE['mobile']
    arm = write_arm(tmp_path_factory.mktemp('mobile'), made.document(), made.urdf())
    return arm, Kinematics(arm)


def arm_joints(stamp_ns: int, value: float = 0.1) -> JointState:
    message = JointState(name=[*MADE['mobile'].names, 'finger'], position=[value] * 5 + [0.02])
    message.header.stamp = time_message(stamp_ns)
    return message


def test_the_state_takes_the_arms_joints_and_the_stamp_of_the_pose() -> None:
    joiner = StateJoiner(ARM, same_stamp=False)
    assert joiner.add('joint_states', joint_state()) is None
    state = joiner.add('ee_pose', pose())
    assert (state.stamp_ns, state.stamps) == (5, {'joint_states': 3, 'ee_pose': 5})
    assert list(state.joints) == [joint.name for joint in ARM.joints]
    assert state.value('right_j3') == pytest.approx(0.3)
    assert state.gripper == 0.25


def test_the_order_of_joints_plays_no_part() -> None:
    message = joint_state()
    shuffled = joint_state()
    shuffled.name = list(reversed(message.name))
    shuffled.position = list(reversed(message.position))
    states = []
    for each in (message, shuffled):
        joiner = StateJoiner(ARM, same_stamp=False)
        joiner.add('joint_states', each)
        states.append(joiner.add('ee_pose', pose()))
    assert states[0].joints == states[1].joints
    assert states[0].gripper == states[1].gripper


def broken(name: str) -> JointState:
    message = joint_state()
    if name == 'missing':
        message.name[2], message.name[7] = 'elbow', 'finger'
    elif name == 'not finite':
        message = joint_state(right_j1=math.nan, right_j4=math.inf)
    elif name == 'twice':
        message.name[8] = 'right_j5'
    else:
        message.position = []
    return message


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('missing', r"lacks right_j2, gripper of arm 'sawyer_sim'; it has right"),
        ('not finite', 'right_j1, right_j4 a position that is not finite'),
        ('twice', 'gives right_j5 more than once'),
        ('no positions', '9 names and 0 positions'),
    ],
)
def test_joints_that_cannot_be_used_are_named_and_the_last_ones_stay(name, expected) -> None:
    joiner = StateJoiner(ARM, same_stamp=False)
    joiner.add('joint_states', joint_state(3))
    with pytest.raises(ObservationError, match=expected):
        joiner.add('joint_states', broken(name))
    # Their stamp tells that nothing newer has come.
    assert joiner.add('ee_pose', pose(9)).stamps == {'joint_states': 3, 'ee_pose': 9}


def test_a_gripper_that_is_missing_is_named() -> None:
    with pytest.raises(ObservationError, match='lacks gripper'):
        gripper_opening(broken('missing'), ARM)


def test_the_pose_comes_from_the_joints_where_the_arm_gives_none(mobile) -> None:
    arm, kinematics = mobile
    joiner = StateJoiner(arm, kinematics, same_stamp=False)
    joiner.add('odometry', odometry(7, 0.5, -0.2, 0.3))
    state = joiner.add('joint_states', arm_joints(9))
    assert (state.stamp_ns, state.stamps) == (9, {'joint_states': 9, 'odometry': 7})
    assert list(state.joints) == ['odom_x', 'odom_y', 'odom_t', *MADE['mobile'].names]
    expected = MADE['mobile'].matrix([0.5, -0.2, 0.3, *[0.1] * 5])
    np.testing.assert_allclose(state.pose.position, expected[:3, 3], atol=1e-12)
    # Odometry alone makes no state; the newest stands beside the next joints.
    assert joiner.add('odometry', odometry(11, 0.6)) is None
    assert joiner.add('joint_states', arm_joints(12)).joints['odom_x'] == 0.6


def test_the_yaw_of_the_odometry_goes_on_beyond_half_a_turn(mobile) -> None:
    arm, kinematics = mobile
    joiner = StateJoiner(arm, kinematics, same_stamp=False)
    turned = []
    for i, yaw in enumerate([*np.linspace(0.0, 12.0, 40).tolist(), 0.0]):
        joiner.add('odometry', odometry(i, yaw=math.remainder(yaw, math.tau)))
        turned.append(joiner.add('joint_states', arm_joints(i)).joints['odom_t'])
    np.testing.assert_allclose(turned[:40], np.linspace(0.0, 12.0, 40), atol=1e-9)
    # A jump is taken the short way round: 12 rad are two turns less 0.57.
    assert turned[40] == pytest.approx(2 * math.tau, abs=1e-9)


def test_in_lockstep_a_state_of_joints_needs_the_odometry_of_its_stamp(mobile) -> None:
    arm, kinematics = mobile
    joiner = StateJoiner(arm, kinematics, same_stamp=True)
    assert joiner.add('joint_states', arm_joints(10)) is None
    assert joiner.add('odometry', odometry(9)) is None
    assert joiner.add('odometry', odometry(10)).stamp_ns == 10


def test_odometry_in_another_frame_and_a_missing_urdf_are_said(mobile) -> None:
    arm, _ = mobile
    joiner = StateJoiner(arm, same_stamp=False)
    with pytest.raises(ObservationError, match=r"in the frame 'map', the arm's base frame is 'od"):
        joiner.add('odometry', odometry(1, frame='map'))
    joiner.add('odometry', odometry(1))
    with pytest.raises(ObservationError, match='robot_description: nothing received yet'):
        joiner.add('joint_states', arm_joints(1))
