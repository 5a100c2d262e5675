"""States from messages: which make one, what is refused by name, turns that add up."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from support.made_arms import MADE, write_arm

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.state import StateJoiner, gripper_opening
from robomamba_ros.nodes.common.conversions import pose_to_stamped, time_message
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, Pose

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


def test_joints_that_nobody_gives_are_named_once_everybody_had_a_turn() -> None:
    joiner = StateJoiner(ARM, same_stamp=False)
    assert joiner.add('joint_states', broken('missing')) is None
    expected = r"lacks right_j2, gripper of arm 'sawyer_sim'; it has right"
    with pytest.raises(ObservationError, match=expected):
        joiner.add('joint_states', broken('missing'))


def part(stamp_ns: int, **positions: float) -> JointState:
    message = JointState(name=list(positions), position=list(positions.values()))
    message.header.stamp = time_message(stamp_ns)
    return message


ARM_PART = {joint.name: 0.1 for joint in ARM.joints}


def test_joints_of_two_publishers_make_one_state_with_the_stamp_of_the_older() -> None:
    joiner = StateJoiner(ARM, same_stamp=False)
    assert joiner.add('joint_states', part(10, **ARM_PART)) is None
    assert joiner.add('joint_states', part(12, left_wheel=math.nan)) is None
    assert joiner.add('joint_states', part(14, gripper=0.5)) is None
    state = joiner.add('ee_pose', pose(15))
    assert (state.gripper, state.joints) == (0.5, ARM_PART)
    assert state.stamps == {'joint_states': 10, 'ee_pose': 15}
    joiner.add('joint_states', part(20, **ARM_PART))
    assert joiner.add('ee_pose', pose(21)).stamps == {'joint_states': 14, 'ee_pose': 21}


def test_a_joint_that_comes_no_longer_is_named_and_there_is_no_state(mobile) -> None:
    arm, kinematics = mobile
    joiner = StateJoiner(arm, kinematics, same_stamp=False)
    late_ns = 2 * round(arm.budgets_s['joint_states'] * NANOSECONDS)
    joiner.add('odometry', odometry(1))
    names = MADE['mobile'].names
    joiner.add('joint_states', part(1, **dict.fromkeys(names, 0.1)))
    # The gripper alone completes the first state, and none after it.
    assert joiner.add('joint_states', part(2, finger=0.02)).stamps['joint_states'] == 1
    assert joiner.add('joint_states', part(3, finger=0.02)) is None
    assert joiner.add('joint_states', part(4, **dict.fromkeys(names, 0.1))).stamp_ns == 4
    with pytest.raises(ObservationError, match=r'joint_states: no newer position of finger for'):
        joiner.add('joint_states', part(late_ns, **dict.fromkeys(names, 0.1)))


@pytest.fixture
def two_topics(tmp_path):
    made = MADE['six']
    document = made.document()
    document['inputs'] = {
        'joint_states': [
            {'topic': 'arm/joint_states', 'budget_s': 0.1},
            {'topic': 'hand/joint_states', 'budget_s': 0.3},
        ]
    }
    arm = write_arm(tmp_path, document, made.urdf())
    return arm, StateJoiner(arm, Kinematics(arm), same_stamp=False)


def test_joints_on_two_topics_have_an_age_each(two_topics) -> None:
    arm, joiner = two_topics
    assert arm.inputs == {
        'joint_states': 'arm/joint_states',
        'joint_states_2': 'hand/joint_states',
    }
    six = dict.fromkeys(MADE['six'].names, 0.1)
    assert joiner.add('joint_states', part(5, **six)) is None
    state = joiner.add('joint_states_2', part(6, finger=0.01))
    assert (state.gripper, state.stamps) == (0.25, {'joint_states': 5, 'joint_states_2': 6})
    assert joiner.add('joint_states_2', part(7, finger=0.01)) is None
    state = joiner.add('joint_states', part(8, **six))
    assert state.stamps == {'joint_states': 8, 'joint_states_2': 7}
    expected = 'finger comes on hand/joint_states and on arm/joint_states'
    with pytest.raises(ObservationError, match=expected):
        joiner.add('joint_states', part(9, finger=0.01, **six))


def test_an_arm_without_a_gripper_has_states_without_one(tmp_path) -> None:
    made = MADE['six']
    document = made.document()
    del document['gripper'], document['outputs'][1]
    arm = write_arm(tmp_path, document, made.urdf())
    joiner = StateJoiner(arm, Kinematics(arm), same_stamp=False)
    state = joiner.add('joint_states', part(5, **dict.fromkeys(made.names, 0.1)))
    assert (state.gripper, list(state.joints)) == (0.0, made.names)


def test_the_quaternion_of_the_state_does_not_change_its_sign(tmp_path) -> None:
    made = MADE['six']
    arm = write_arm(tmp_path, made.document(), made.urdf())
    kinematics = Kinematics(arm)
    joiner = StateJoiner(arm, kinematics, same_stamp=False)
    states, computed = [], []
    for i, angle in enumerate(np.linspace(0.0, 2 * math.pi, 400)):
        joints = [0.2, -1.2, 1.4, -0.5, -1.3, angle - math.pi]
        computed.append(kinematics.forward(np.array(joints)).quaternion)
        message = part(i, **dict(zip(made.names, joints, strict=True)), finger=0.02)
        states.append(joiner.add('joint_states', message).pose.quaternion)

    def flips(quaternions: list[np.ndarray]) -> int:
        return sum(a @ b < 0 for a, b in itertools.pairwise(quaternions))

    assert flips(computed) > 0
    assert flips(states) == 0
    # After a restart the same pose has the same sign.
    again = StateJoiner(arm, kinematics, same_stamp=False)
    first = part(0, **dict(zip(made.names, [*joints[:5], -math.pi], strict=True)), finger=0.02)
    np.testing.assert_array_equal(again.add('joint_states', first).pose.quaternion, states[0])


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
