"""Makes the physics of a scene, and looks into it for the rules of success."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from robomamba_ros.simulation.robots.arrangement import Arrangement
from robomamba_ros.simulation.robots.furniture import CABINET, DRAWER_JOINT, add_fixture
from robomamba_ros.simulation.robots.things import add_thing
from robomamba_ros.simulation.robots.world import World
from robomamba_ros.types import Float64Array, Pose

# Things have come to rest where they were put, but for this [m].
_SETTLED_M = 0.02


def make_scene(mujoco: Any, spec: Any, scene: Arrangement, make: Callable[[Any], World]) -> World:
    """Return a scene before the robot of a model; make: a world from a model."""
    for thing in scene.things:
        add_thing(mujoco, spec, thing)
    fixture = scene.fixture
    if fixture is not None:
        add_fixture(mujoco, spec, fixture)
    world = make(spec)
    if fixture is not None and fixture.kind == CABINET:
        world.data.joint(DRAWER_JOINT).qpos[0] = fixture.moved
    mujoco.mj_forward(world.model, world.data)
    return world


def pointing_down(position: Float64Array, turn: float) -> Pose:
    """Return the pose of a hand that points down, at a position (3,), turned about z [rad].

    Without a turn its x axis is that of the base, and its fingers open along y.
    """
    # Half a turn about x, then `turn` about z.
    return Pose(position, np.array([math.cos(turn / 2.0), math.sin(turn / 2.0), 0.0, 0.0]))


class SceneLook:
    """A scene as the rules see it (see Look); what is there when it is made is its begin."""

    def __init__(self, world: World, fingers: Sequence[str]) -> None:
        self._world = world
        data = world.data
        self._began = np.array(data.xpos)
        self._axes = np.array(data.xmat).reshape(-1, 3, 3)[:, :, 2]
        self._fingers = [world.model.body(name).id for name in fingers]

    def position(self, body: str) -> Float64Array:
        """Return where a body is (3,) [m]."""
        return np.array(self._world.data.body(body).xpos)

    def began(self, body: str) -> Float64Array:
        """Return where it was when the episode began (3,) [m]."""
        return np.array(self._began[self._id(body)])

    def speed(self, body: str) -> float:
        """Return how fast it moves [m/s]."""
        return float(np.linalg.norm(self._world.data.body(body).cvel[3:]))

    def upright(self, body: str) -> float:
        """Return the cosine of how far its z axis is from where it pointed at the begin."""
        axis = self._world.data.body(body).xmat.reshape(3, 3)[:, 2]
        return float(axis @ self._axes[self._id(body)])

    def touched(self, body: str) -> int:
        """Return how many fingers touch it."""
        data, number = self._world.data, self._id(body)
        if data.ncon == 0:
            return 0
        pairs = self._world.model.geom_bodyid[data.contact.geom]
        with_it = pairs[(pairs == number).any(axis=1)]
        return sum(bool((with_it == finger).any()) for finger in self._fingers)

    def moved(self, joint: str) -> float:
        """Return where a joint is [m]."""
        return float(self._world.data.joint(joint).qpos[0])

    def stands(self, scene: Arrangement) -> bool:
        """Tell whether things came to rest where they were put, and did not roll away."""
        return all(
            np.linalg.norm(self.position(thing.body) - thing.place) < _SETTLED_M
            for thing in scene.things
        )

    def _id(self, body: str) -> int:
        return int(self._world.model.body(body).id)
