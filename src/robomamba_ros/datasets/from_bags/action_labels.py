"""The actions that recorded motion or commands correspond to, in any action space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robomamba_ros.bags.resampling import Sample
from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.messages.commands import Target
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.spatial.transforms import turn_between
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    GRIPPER_NAME,
    ActionSpace,
    Float32Array,
    Pose,
    RobotState,
)


def action_names(space: ActionSpace, arm: ArmContract) -> tuple[str, ...]:
    """Return every channel of an action space of an arm, that of a gripper last."""
    joints = tuple(joint.name for joint in arm.joints)
    names = {ActionSpace.EE_DELTA: EE_DELTA_NAMES, ActionSpace.EE_POSE: EE_POSE_NAMES}
    hand = (GRIPPER_NAME,) if arm.gripper is not None else ()
    return (*names.get(space, joints), *hand)


def state_names(space: ActionSpace, arm: ArmContract) -> tuple[str, ...]:
    """Return the channels of the state that go with an action space."""
    ends = (ActionSpace.EE_DELTA, ActionSpace.EE_POSE)
    return action_names(ActionSpace.EE_POSE if space in ends else space, arm)


def check_names(kind: str, names: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    """Raise ConfigError for a channel that is not there or is given twice."""
    for name in names:
        if name not in allowed:
            raise ConfigError(unknown_name(f'{kind} channel', name, allowed))
        if names.count(name) > 1:
            raise ConfigError(f"{kind} channel '{name}' is given twice")


@dataclass(frozen=True)
class ActionLabels:
    """Makes the actions of samples.

    names: channels. kinematics: for the pose of an arm whose commands are joint positions.
    """

    space: ActionSpace
    names: tuple[str, ...]
    kinematics: Kinematics | None = None

    def action(self, sample: Sample) -> Float32Array:
        """Return what the arm is to do from a sample to the next (d_a,), float32.

        Where a part of the robot has commands: to the commanded place at the next tick, in the
        delta spaces from the commanded place at this one. Else likewise with measured places.
        """
        start = self._place(sample.state, sample.targets)
        end = self._place(sample.next_state, sample.next_targets)
        values = {GRIPPER_NAME: end.gripper}
        if self.space is ActionSpace.EE_DELTA:
            way = end.pose.position - start.pose.position
            turn = turn_between(start.pose, end.pose)
            values.update(zip(EE_DELTA_NAMES, (*way.tolist(), *turn.tolist()), strict=True))
        elif self.space is ActionSpace.EE_POSE:
            turned = end.pose.quaternion
            # A quaternion and its negative are the same rotation; here it is the one that the
            # state has, so that equal motion has equal actions.
            if float(turned @ sample.state.pose.quaternion) < 0.0:
                turned = -turned
            pose = (*end.pose.position.tolist(), *turned.tolist())
            values.update(zip(EE_POSE_NAMES, pose, strict=True))
        elif self.space is ActionSpace.JOINT_DELTA:
            values.update({name: end.joints[name] - start.joints[name] for name in end.joints})
        else:
            values.update(end.joints)
        return np.array([values[name] for name in self.names], dtype=np.float32)

    def _place(self, state: RobotState, targets: Mapping[str, Target]) -> RobotState:
        """Return where the robot is sent; where nothing sends it, where it is."""
        pose: Pose | None = None
        gripper, joints = state.gripper, dict(state.joints)
        for target in targets.values():
            pose = target.pose or pose
            joints.update(target.joints)
            gripper = gripper if target.opening is None else target.opening
        if pose is None and 'arm' in targets and self.kinematics is not None:
            pose = self.kinematics.forward(
                np.array([joints[name] for name in self.kinematics.names])
            )
        return RobotState(state.stamp_ns, pose or state.pose, gripper, joints)
