"""What a robot works at: a table with lights and cameras, a cabinet with a drawer, a pump."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.types import Float64Array

DRAWER, DRAWER_JOINT, CABINET = 'drawer', 'drawer_slide', 'cabinet'
PUMP, PUMP_HEAD, PUMP_JOINT = 'pump', 'pump_head', 'pump_slide'
# How high the table in the room is [m]; ours.
ROOM_TABLE_M = 0.45
# How far they move [m].
DRAWER_TRAVEL_M, PUMP_TRAVEL_M = 0.16, 0.025

_WOOD, _LIGHT_WOOD, _GRAY = (0.60, 0.44, 0.30), (0.80, 0.67, 0.48), (0.55, 0.57, 0.60)
_HANDLE, _SOAP, _CAP = (0.20, 0.21, 0.23), (0.35, 0.65, 0.85), (0.95, 0.95, 0.95)
# The cabinet, halves [m]: depth, width, height; where the bar of the handle is from the front.
_DEEP, _WIDE, _HIGH, _PANEL, _BAR_OUT = 0.10, 0.14, 0.065, 0.007, 0.075
_BAR_HEIGHT = 0.105
# Half of the bar [m].
BAR_HALF_M = 0.008
# Halves of the bottle, and of its head [m].
_BOTTLE_R, _BOTTLE_H, _NECK_H, _HEAD_H = 0.035, 0.055, 0.012, 0.012
_HEAD_R = 0.020


@dataclass(frozen=True)
class Fixture:
    """A cabinet or a pump: where it stands [m], how it is turned [rad], and how far it is open [m].

    The drawer of a cabinet that is not turned opens against x.
    """

    kind: str
    x: float
    y: float
    yaw: float
    moved: float = 0.0

    def point(self, local: Float64Array) -> Float64Array:
        """Return a point (3,) of its own frame in the table's [m]."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        x, y, z = local.tolist()
        return np.array([self.x + c * x - s * y, self.y + s * x + c * y, z])

    def handle(self, moved: float) -> Float64Array:
        """Return the middle of a drawer's handle, or the top of a pump, moved so far (3,) [m]."""
        if self.kind == PUMP:
            top = 2.0 * (_BOTTLE_H + _NECK_H + _HEAD_H) - moved
            return np.array([self.x, self.y, top])
        return self.point(np.array([-_DEEP - _PANEL - _BAR_OUT - moved, 0.0, _BAR_HEIGHT]))

    @property
    def out(self) -> Float64Array:
        """The direction in which a drawer opens (3,)."""
        return np.array([-math.cos(self.yaw), -math.sin(self.yaw), 0.0])


def add_table(mujoco: Any, spec: Any, tint: float) -> None:
    """Add a table with its top at z = 0, a floor, a wall and lights; tint: of the wood, about 1."""
    box, world = mujoco.mjtGeom.mjGEOM_BOX, spec.worldbody
    wood = [*(np.array(_WOOD) * tint).clip(0.0, 1.0), 1.0]
    world.add_geom(
        name='table', type=box, size=[0.65, 0.7, 0.02], pos=[0.35, 0.0, -0.02], rgba=wood
    )
    world.add_geom(
        name='floor', type=box, size=[3.0, 3.0, 0.02], pos=[0, 0, -0.8], rgba=[0.5, 0.5, 0.52, 1]
    )
    # Behind the robot, as the front camera sees it.
    _add_wall(mujoco, spec, [0.02, 4, 3], [-1.6, 0, 1])
    _add_lights(spec)


def add_room(mujoco: Any, spec: Any, tint: float) -> None:
    """Add a table with its top at z = 0 that stands in a room with a floor, walls and lights.

    The robot comes from where x is small; tint: of the wood, about 1.
    """
    box, world = mujoco.mjtGeom.mjGEOM_BOX, spec.worldbody
    wood = [*(np.array(_WOOD) * tint).clip(0.0, 1.0), 1.0]
    world.add_geom(
        name='table', type=box, size=[0.32, 0.5, 0.015], pos=[0.62, 0, -0.015], rgba=wood
    )
    # Its legs stand back, so that a base comes near.
    leg = ROOM_TABLE_M / 2.0 - 0.015
    for x in (0.54, 0.90):
        for y in (-0.46, 0.46):
            world.add_geom(type=box, size=[0.02, 0.02, leg], pos=[x, y, -0.03 - leg], rgba=wood)
    world.add_geom(
        name='floor',
        type=box,
        size=[3.5, 3.5, 0.02],
        pos=[0, 0, -ROOM_TABLE_M - 0.02],
        rgba=[0.58, 0.55, 0.50, 1],
    )
    # Cameras on the robot see what is 1 cm before them; the room is large.
    spec.stat.extent, spec.visual.map.znear = 2.0, 0.005
    # Behind and beside the robot, and behind the table as the robot sees it.
    for x in (-2.2, 2.4):
        _add_wall(mujoco, spec, [0.02, 4, 3], [x, 0, 1])
    _add_wall(mujoco, spec, [4, 0.02, 3], [0, -2.6, 1])
    _add_lights(spec)


def _add_wall(mujoco: Any, spec: Any, size: list[float], place: list[float]) -> None:
    box, gray = mujoco.mjtGeom.mjGEOM_BOX, [0.74, 0.76, 0.79, 1]
    spec.worldbody.add_geom(type=box, size=size, pos=place, rgba=gray)


def _add_lights(spec: Any) -> None:
    world = spec.worldbody
    world.add_light(pos=[0.6, 0.8, 2.0], dir=[-0.1, -0.4, -1.0], diffuse=[0.55] * 3)
    world.add_light(pos=[0.6, -0.8, 2.0], dir=[-0.1, 0.4, -1.0], diffuse=[0.25] * 3)
    spec.visual.headlight.ambient = [0.35] * 3
    spec.visual.headlight.diffuse = [0.25] * 3
    spec.visual.headlight.specular = [0.0] * 3


def add_fixture(mujoco: Any, spec: Any, fixture: Fixture) -> None:
    """Put a cabinet or a pump on the table."""
    (_add_pump if fixture.kind == PUMP else _add_cabinet)(mujoco, spec, fixture)


def _add_cabinet(mujoco: Any, spec: Any, fixture: Fixture) -> None:
    box = mujoco.mjtGeom.mjGEOM_BOX
    yaw = fixture.yaw / 2.0
    frame = {'pos': [fixture.x, fixture.y, _HIGH], 'quat': [math.cos(yaw), 0, 0, math.sin(yaw)]}
    cabinet = spec.worldbody.add_body(name=CABINET, **frame)
    wall = _PANEL
    for size, place in (
        ([_DEEP, _WIDE, wall], [0, 0, _HIGH - wall]),
        ([_DEEP, _WIDE, wall], [0, 0, wall - _HIGH]),
        ([_DEEP, wall, _HIGH - 2 * wall], [0, _WIDE - wall, 0]),
        ([_DEEP, wall, _HIGH - 2 * wall], [0, wall - _WIDE, 0]),
        ([wall, _WIDE - 2 * wall, _HIGH - 2 * wall], [_DEEP - wall, 0, 0]),
    ):
        cabinet.add_geom(type=box, size=size, pos=place, rgba=[*_LIGHT_WOOD, 1])
    drawer = cabinet.add_body(name=DRAWER)
    drawer.add_joint(
        name=DRAWER_JOINT,
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[-1, 0, 0],
        range=[0, DRAWER_TRAVEL_M],
        limited=True,
        damping=4.0,
        frictionloss=1.5,
    )
    wide, high = _WIDE - 0.004, _HIGH - 0.006
    color, inside = [0.90, 0.86, 0.78, 1], [0.75, 0.70, 0.6, 1]
    drawer.add_geom(
        type=box, size=[_PANEL, wide, high], pos=[-_DEEP - _PANEL, 0, 0], rgba=color, mass=0.4
    )
    floor = [_DEEP - 0.02, wide - 0.02, 0.004]
    drawer.add_geom(type=box, size=floor, pos=[-0.02, 0, 0.02 - _HIGH], rgba=inside, mass=0.3)
    for side in (-1, 1):
        drawer.add_geom(
            type=box,
            size=[_DEEP - 0.02, 0.004, 0.03],
            pos=[-0.02, side * (wide - 0.02), -0.01],
            rgba=inside,
            mass=0.1,
        )
    out = -_DEEP - _PANEL - _BAR_OUT
    height = _BAR_HEIGHT - _HIGH
    bar = {'rgba': [*_HANDLE, 1], 'mass': 0.05, 'friction': [0.8, 0.005, 0.0001]}
    drawer.add_geom(type=box, size=[BAR_HALF_M, 0.06, BAR_HALF_M], pos=[out, 0, height], **bar)
    for side in (-1, 1):
        post = [out + _BAR_OUT / 2, side * 0.055, height]
        drawer.add_geom(type=box, size=[_BAR_OUT / 2, 0.006, 0.006], pos=post, **bar)
    spec.add_exclude(bodyname1=CABINET, bodyname2=DRAWER)


def _add_pump(mujoco: Any, spec: Any, fixture: Fixture) -> None:
    cylinder = mujoco.mjtGeom.mjGEOM_CYLINDER
    middle = _BOTTLE_H
    yaw = fixture.yaw / 2.0
    bottle = spec.worldbody.add_body(
        name=PUMP,
        pos=[fixture.x, fixture.y, middle],
        quat=[math.cos(yaw), 0, 0, math.sin(yaw)],
    )
    bottle.add_freejoint()
    bottle.add_geom(
        type=cylinder, size=[_BOTTLE_R, _BOTTLE_H, 0], rgba=[*_SOAP, 1], mass=0.5, condim=4
    )
    neck = [0, 0, _BOTTLE_H + _NECK_H]
    seen = {'contype': 0, 'conaffinity': 0, 'mass': 0.01}
    bottle.add_geom(type=cylinder, size=[0.013, _NECK_H, 0], pos=neck, rgba=[*_CAP, 1], **seen)
    head = bottle.add_body(name=PUMP_HEAD, pos=[0, 0, _BOTTLE_H + 2 * _NECK_H + _HEAD_H])
    head.add_joint(
        name=PUMP_JOINT,
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[0, 0, -1],
        range=[0, PUMP_TRAVEL_M],
        limited=True,
        stiffness=250.0,
        damping=6.0,
    )
    head.add_geom(
        type=cylinder, size=[_HEAD_R, _HEAD_H, 0], rgba=[*_CAP, 1], mass=0.03, friction=[1, 0.01, 0]
    )
    head.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.022, 0.007, 0.005],
        pos=[_HEAD_R + 0.018, 0, 0.004],
        rgba=[*_CAP, 1],
        mass=0.005,
    )
    # The head goes down around the neck.
    spec.add_exclude(bodyname1=PUMP, bodyname2=PUMP_HEAD)
