"""The robots that are simulated with masses, by the names of their tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from robomamba_ros.simulation.robots import franka, hsr
from robomamba_ros.simulation.robots.arrangement import Arrangement
from robomamba_ros.simulation.robots.cameras import View
from robomamba_ros.simulation.robots.furniture import ROOM_TABLE_M, add_room, add_table
from robomamba_ros.simulation.robots.robot import Hand, Robot
from robomamba_ros.types import EE_DELTA_NAMES, GRIPPER_NAME, ActionSpace


def _at_table(mujoco: Any, spec: Any, scene: Arrangement) -> None:
    add_table(mujoco, spec, scene.tint)


def _in_room(mujoco: Any, spec: Any, scene: Arrangement) -> None:
    """Put the base on the floor, where the scene has it begin."""
    add_room(mujoco, spec, scene.tint)
    x, y, _ = scene.start.tolist()
    half = scene.start_turn / 2.0
    base = spec.body(hsr.BASE)
    base.pos, base.quat = [x, y, -ROOM_TABLE_M], [math.cos(half), 0.0, 0.0, math.sin(half)]


def _by_hand(scene: Arrangement) -> dict[str, float]:
    return {}


def _driving(scene: Arrangement) -> dict[str, float]:
    """Begin with the hand level and ahead, as high as the scene has it, looking down a little."""
    arm = (float(scene.start[2]), -0.8, 0.0, -0.77, 0.0)
    joints = (*hsr.BASE_JOINTS, *hsr.ARM_JOINTS, *hsr.HEAD_JOINTS)
    return dict(zip(joints, (0.0, 0.0, 0.0, *arm, 0.0, -0.45), strict=True))


FR3 = Robot(
    name='fr3',
    title='FR3',
    arm='fr3_sim',
    model='franka_fr3',
    urdf=franka.fr3_urdf,
    spec=franka.fr3_spec,
    motors=franka.MOTORS,
    tip=franka.TCP,
    fingers=franka.FINGERS,
    # The end effector is in the middle of the pads, 9 mm behind the tips.
    hand=Hand(lambda _: 0.0, lambda _: 0.009, 1.0),
    # One before the table that sees robot and things, one on the hand, between the fingers.
    views=(
        View('front', 'world', (1.20, 0.40, 0.66), (0.44, 0.0, 0.13), (0.0, 0.0, 1.0), 42.0),
        View('wrist', franka.HAND, (0.070, 0.0, 0.0), (0.030, 0.0, 0.13), (1.0, 0.0, 0.0), 75.0),
    ),
    surround=_at_table,
    begin=_by_hand,
    actions=ActionSpace.EE_DELTA,
    action_names=(*EE_DELTA_NAMES, GRIPPER_NAME),
    joint_names=franka.ARM_JOINTS,
    rate_hz=1000.0,
    max_s=15.0,
)
HSR = Robot(
    name='hsr',
    title='HSR',
    arm='hsr_sim',
    model='hsr',
    urdf=hsr.hsr_urdf,
    spec=hsr.hsr_spec,
    motors=hsr.MOTORS,
    tip=hsr.TIP,
    fingers=hsr.FINGERS,
    hand=Hand(hsr.pads_ahead, hsr.tips_ahead, 0.6),
    # Of the Xtion on the head, 58 by 45 degrees. That of the hand is ours, and so is the one beside
    # the table.
    views=(
        View('head', 'head_rgbd_sensor_link', (0.0,) * 3, (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 45.0),
        View('hand', 'hand_camera_frame', (0.0,) * 3, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), 70.0),
        View('external', 'world', (0.05, 1.75, 0.80), (0.22, -0.05, 0.06), (0.0, 0.0, 1.0), 45.0),
    ),
    surround=_in_room,
    begin=_driving,
    actions=ActionSpace.JOINT_DELTA,
    action_names=(*hsr.JOINTS[:-1], GRIPPER_NAME),
    joint_names=hsr.JOINTS[:-1],
    rate_hz=500.0,
    max_s=30.0,
    base=hsr.BASE,
    slip=hsr.SLIP,
)
ROBOTS: Mapping[str, Robot] = {robot.name: robot for robot in (FR3, HSR)}


def robot_with(task: str) -> Robot:
    """Return the robot that a task `robot/task` is for."""
    return ROBOTS[task.partition('/')[0]]
