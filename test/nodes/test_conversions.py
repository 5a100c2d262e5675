from __future__ import annotations

import math

import numpy as np
import pytest
from sensor_msgs.msg import JointState

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.state import gripper_opening, nanoseconds, pose_from_stamped
from robomamba_ros.nodes.common.conversions import (
    duration_message,
    gripper_command,
    pose_to_stamped,
    time_message,
)
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import Pose

ARM = load_arm('sawyer_sim')
POSE = Pose(np.array([0.1, 0.6, 0.2]), np.array([0.5, -0.5, 0.5, 0.5]))


def joint_state(**changes: float) -> JointState:
    positions = {joint.name: 0.1 * i for i, joint in enumerate(ARM.joints)}
    positions |= {'gripper': 0.25, 'head_pan': 7.0, **changes}
    return JointState(name=list(positions), position=list(positions.values()))


@pytest.mark.parametrize('stamp', [0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789])
def test_stamps_and_durations_keep_every_nanosecond(stamp: int) -> None:
    assert nanoseconds(time_message(stamp)) == stamp
    assert nanoseconds(duration_message(stamp)) == stamp


def test_a_pose_keeps_every_bit() -> None:
    message = pose_to_stamped(POSE, 12, 'base')
    back = pose_from_stamped(message, 'base')
    assert (nanoseconds(message.header.stamp), message.header.frame_id) == (12, 'base')
    assert back.position.tolist() == POSE.position.tolist()
    assert back.quaternion.tolist() == POSE.quaternion.tolist()


def test_a_pose_in_another_frame_is_refused() -> None:
    with pytest.raises(ObservationError, match=r"frame 'map', the arm's base frame is 'base'"):
        pose_from_stamped(pose_to_stamped(POSE, 0, 'map'), 'base')


def test_a_pose_that_is_not_finite_is_refused() -> None:
    message = pose_to_stamped(POSE, 0, 'base')
    message.pose.position.x = math.nan
    with pytest.raises(ObservationError, match='must be finite'):
        pose_from_stamped(message, 'base')


@pytest.mark.parametrize('opening', [0.0, 0.3, 1.0])
def test_a_gripper_command_means_the_opening_it_was_made_from(opening: float) -> None:
    message = gripper_command(opening, 9, ARM)
    assert nanoseconds(message.header.stamp) == 9
    assert gripper_opening(message, ARM) == opening


def test_an_opening_beyond_the_grippers_range_is_clipped() -> None:
    assert gripper_opening(joint_state(gripper=1.2), ARM) == 1.0
    assert gripper_opening(joint_state(gripper=-0.2), ARM) == 0.0
