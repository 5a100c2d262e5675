"""What may differ in a scene from where demonstrations are made: camera, table, start, things.

The things are seen and cannot be touched: they change what an image shows, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.spatial.transforms import quaternion_from_rotation_vector, quaternion_multiply
from robomamba_ros.types import Float64Array

TABLE_MATERIALS = ('basic_floor', 'table_wood', 'table_col')
PLAIN = (1.0, 1.0, 1.0)
NOWHERE = (0.0, 0.0, 0.0)
# Of a thing: half its width and height [m]; where its middle may be, beside what tasks use.
THING_M = 0.025
THING_X_M, THING_Y_M = (0.25, 0.4), (0.5, 0.85)
SHAPES = ('mjGEOM_BOX', 'mjGEOM_CYLINDER', 'mjGEOM_SPHERE')
COLORS = ((0.9, 0.7, 0.1), (0.2, 0.7, 0.3), (0.3, 0.3, 0.9), (0.8, 0.3, 0.7))


@dataclass(frozen=True)
class Thing:
    """Something that lies on the table: one of SHAPES, place (3,) [m], red, green and blue."""

    shape: str
    place: tuple[float, float, float]
    color: tuple[float, float, float]


@dataclass(frozen=True)
class SceneChange:
    """How a scene differs from the benchmark's; as it comes, it does not.

    moved [m], turned (a rotation vector) [rad]: of the camera, base axes. tint: factors of red,
    green and blue of table and floor. start: of the hand [m]. things: on the table.
    """

    moved: tuple[float, float, float] = NOWHERE
    turned: tuple[float, float, float] = NOWHERE
    tint: tuple[float, float, float] = PLAIN
    start: tuple[float, float, float] = NOWHERE
    things: tuple[Thing, ...] = ()


class Scenery:
    """The scene of an environment, which can be changed, and changed back."""

    def __init__(self, mujoco: Any, env: Any, camera: str, position: Float64Array) -> None:
        """Let the camera of that name stand at a position (3,) [m], base axes."""
        self._mujoco, self._env = mujoco, env
        self._camera, self._position = env.model.cam(camera), position
        self._aim = self._camera.quat.copy()
        self._colors = env.model.mat_rgba.copy()
        self._start = np.array(env.hand_init_pos, dtype=np.float64)
        self.change(SceneChange())

    def change(self, change: SceneChange) -> None:
        """Make the scene differ as `change` says, from the next reset on."""
        model = self._env.model
        self._camera.pos[:] = self._position + change.moved
        self._camera.quat[:] = turned_by(np.array(change.turned), self._aim)
        model.mat_rgba[:] = self._colors
        for number in range(model.nmat):
            if model.mat(number).name in TABLE_MATERIALS:
                model.mat_rgba[number, :3] *= change.tint
        self._env.hand_init_pos = self._start + change.start
        self._things = change.things

    def draw(self, scene: Any) -> None:
        """Add the things to a scene that is about to be rendered."""
        size = np.full(3, THING_M)
        for thing in self._things:
            kind = getattr(self._mujoco.mjtGeom, thing.shape)
            rgba = np.array([*thing.color, 1.0], dtype=np.float32)
            place, turn = np.array(thing.place), np.eye(3).flatten()
            self._mujoco.mjv_initGeom(scene.geoms[scene.ngeom], kind, size, place, turn, rgba)
            scene.ngeom += 1


def draw_things(rng: np.random.Generator, count: int) -> tuple[Thing, ...]:
    """Return things on both sides of the table, in turn."""
    things = []
    for number in range(count):
        side = -1.0 if number % 2 else 1.0
        place = (side * rng.uniform(*THING_X_M), rng.uniform(*THING_Y_M), THING_M)
        shape, color = SHAPES[rng.integers(len(SHAPES))], COLORS[rng.integers(len(COLORS))]
        things.append(Thing(shape, place, color))
    return tuple(things)


def turned_by(turn: Float64Array, quaternion: Float64Array) -> Float64Array:
    """Return MuJoCo's quaternion (w, x, y, z), turned by a rotation vector [rad] in base axes."""
    rotation = quaternion_from_rotation_vector(turn)
    return quaternion_multiply(rotation, quaternion[[1, 2, 3, 0]])[[3, 0, 1, 2]]
