"""What a camera sees: points to pixels, and a contact pixel with depth to an end-effector target.

Points are in the camera's optical frame as in ROS: x to the right, y down, z into the scene,
metres. A pixel is (column, row) of the rectified image, centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.errors import ConfigError, ObservationError
from robomamba_ros.spatial.transforms import (
    compose,
    quaternion_from_rotation_matrix,
    rotation_matrix,
)
from robomamba_ros.types import Float32Array, Float64Array, Pose, PoseTarget

# Depth is judged in a square of 2 * REACH + 1 pixels around the contact. Depth cameras leave holes
# at edges and on shiny metal; where most of the square is a hole, its median says nothing.
REACH = 5
LEAST_VALID = 0.25
# Up points out of a surface where its cosine with the normal is above this. Normals of handles and
# edges are rough: of 400 labels of simulated scenes 13 % have a cosine above 0, none above 0.5.
OUT_OF_SURFACE = 0.5
# A point this near to a camera, or behind it, is not seen [m].
NEAREST_M = 0.01
# Depths this close to the contact's, relative to it, belong to the same surface.
SAME_SURFACE = 0.05


@dataclass(frozen=True)
class SurfacePoint:
    """A point on a visible surface (3,) [m] and the unit normal (3,) that faces the camera."""

    point: Float64Array
    normal: Float64Array


@dataclass(frozen=True)
class Approach:
    """Where the end effector stands, in metres back from the contact point along its up axis.

    The defaults are those of ManipLLM's evaluation.
    """

    # Where the straight approach begins [m].
    pre_contact_m: float = 0.15
    # At contact: the length of the fingers [m].
    contact_m: float = 0.10
    # After pulling [m].
    retreat_m: float = 0.50

    def __post_init__(self) -> None:
        if not 0.0 <= self.contact_m <= min(self.pre_contact_m, self.retreat_m) < np.inf:
            raise ConfigError(
                f'approach distances are pre_contact_m {self.pre_contact_m}, contact_m '
                f'{self.contact_m}, retreat_m {self.retreat_m}; contact_m must be at least 0, and '
                'the other two at least contact_m'
            )


def back_project(
    pixels: Float64Array, depth: Float64Array, intrinsics: Float64Array
) -> Float64Array:
    """Return the points (..., 3) [m] seen at pixels (..., 2) with depth (...) [m] along z."""
    columns, rows = np.moveaxis(np.asarray(pixels, dtype=np.float64), -1, 0)
    x = (columns - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (rows - intrinsics[1, 2]) / intrinsics[1, 1]
    return np.stack((x * depth, y * depth, np.broadcast_to(depth, x.shape)), axis=-1)


def project(points: Float64Array, base_T_camera: Pose, intrinsics: Float64Array) -> Float64Array:
    """Return the pixels (n, 2), column and row, of points (n, 3) [m] in the base frame.

    NaN for those that are not in front of the camera.
    """
    rotation = rotation_matrix(base_T_camera.quaternion)
    local = (points - base_T_camera.position) @ rotation
    seen = np.where(local[:, 2:] > NEAREST_M, local, np.nan)
    return np.asarray((seen @ intrinsics.T)[:, :2] / seen[:, 2:])


def surface_at(pixel: Float64Array, depth: Float32Array, intrinsics: Float64Array) -> SurfacePoint:
    """Return what is seen at `pixel` (2,) of an image with depth (h, w) [m].

    Where the pixel itself has no depth (not finite, or not above 0), the median of those around it
    stands in. The normal is that of the plane through its neighbours on the same surface; where
    they lie on a line, it is the direction to the camera, which any visible surface faces.

    Raises ObservationError where the pixel is outside the image, or too few depths around it are
    valid, or the intrinsics are none.
    """
    _check_intrinsics(intrinsics)
    column, row = (int(v) for v in np.rint(pixel))
    height, width = depth.shape
    if not (0 <= column < width and 0 <= row < height):
        raise ObservationError(
            f'the contact pixel ({column}, {row}) lies outside the depth image of {width} x '
            f'{height}; give depth that is aligned with the colour image'
        )
    rows, columns = np.meshgrid(
        np.arange(max(row - REACH, 0), min(row + REACH + 1, height)),
        np.arange(max(column - REACH, 0), min(column + REACH + 1, width)),
        indexing='ij',
    )
    around = depth[rows, columns].astype(np.float64)
    valid = _valid(around)
    if valid.mean() < LEAST_VALID:
        raise ObservationError(
            f'only {valid.sum()} of {valid.size} depths around the contact pixel ({column}, {row}) '
            f'are valid, at least {LEAST_VALID:.0%} are needed; move the camera, or fill the holes '
            'of its depth'
        )
    z = np.asarray(depth[row, column], dtype=np.float64)
    if not _valid(z):
        # One of the depths: a mean of foreground and background would lie on neither.
        z = np.asarray(np.percentile(around[valid], 50, method='lower'))
    point = back_project(pixel, z, intrinsics)
    near = valid & (np.abs(np.where(valid, around, np.inf) - z) <= SAME_SURFACE * z)
    pixels = np.stack((columns[near], rows[near]), axis=-1)
    return SurfacePoint(point, _normal(back_project(pixels, around[near], intrinsics), point))


def pose_target(
    surface: SurfacePoint, rotation: Float64Array, approach: Approach, *, stamp_ns: int, frame: str
) -> PoseTarget:
    """Return the target of an end effector with `rotation` (3, 3), columns forward, left, up.

    Up points from the end effector into the surface: the three poses lie back along it, at the
    distances of `approach`. Where it clearly points out of the surface instead, the end effector is
    turned over by half a turn about forward.
    """
    if rotation[:, 2] @ surface.normal > OUT_OF_SURFACE:
        rotation = rotation * np.array([1.0, -1.0, -1.0])
    quaternion = quaternion_from_rotation_matrix(rotation)

    def back(distance_m: float) -> Pose:
        return Pose(surface.point - distance_m * rotation[:, 2], quaternion)

    return PoseTarget(
        stamp_ns=stamp_ns,
        frame=frame,
        pose=back(approach.contact_m),
        pre_contact=back(approach.pre_contact_m),
        retreat=back(approach.retreat_m),
    )


def express_in(target: PoseTarget, frame: str, frame_T_camera: Pose) -> PoseTarget:
    """Return `target` with its poses given in `frame`, where its own frame has the given pose."""
    return PoseTarget(
        stamp_ns=target.stamp_ns,
        frame=frame,
        pose=compose(frame_T_camera, target.pose),
        pre_contact=compose(frame_T_camera, target.pre_contact),
        retreat=compose(frame_T_camera, target.retreat),
    )


def _check_intrinsics(intrinsics: Float64Array) -> None:
    if (
        intrinsics.shape != (3, 3)
        or not np.isfinite(intrinsics).all()
        or min(intrinsics[0, 0], intrinsics[1, 1]) <= 0.0
    ):
        raise ObservationError(
            f'the intrinsics {intrinsics.tolist()} are not a pixel matrix (3, 3) with focal '
            'lengths above 0; give K of the camera_info'
        )


def _valid(depth: Float64Array) -> NDArray[np.bool_]:
    return np.isfinite(depth) & (depth > 0.0)


def _normal(points: Float64Array, seen: Float64Array) -> Float64Array:
    to_camera = -seen / np.linalg.norm(seen)
    _, spread, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=True)
    if len(spread) < 3 or spread[1] < 1e-3 * spread[0]:
        return to_camera
    normal = axes[2]
    return np.asarray(normal if normal @ to_camera > 0.0 else -normal, dtype=np.float64)
