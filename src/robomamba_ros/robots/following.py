"""How far an arm may be from its command before that is a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.common.config_file import Section
from robomamba_ros.robots.parts import CartesianLimits, Joint
from robomamba_ros.types import Float64Array

# How long an arm may be behind [s]: a lag of 100 ms leaves a tenth of itself after that.
LAG_S = 0.25
# What is allowed beyond the lag, as a time at the limit of velocity [s]. A base, whose odometry
# slips, and poses, which add up the errors of all joints, get more.
_JOINT_S, _BASE_S, _POSE_S = 0.02, 0.25, 0.05


@dataclass(frozen=True)
class FollowingLimits:
    """The following error that is allowed; None is derived from the limits of velocity.

    lag_s: how long the arm may take to reach a command [s]. position [m], rotation [rad]: of an
    end effector that is commanded by poses. Joints have their own (see Joint).
    """

    lag_s: float = LAG_S
    position: float | None = None
    rotation: float | None = None

    def of_pose(self, limits: CartesianLimits) -> tuple[float, float]:
        """Return what is allowed of the end effector: a way [m] and a turn [rad]."""
        position, rotation = self.position, self.rotation
        return (
            _POSE_S * limits.velocity if position is None else position,
            _POSE_S * limits.rotation_velocity if rotation is None else rotation,
        )


def joint_tolerance(joints: Sequence[Joint]) -> Float64Array:
    """Return the following error that is allowed of each joint (n,) [rad or m]."""
    times_s = (_BASE_S if joint.part == 'base' else _JOINT_S for joint in joints)
    return np.array(
        [
            time_s * joint.velocity if joint.following is None else joint.following
            for joint, time_s in zip(joints, times_s, strict=True)
        ]
    )


def read_following(root: Section) -> FollowingLimits:
    """Return the section `following` of a contract, which may be absent."""
    if not root.has('following'):
        return FollowingLimits()
    units = {'lag_s': 's', 'position': 'm', 'rotation': 'rad'}
    section = root.section('following', (), tuple(units))
    return FollowingLimits(
        **{key: section.positive(key, unit) for key, unit in units.items() if section.has(key)}
    )
