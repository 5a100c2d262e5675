"""Which action is due when, and that chunks integrate as the simulator integrates its mocap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robomamba_ros.control.motion.timeline import (
    executed_steps,
    gap,
    joint_timeline,
    mix,
    pose_timeline,
)
from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import Workspace, load_arm
from robomamba_ros.robots.parts import Joint
from robomamba_ros.spatial.transforms import quaternion_from_rotation_vector, quaternion_multiply
from robomamba_ros.types import EE_DELTA_NAMES, EE_POSE_NAMES, ActionChunk, ActionSpace, Pose

DT = 100
BOX = Workspace(np.array([-0.5, 0.35, -0.15]), np.array([0.5, 1.0, 0.5]))
ANCHOR = Pose(np.array([0.0, 0.6, 0.2]), np.array([0.0, 0.0, 0.0, 1.0]))


def delta_chunk(actions, names=EE_DELTA_NAMES[:3], stamp_ns=1000):
    return ActionChunk(stamp_ns, DT, np.asarray(actions), ActionSpace.EE_DELTA, names)


def test_executed_steps_counts_whole_steps_within_the_horizon():
    chunk = delta_chunk(np.zeros((5, 3)))
    times = (0, 1000, 1099, 1100, 1400, 1499, 1500, 99_999)
    assert [executed_steps(chunk, time) for time in times] == [0, 0, 0, 1, 4, 4, 5, 5]


def test_an_action_moves_the_pose_during_its_own_step():
    timeline = pose_timeline(delta_chunk([[0.01, 0, 0], [0, 0.02, 0]]), ANCHOR, BOX)
    moved = {
        time: (timeline.at(time).position - ANCHOR.position).tolist()
        for time in (0, 1000, 1050, 1100, 1175, 1200, 5000)
    }
    assert moved[0] == moved[1000] == [0, 0, 0]
    assert moved[1050] == pytest.approx([0.005, 0, 0])
    assert moved[1100] == pytest.approx([0.01, 0, 0])
    assert moved[1175] == pytest.approx([0.01, 0.015, 0])
    assert moved[1200] == moved[5000] == pytest.approx([0.01, 0.02, 0])


@settings(deadline=None, max_examples=50)
@given(arrays(np.float32, (30, 3), elements=st.floats(-0.0625, 0.0625, width=32)))
def test_deltas_integrate_as_the_simulator_does(actions):
    timeline = pose_timeline(delta_chunk(actions), ANCHOR, BOX)
    mocap = ANCHOR.position.copy()
    for step, delta in enumerate(actions):
        mocap = np.clip(mocap + delta.astype(np.float64), BOX.lower, BOX.upper)
        pose = timeline.at(1000 + (step + 1) * DT)
        assert np.array_equal(pose.position, mocap)
        assert np.array_equal(pose.quaternion, ANCHOR.quaternion)


def test_a_pose_pushed_against_the_wall_leaves_it_at_the_first_step_back():
    up_then_down = [[0, 0, 0.1]] * 10 + [[0, 0, -0.1]]
    timeline = pose_timeline(delta_chunk(up_then_down), ANCHOR, BOX)
    assert timeline.at(1000 + 10 * DT).position[2] == 0.5
    assert timeline.at(1000 + 11 * DT).position[2] == pytest.approx(0.4)


def test_rotations_compose_step_by_step_about_base_axes():
    quarter = np.pi / 2
    actions = [[0, 0, 0, quarter, 0, 0], [0, 0, 0, 0, 0, quarter]]
    timeline = pose_timeline(delta_chunk(actions, EE_DELTA_NAMES), ANCHOR, BOX)
    about_x = quaternion_from_rotation_vector(np.array([quarter, 0, 0]))
    about_z = quaternion_from_rotation_vector(np.array([0, 0, quarter]))
    expected = quaternion_multiply(about_z, about_x)
    assert timeline.at(1200).quaternion == pytest.approx(expected, abs=1e-7)


def test_absolute_poses_are_reached_at_the_end_of_their_step():
    turned = quaternion_from_rotation_vector(np.array([0, 0, 0.4]))
    actions = [[0.1, 0.6, 0.2, *turned], [0.1, 2.0, 0.2, *turned]]
    chunk = ActionChunk(1000, DT, np.asarray(actions), ActionSpace.EE_POSE, EE_POSE_NAMES)
    timeline = pose_timeline(chunk, ANCHOR, BOX)
    assert timeline.at(1050).position == pytest.approx([0.05, 0.6, 0.2])
    assert timeline.at(1050).quaternion == pytest.approx(
        quaternion_from_rotation_vector(np.array([0, 0, 0.2])), abs=1e-6
    )
    assert timeline.at(1100).position == pytest.approx([0.1, 0.6, 0.2])
    assert timeline.at(1200).position == pytest.approx([0.1, 1.0, 0.2])


def test_the_gripper_follows_the_action_due_and_stays_between_closed_and_open():
    chunk = delta_chunk([[0.0, 0.25], [0.0, 7.0]], ('ee_dx', 'gripper'))
    timeline = pose_timeline(chunk, ANCHOR, BOX)
    assert [timeline.gripper_at(time) for time in (1000, 1099, 1100, 9999)] == [0.25, 0.25, 1, 1]
    assert pose_timeline(delta_chunk(np.zeros((2, 3))), ANCHOR, BOX).gripper_at(1000) is None


@pytest.mark.parametrize(
    ('space', 'names', 'expected'),
    [
        (ActionSpace.JOINT_POSITION, ('j0',), "'joint_position'. .*Valid: ee_delta, ee_pose"),
        (ActionSpace.EE_DELTA, ('ee_dx', 'ee_y'), "'ee_y'.* Did you mean 'ee_dy'"),
        (ActionSpace.EE_DELTA, ('ee_dx', 'ee_dx'), 'given twice'),
        (ActionSpace.EE_POSE, EE_POSE_NAMES[:5], 'lack the channels ee_qz, ee_qw'),
        (ActionSpace.EE_POSE, EE_POSE_NAMES, 'action 0: the quaternion .* has length 0.0000'),
    ],
)
def test_a_chunk_that_is_no_end_effector_motion_is_refused(space, names, expected):
    chunk = ActionChunk(1000, DT, np.zeros((2, len(names))), space, names)
    with pytest.raises(ActionError, match=expected):
        pose_timeline(chunk, ANCHOR, BOX)


# Joints

HSR = load_arm('hsr')
NAMES = [joint.name for joint in HSR.joints]
REST = np.array([0.0, 0.0, 0.0, 0.2, -0.8, 0.0, -0.77, 0.0, 0.0, 0.0])


def joint_chunk(actions, names, space=ActionSpace.JOINT_POSITION):
    return ActionChunk(1000, DT, np.asarray(actions), space, names)


def joints_at(chunk, time):
    timeline = joint_timeline(chunk, REST, HSR.joints, HSR.gripper.joint)
    return dict(zip(NAMES, timeline.at(time) - REST, strict=True))


def test_joint_positions_are_reached_at_the_end_of_their_step_and_others_stay():
    chunk = joint_chunk([[0.3, 0.4], [0.5, 0.4]], ('arm_lift_joint', 'odom_x'))
    assert joints_at(chunk, 1000) == dict.fromkeys(NAMES, 0.0)
    half = joints_at(chunk, 1050)
    assert half['arm_lift_joint'] == pytest.approx(0.05)
    assert half['odom_x'] == pytest.approx(0.2)
    end = joints_at(chunk, 9999)
    moved = {name for name, change in end.items() if change}
    assert moved == {'arm_lift_joint', 'odom_x'}
    assert end['arm_lift_joint'] == pytest.approx(0.3)


def test_joint_deltas_add_up_from_the_anchor_and_turn_back_from_their_end_at_once():
    actions = [[0.4, 0.1]] * 3 + [[-0.1, 0.1]]
    chunk = joint_chunk(actions, ('arm_lift_joint', 'odom_t'), ActionSpace.JOINT_DELTA)
    # The lift ends at 0.69, 0.49 above where it is.
    lifts = [joints_at(chunk, 1000 + step * DT)['arm_lift_joint'] for step in range(5)]
    assert lifts == pytest.approx([0.0, 0.4, 0.49, 0.49, 0.39])
    assert joints_at(chunk, 1400)['odom_t'] == pytest.approx(0.4)


def test_a_joint_outside_its_limits_is_not_told_to_jump_back():
    anchor = REST.copy()
    anchor[3] = 0.75
    chunk = joint_chunk([[0.1], [-0.2]], ('arm_lift_joint',), ActionSpace.JOINT_DELTA)
    timeline = joint_timeline(chunk, anchor, HSR.joints, HSR.gripper.joint)
    assert [timeline.at(time)[3] for time in (1000, 1100, 1200)] == pytest.approx(
        [0.75, 0.75, 0.55]
    )


@pytest.mark.parametrize(
    ('space', 'names', 'expected'),
    [
        (
            ActionSpace.EE_DELTA,
            ('ee_dx',),
            "joint actions 'ee_delta'. .*Valid: joint_delta, joint_p",
        ),
        (ActionSpace.JOINT_DELTA, ('arm_lift',), "'arm_lift'. Did you mean 'arm_lift_joint'"),
        (ActionSpace.JOINT_DELTA, ('odom_x', 'odom_x'), 'given twice'),
        (ActionSpace.JOINT_POSITION, ('hand_motor_joint',), "by the channel 'gripper', 0..1"),
    ],
)
def test_a_chunk_that_is_no_joint_motion_is_refused(space, names, expected):
    with pytest.raises(ActionError, match=expected):
        joints_at(joint_chunk(np.zeros((2, len(names))), names, space), 1000)


def test_the_channel_of_the_gripper_may_be_called_as_its_joint():
    arm = load_arm('so101')
    assert arm.gripper.joint == 'gripper'
    chunk = joint_chunk([[0.1, 0.5]], ('elbow_flex', 'gripper'), ActionSpace.JOINT_DELTA)
    timeline = joint_timeline(chunk, np.zeros(5), arm.joints, arm.gripper.joint)
    assert timeline.at(1100).tolist() == pytest.approx([0.0, 0.0, 0.1, 0.0, 0.0])
    assert timeline.gripper_at(1050) == 0.5


def test_a_gap_is_a_way_and_a_turn_or_that_of_the_joint_which_is_furthest_off():
    turned = Pose(
        ANCHOR.position + np.array([0.03, 0.04, 0]),
        quaternion_from_rotation_vector(np.array([0, 0.2, 0])),
    )
    assert gap(ANCHOR, turned) == pytest.approx((0.05, 0.2, 0.0))
    assert gap(REST, REST + np.linspace(0.0, -0.3, len(REST))) == pytest.approx((0, 0, 0.3))
    for call in (gap, lambda one, other: mix(one, other, 0.5)):
        with pytest.raises(ActionError, match=r'a pose cannot be .* with joint positions'):
            call(ANCHOR, REST)


def test_a_position_of_a_joint_that_wraps_is_reached_by_the_shorter_way():
    joints = (
        Joint('yaw', 'arm', (-np.inf, np.inf), 1.0, 1.0, None, None),
        Joint('bent', 'arm', (-4.0, 4.0), 1.0, 1.0, None, None),
    )
    chunk = ActionChunk(
        0, DT, np.array([[-3.13, -3.13]]), ActionSpace.JOINT_POSITION, ('yaw', 'bent')
    )
    end = joint_timeline(chunk, np.array([3.13, 3.13]), joints, 'hand').at(DT)
    assert end == pytest.approx([2.0 * np.pi - 3.13, -3.13], abs=1e-6)
