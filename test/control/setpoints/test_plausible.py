"""Actions that no policy can mean are refused, with their step and channel."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.control.setpoints.plausible import LONGEST, check_plausible
from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import EE_POSE_NAMES, ActionChunk, ActionSpace

UR, HSR = load_arm('ur5e'), load_arm('hsr')
DT_NS = 50_000_000


def chunk(rows, names, space):
    return ActionChunk(0, DT_NS, np.asarray(rows, dtype=np.float32), space, names)


@pytest.mark.parametrize(
    ('rows', 'names', 'space', 'reason'),
    [
        ([[0.0], [1e30]], ('ee_dx',), ActionSpace.EE_DELTA, "action 1, channel 'ee_dx' is 1e"),
        ([[90.0]], ('elbow_joint',), ActionSpace.JOINT_DELTA, "'elbow_joint' is 90"),
        ([[1.0], [-90.0]], ('elbow_joint',), ActionSpace.JOINT_POSITION, "action 1, channel 'elb"),
        ([[9, 0, 0, 0, 0, 0, 1]], EE_POSE_NAMES, ActionSpace.EE_POSE, "'ee_x' is 9"),
    ],
)
def test_actions_far_beyond_the_limits_are_refused_by_step_and_channel(rows, names, space, reason):
    with pytest.raises(ActionError, match=reason):
        check_plausible(chunk(rows, names, space), UR)


def test_actions_beyond_the_limits_are_for_the_limiter():
    speeds = np.array([[10.0 * joint.velocity * 0.05 for joint in UR.joints]])
    names = tuple(joint.name for joint in UR.joints)
    check_plausible(chunk(speeds, names, ActionSpace.JOINT_DELTA), UR)
    check_plausible(chunk([[50.0]], ('odom_x',), ActionSpace.JOINT_POSITION), HSR)


def test_an_endless_chunk_is_refused():
    with pytest.raises(ActionError, match=f'{LONGEST} are allowed'):
        check_plausible(chunk(np.zeros((LONGEST + 1, 1)), ('ee_dx',), ActionSpace.EE_DELTA), UR)
