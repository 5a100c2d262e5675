"""Things on a table, of simple shapes: fruit, cans, boxes, cups and bowls that can be gripped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.types import Float64Array

COLORS: Mapping[str, tuple[float, float, float]] = {
    'red': (0.80, 0.10, 0.10),
    'green': (0.15, 0.55, 0.18),
    'blue': (0.12, 0.25, 0.75),
    'yellow': (0.95, 0.80, 0.12),
    'orange': (0.95, 0.47, 0.08),
    'white': (0.95, 0.95, 0.95),
}
_BROWN, _LEAF, _METAL = (0.35, 0.22, 0.10), (0.20, 0.50, 0.15), (0.75, 0.76, 0.78)
# Sliding, torsional [m] and rolling [m] friction on the table; fruit comes to rest, too.
_FRICTION = (0.6, 0.005, 0.0008)
# Walls of hollow things are this many flat pieces, and this thick [m].
_PIECES, _WALL_M = 10, 0.004


@dataclass(frozen=True)
class Kind:
    """What a thing is. colors: that it comes in. radius: half of what a hand grips, and height [m].

    mass [kg]. stands: whether it has a bottom to stand on. grip: whether the hand can grip it.
    """

    colors: tuple[str, ...]
    radius: float
    height: float
    mass: float
    stands: bool = True
    grip: bool = True


KINDS: Mapping[str, Kind] = {
    'apple': Kind(('red', 'green'), 0.030, 0.060, 0.11, stands=False),
    'lemon': Kind(('yellow',), 0.025, 0.050, 0.08, stands=False),
    'orange': Kind(('orange',), 0.031, 0.062, 0.13, stands=False),
    'can': Kind(('red', 'green', 'blue'), 0.028, 0.095, 0.20),
    'box': Kind(('red', 'yellow', 'blue'), 0.021, 0.090, 0.12),
    'cup': Kind(('white', 'red', 'blue'), 0.030, 0.075, 0.12),
    'bowl': Kind(('white', 'green', 'blue'), 0.062, 0.045, 0.25, grip=False),
}
# The long side of a box [m], from the middle.
_BOX_LONG_M = 0.034


@dataclass(frozen=True)
class Thing:
    """A thing, its body's name, where it stands on the table [m], and its turn about z [rad]."""

    body: str
    kind: str
    color: str
    x: float
    y: float
    yaw: float

    @property
    def place(self) -> Float64Array:
        """Where its middle is when it stands on the table: (3,) [m]."""
        return np.array([self.x, self.y, KINDS[self.kind].height / 2.0])

    @property
    def stands(self) -> bool:
        """Whether it has a bottom to stand on."""
        return KINDS[self.kind].stands

    @property
    def grip_height(self) -> float:
        """How far over the table it is gripped [m]: at its middle, unless the hand is too low."""
        height = KINDS[self.kind].height
        return max(height / 2.0, height - 0.033, 0.025)


def add_thing(mujoco: Any, spec: Any, thing: Thing) -> None:
    """Put a thing that moves freely into a model, its middle as the origin of its body."""
    kind = KINDS[thing.kind]
    body = spec.worldbody.add_body(
        name=thing.body,
        pos=thing.place.tolist(),
        quat=[math.cos(thing.yaw / 2.0), 0.0, 0.0, math.sin(thing.yaw / 2.0)],
    )
    body.add_freejoint()
    maker = {'can': _can, 'box': _box, 'cup': _hollow, 'bowl': _hollow}.get(thing.kind, _fruit)
    maker(mujoco, body, kind, thing)
    for geom in body.geoms:
        if geom.contype:
            geom.condim, geom.friction = 6, _FRICTION


def _fruit(mujoco: Any, body: Any, kind: Kind, thing: Thing) -> None:
    geom, r = mujoco.mjtGeom, kind.radius
    # A lemon is longer than it is wide; the hand grips it across.
    long = 1.35 * r if thing.kind == 'lemon' else r
    body.add_geom(type=geom.mjGEOM_ELLIPSOID, size=[long, r, r], mass=kind.mass, rgba=_rgba(thing))
    if thing.kind != 'lemon':
        _seen(body, geom.mjGEOM_CYLINDER, [0.002, 0.007, 0.0], (0.0, 0.0, r + 0.004), _BROWN)
    if thing.kind == 'apple':
        _seen(body, geom.mjGEOM_ELLIPSOID, [0.011, 0.005, 0.002], (0.011, 0.0, r + 0.007), _LEAF)


def _can(mujoco: Any, body: Any, kind: Kind, thing: Thing) -> None:
    cylinder, half = mujoco.mjtGeom.mjGEOM_CYLINDER, kind.height / 2.0
    body.add_geom(type=cylinder, size=[kind.radius, half, 0.0], mass=kind.mass, rgba=_rgba(thing))
    for end in (-1.0, 1.0):
        rim = (0.0, 0.0, end * (half - 0.003))
        _seen(body, cylinder, [kind.radius + 0.0005, 0.0035, 0.0], rim, _METAL)


def _box(mujoco: Any, body: Any, kind: Kind, thing: Thing) -> None:
    box, half = mujoco.mjtGeom.mjGEOM_BOX, kind.height / 2.0
    size = [_BOX_LONG_M, kind.radius, half]
    body.add_geom(type=box, size=size, mass=kind.mass, rgba=_rgba(thing))
    label = [0.6 * _BOX_LONG_M, kind.radius + 0.0005, 0.4 * half]
    _seen(body, box, label, (0.0, 0.0, 0.2 * half), COLORS['white'])


def _hollow(mujoco: Any, body: Any, kind: Kind, thing: Thing) -> None:
    """A bottom and walls of flat pieces; those of a bowl lean out."""
    geom, half = mujoco.mjtGeom, kind.height / 2.0
    lean = 0.45 if thing.kind == 'bowl' else 0.0
    foot = kind.radius - 2.0 * half * math.tan(lean)
    share = kind.mass / (_PIECES + 2)
    bottom = {'pos': [0.0, 0.0, _WALL_M - half], 'mass': 2.0 * share, 'rgba': _rgba(thing)}
    body.add_geom(type=geom.mjGEOM_CYLINDER, size=[foot, _WALL_M, 0.0], **bottom)
    middle = (foot + kind.radius) / 2.0 - _WALL_M / 2.0
    width = kind.radius * math.tan(math.pi / _PIECES)
    for number in range(_PIECES):
        angle = 2.0 * math.pi * number / _PIECES
        turn, tilt = np.zeros(4), np.zeros(4)
        mujoco.mju_axisAngle2Quat(turn, [0.0, 0.0, 1.0], angle)
        mujoco.mju_axisAngle2Quat(tilt, [0.0, 1.0, 0.0], lean)
        both = np.zeros(4)
        mujoco.mju_mulQuat(both, turn, tilt)
        body.add_geom(
            type=geom.mjGEOM_BOX,
            size=[_WALL_M / 2.0, width, half / math.cos(lean)],
            pos=[middle * math.cos(angle), middle * math.sin(angle), 0.0],
            quat=both.tolist(),
            mass=share,
            rgba=_rgba(thing),
        )


def _seen(
    body: Any,
    kind: Any,
    size: list[float],
    place: tuple[float, float, float],
    color: tuple[float, float, float],
) -> None:
    """Add a shape that is only looked at."""
    body.add_geom(
        type=kind, size=size, pos=list(place), rgba=[*color, 1.0], contype=0, conaffinity=0, mass=0
    )


def _rgba(thing: Thing) -> list[float]:
    return [*COLORS[thing.color], 1.0]
