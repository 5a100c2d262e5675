"""What the cameras of a physical robot see: images and depth, off screen."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.errors import SimulationError
from robomamba_ros.types import Float32Array, Float64Array, UInt8Array


@dataclass(frozen=True)
class View:
    """A camera, on a body or, with the name 'world', beside the robot.

    position: (3,) [m]; looks_at: a point it looks at (3,) [m]; up: what is up in its image (3,);
    all in the frame of the body. field_of_view_deg: from top to bottom.
    """

    name: str
    body: str
    position: tuple[float, float, float]
    looks_at: tuple[float, float, float]
    up: tuple[float, float, float]
    field_of_view_deg: float

    @property
    def axes(self) -> Float64Array:
        """Right, up and back of its image as columns (3, 3), in the frame of the body."""
        back = np.array(self.position) - np.array(self.looks_at)
        back /= np.linalg.norm(back)
        right = np.cross(self.up, back)
        right /= np.linalg.norm(right)
        return np.column_stack([right, np.cross(back, right), back])


def add_camera(mujoco: Any, spec: Any, view: View) -> None:
    """Add a camera to a model."""
    turn = np.zeros(4)
    mujoco.mju_mat2Quat(turn, view.axes.ravel())
    body = spec.worldbody if view.body == 'world' else spec.body(view.body)
    place = {'pos': list(view.position), 'quat': turn.tolist()}
    body.add_camera(name=view.name, fovy=view.field_of_view_deg, **place)


def off_screen(mujoco: Any, model: Any, height: int, width: int, *, fine: bool = False) -> Any:
    """Return MuJoCo's renderer of a model; fine: with shadows and reflections.

    Raises SimulationError without rendering.
    """
    try:
        renderer = mujoco.Renderer(model, height, width)
    except Exception as error:  # MuJoCo raises bare errors of the GL binding in use
        raise SimulationError(
            f'MuJoCo cannot render off screen ({error}); on Debian and Ubuntu: '
            'apt-get install libegl1 libgl1-mesa-dri'
        ) from error
    flags = mujoco.mjtRndFlag
    for flag in (flags.mjRND_SHADOW, flags.mjRND_REFLECTION):
        renderer.scene.flags[flag] = fine
    return renderer


class Renderer:
    """Renders the cameras of one compiled model; all calls come from one thread.

    height, width: of the images [px]. fine: with shadows, reflections and smooth edges, for people;
    in software they cost eight times the time. Raises SimulationError without rendering.
    """

    def __init__(
        self, mujoco: Any, model: Any, height: int, width: int, *, fine: bool = False
    ) -> None:
        os.environ.setdefault('MUJOCO_GL', 'egl')
        model.vis.quality.offsamples = 4 if fine else 0
        self._renderer = off_screen(mujoco, model, height, width, fine=fine)

    def image(self, data: Any, camera: str) -> UInt8Array:
        """Return what a camera sees: RGB (h, w, 3) uint8, upright."""
        self._renderer.update_scene(data, camera=camera)
        return np.array(self._renderer.render(), dtype=np.uint8)

    def depth(self, data: Any, camera: str) -> Float32Array:
        """Return how far it is along the optical axis (h, w) [m]."""
        self._renderer.enable_depth_rendering()
        self._renderer.update_scene(data, camera=camera)
        depth = np.array(self._renderer.render(), dtype=np.float32)
        self._renderer.disable_depth_rendering()
        return depth

    def close(self) -> None:
        """Free the rendering context."""
        self._renderer.close()
