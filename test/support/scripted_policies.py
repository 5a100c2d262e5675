"""Policies whose motion is known in advance; only inference is made up, all else is real."""

from __future__ import annotations

import numpy as np

from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.simulation.metaworld import DT_NS
from robomamba_ros.types import ActionChunk, ActionSpace, Observation

CAMERA_SIZE = 64
SPEC = PolicySpec(
    name='double',
    cameras=(CameraSpec('corner2', CAMERA_SIZE, CAMERA_SIZE),),
    state_names=('ee_x', 'ee_y', 'ee_z', 'gripper'),
    action_space=ActionSpace.EE_DELTA,
    action_names=('ee_dx', 'ee_dy', 'ee_dz', 'gripper'),
    horizon=50,
    dt_ns=DT_NS,
    execute_steps=10,
)


class GoTo:
    """Moves towards a place; pixels, instruction and last motion leave a trace in the chunk."""

    spec = SPEC

    def __init__(self, goal: np.ndarray) -> None:
        self._goal = goal

    def reset(self) -> None:
        pass

    def infer(self, observation: Observation) -> ActionChunk:
        weights = np.linspace(-1, 1, observation.images['corner2'].size)
        seen = float(weights @ observation.images['corner2'].ravel()) / 255 / weights.size
        moved = observation.state - observation.previous_state
        step = np.clip((self._goal - observation.state[:3]) / 20, -0.005, 0.005)
        actions = np.zeros((50, 4))
        actions[:, :3] = step + 0.05 * moved[:3] + 1e-3 * seen
        actions[:, 2] += 1e-6 * len(observation.instruction)
        actions[:, 3] = 0.5
        return ActionChunk(
            observation.stamp_ns, DT_NS, actions, SPEC.action_space, SPEC.action_names
        )


class Drift(GoTo):
    """Moves along x by a millimetre a step, for ever: it turns before the arm's workspace ends."""

    def __init__(self) -> None:
        super().__init__(np.zeros(3))
        self._step = 0.001

    def infer(self, observation: Observation) -> ActionChunk:
        if abs(observation.state[0]) > 0.3:
            self._step = -np.copysign(0.001, observation.state[0])
        actions = np.tile([self._step, 0.0, 0.0, 1.0], (50, 1))
        return ActionChunk(
            observation.stamp_ns, DT_NS, actions, SPEC.action_space, SPEC.action_names
        )
