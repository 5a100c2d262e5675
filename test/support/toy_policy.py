"""A policy that answers with what it sees, and buffers to show it something."""

from __future__ import annotations

import numpy as np

from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.types import ActionChunk, ActionSpace, Pose, RobotState

DT = 12_500_000
SECOND = 1_000_000_000
SPEC = PolicySpec(
    name='toy',
    cameras=(CameraSpec('front', 4, 6), CameraSpec('wrist', 2, 2)),
    state_names=('ee_x', 'gripper'),
    action_space=ActionSpace.EE_DELTA,
    action_names=('ee_dx',),
    horizon=5,
    dt_ns=DT,
    execute_steps=3,
)
STREAMS = {'joint_states': 0.1, 'ee_pose': 0.1}
FRONT = np.full((4, 6, 3), 7, np.uint8)
WRIST = np.full((2, 2, 3), 9, np.uint8)


def state(stamp_ns, x=0.0, gripper=1.0):
    return RobotState(stamp_ns, Pose(np.array([x, 0, 0]), np.array([0, 0, 0, 1.0])), gripper)


class ToyPolicy:
    """Answers with the x it sees; counts resets."""

    spec = SPEC

    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1

    def infer(self, observation):
        actions = np.full((SPEC.horizon, 1), observation.state[0])
        return ActionChunk(observation.stamp_ns, DT, actions, SPEC.action_space, SPEC.action_names)


def empty_buffer():
    buffer = ObservationBuffer(SPEC, {'front': 0.5, 'wrist': 0.2, 'unused': 9.0}, STREAMS)
    buffer.set_instruction('open the drawer')
    return buffer


def fill(buffer, stamp_ns, x=0.0):
    buffer.add_image('front', stamp_ns, FRONT)
    buffer.add_image('wrist', stamp_ns, WRIST)
    buffer.add_state(state(stamp_ns, x))
