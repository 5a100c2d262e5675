"""What the localisation loss is to find: points in space, and where cameras see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.spatial.transforms import rotation_matrix
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.robot_states import RobotStates
from robomamba_ros.training.anolevla.samples import Indices, Samples
from robomamba_ros.training.anolevla.waypoints import waypoints
from robomamba_ros.types import Float32Array, Float64Array, Pose

# Nearer to a camera nothing is seen [m].
NEAREST_M = 0.05


@dataclass(frozen=True)
class Targets:
    """Of n samples: points (n, 3, 3) in the base frame [m], and pixels (n, cameras, 3, 2).

    Pixels are -1..1 over what is cut out of the image. Both are NaN where a point is not to be
    looked for; pixels also where a camera does not see it, or its place is not known.
    """

    points: Float32Array
    pixels: Float32Array

    def at(self, positions: Indices) -> tuple[Float32Array, Float32Array]:
        """Return points and pixels of some samples."""
        return self.points[positions], self.pixels[positions]


class View(NamedTuple):
    """A pinhole camera without distortion whose axis meets the middle of the image.

    size: width and height [px]; focal: focal length [px].
    """

    size: Float64Array
    focal: float

    @classmethod
    def of(cls, width: int, height: int, field_of_view_deg: float) -> View:
        """Return the one that sees `field_of_view_deg` from the left edge to the right."""
        focal = 0.5 * width / np.tan(0.5 * np.deg2rad(field_of_view_deg))
        return cls(np.array([width, height], dtype=np.float64), float(focal))

    def project(self, points: Float64Array, base_T_optical: Pose) -> Float64Array:
        """Return where points (k, 3) in the base frame are in the image, (k, 2) [px].

        The image's left upper corner is (0, 0). NaN where a point is behind the camera.
        """
        rotation = rotation_matrix(base_T_optical.quaternion)
        local = (points - base_T_optical.position) @ rotation
        depth = np.where(local[:, 2:] > NEAREST_M, local[:, 2:], np.nan)
        return np.asarray(0.5 * self.size + self.focal * local[:, :2] / depth)


def find_targets(config: TrainConfig, samples: Samples) -> Targets | None:
    """Return what a run's localisation loss compares with, as its settings say; None without one.

    Raises ConfigError where the data does not say where things are.
    """
    if not config.localization_weight:
        return None
    if config.localization == 'demonstrations':
        return demonstrated(config, samples)
    points, pixels = samples.column('points'), samples.column('pixels')
    # What an image does not show any more is not looked for in it.
    if not np.isfinite(points).any(axis=0).all():
        raise ConfigError(
            f'{config.data} does not say where object and goal are, which only a simulator knows; '
            'set localization: demonstrations, for which the hand is enough, or '
            'localization_weight: 0'
        )
    # A simulator's pixels are the first camera's.
    seen = np.full((len(samples), len(samples.meta.cameras), 3, 2), np.nan, dtype=np.float32)
    seen[:, 0] = pixels
    return Targets(points, seen)


def demonstrated(config: TrainConfig, samples: Samples) -> Targets:
    """Return the places of the hand that demonstrations say by themselves (waypoints.py)."""
    meta = samples.meta
    arm = load_arm(config.arm) if config.arm else None
    robot = RobotStates(arm, meta.state_names, config.data)
    states = samples.column('state').astype(np.float64)
    hands = [robot.hand(state) for state in states]
    points = waypoints(samples, np.stack([hand.position for hand in hands]))
    pixels = np.full((len(samples), len(meta.cameras), 3, 2), np.nan, dtype=np.float32)
    for name in config.field_of_view:
        if name not in meta.cameras:
            raise ConfigError(unknown_name('camera in field_of_view', name, meta.cameras))
    for number, (name, crop) in enumerate(zip(meta.cameras, meta.crops, strict=True)):
        if name not in config.field_of_view:
            continue
        view = View.of(crop.width, crop.height, config.field_of_view[name])
        place = robot.camera(name)
        for row, (state, hand) in enumerate(zip(states, hands, strict=True)):
            seen = crop.normalized(view.project(points[row].astype(np.float64), place(state, hand)))
            inside = (np.abs(seen) <= 1.0).all(axis=1)  # NaN is not
            pixels[row, number, inside] = seen[inside]
    return Targets(points, pixels)
