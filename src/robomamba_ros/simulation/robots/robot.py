"""What a robot is to its simulation: its model, contract, cameras, surroundings, and its hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.simulation.robots.arrangement import Arrangement
from robomamba_ros.simulation.robots.cameras import View
from robomamba_ros.simulation.robots.motors import Motor
from robomamba_ros.simulation.robots.scene import pointing_down
from robomamba_ros.types import EE_POSE_NAMES, GRIPPER_NAME, ActionSpace, Float64Array, Pose


@dataclass(frozen=True)
class Hand:
    """How a hand grips from above.

    pads, tips: how far before the end effector the pads and the tips of its fingers are where they
    hold something of a half width [m]. opening: of its gripper before it grips.
    """

    pads: Callable[[float], float]
    tips: Callable[[float], float]
    opening: float

    def gripping(self, point: Float64Array, turn: float, half_width: float) -> Pose:
        """Return where the end effector is that grips at a point (3,), turned about z [rad]."""
        return pointing_down(point + np.array([0.0, 0.0, self.pads(half_width)]), turn)

    @property
    def closed_tips(self) -> float:
        """How far the tips of closed fingers are before their pads [m]."""
        return self.tips(0.004) - self.pads(0.004)


@dataclass(frozen=True)
class Robot:
    """A robot that is simulated with masses, motors and contacts.

    name: of its tasks, `name/task`. title: what it is called in words. arm: its contract. model:
    what a data set calls it. urdf: its text. spec: gives its mjSpec. motors: of its joints. tip:
    the body that is the end effector. fingers: bodies that grip. hand: how they do. views: its
    cameras. surround: puts it and what is around it into a model. begin: positions by joint at the
    begin of a scene, the gripper's not among them; those that it leaves out follow from where the
    scene has the end effector. actions: what its experts command. rate_hz: of its controllers.
    max_s: how long an episode lasts at most [s]. base: the body of a base that drives, else ''.
    slip: the largest share of the way of its wheels that the base does not go.
    """

    name: str
    title: str
    arm: str
    model: str
    urdf: Callable[[], str]
    spec: Callable[[Any], Any]
    motors: tuple[Motor, ...]
    tip: str
    fingers: tuple[str, ...]
    hand: Hand
    views: tuple[View, ...]
    surround: Callable[[Any, Any, Arrangement], None]
    begin: Callable[[Arrangement], dict[str, float]]
    actions: ActionSpace
    action_names: tuple[str, ...]
    joint_names: tuple[str, ...]
    rate_hz: float
    max_s: float
    base: str = ''
    slip: float = 0.0

    @property
    def cameras(self) -> tuple[str, ...]:
        """Its cameras, by name."""
        return tuple(view.name for view in self.views)

    @property
    def state_names(self) -> tuple[str, ...]:
        """What a policy is shown as a state: place of the hand, gripper, all joints."""
        return (*EE_POSE_NAMES[:3], GRIPPER_NAME, *self.joint_names)
