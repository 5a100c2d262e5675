"""Where a pose target is said to be, and from where the approach to it begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from robomamba_ros.errors import ActionError
from robomamba_ros.messages.state import pose_from_message
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.chunk_messages import messages_to_chunk
from robomamba_ros.nodes.policy.outputs import PolicyOutputs
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import Pose, PoseTarget, RobotState

UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])
# Half a turn about z: the camera's x and y point against those of the end effector.
TURNED = np.array([0.0, 0.0, 1.0, 0.0])


def arm_with(**camera):
    arm = load_arm('sawyer_sim')
    placed = replace(arm.cameras[0], **{'base_T_camera': None, 'ee_T_camera': None, **camera})
    return replace(arm, cameras=(placed,))


def pose(x, y, z, quaternion=UPRIGHT):
    return Pose(np.array([x, y, z]), quaternion)


def state(pose):
    return RobotState(5, pose, 1.0)


TARGET = PoseTarget(
    stamp_ns=5,
    frame='corner2',
    pose=pose(0.0, 0.1, 0.1),
    pre_contact=pose(0.0, 0.1, 0.05),
    retreat=pose(0.0, 0.1, -0.1),
)


def test_a_camera_on_the_end_effector_is_where_that_was_at_the_stamp(peer) -> None:
    arm = arm_with(ee_T_camera=pose(0.0, 0.05, 0.0, TURNED))
    outputs = PolicyOutputs(peer.node, arm, follow_targets=True)
    found = peer.record(PoseStamped, 'pose_target', qos.COMMAND)
    chunks = peer.record(MultiDOFJointTrajectory, 'action_chunk', qos.COMMAND)
    joints = peer.record(JointTrajectory, 'joint_chunk', qos.COMMAND)
    for topic in ('pose_target', 'action_chunk', 'joint_chunk'):
        peer.wait_for(lambda t=topic: peer.node.count_subscribers(t) == 1, topic)
    then, now = state(pose(0.1, 0.6, 0.2)), pose(0.3, 0.8, 0.4)
    outputs.publish(TARGET, then, now, 5)
    peer.wait_for(lambda: bool(found and chunks and joints), 'the target and its approach')
    np.testing.assert_allclose(pose_from_message(found[0].pose).position, [0.1, 0.55, 0.3])
    actions = messages_to_chunk(chunks[0], joints[0], 'base').actions
    np.testing.assert_allclose(actions[0, :3], now.position, atol=1e-3)
    np.testing.assert_allclose(actions[-1, :3], [0.1, 0.55, 0.1], atol=1e-6)
    assert (outputs.targets, outputs.chunks) == (1, 1)
    outputs.destroy()


def test_a_frame_that_is_nowhere_is_refused(peer) -> None:
    outputs = PolicyOutputs(peer.node, arm_with(), follow_targets=True)
    with pytest.raises(ActionError, match="in the frame 'corner2': neither the base frame 'base'"):
        outputs.publish(TARGET, state(pose(0.1, 0.6, 0.2)), pose(0.1, 0.6, 0.2), 5)
    assert (outputs.targets, outputs.chunks) == (0, 0)
    outputs.destroy()
