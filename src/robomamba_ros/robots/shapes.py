"""Shapes of links for distance queries: thin hulls of meshes, capsules where there is no shape.

Pinocchio and coal come in as arguments: they are imported in one place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robomamba_ros.types import Float64Array

# Hulls of meshes are thinned to the vertices that lie furthest in so many directions: of a link of
# 0.2 m what is lost is 2 mm, a tenth of the usual margin, and a query takes a tenth of the time.
_DIRECTIONS = 128
# A link without a shape is as thick as this around the way to the next joint [m].
_RADIUS = 0.05
# A way to the next joint that is shorter than this has no body of its own [m].
_SHORT = 0.02


def thin(coal: Any, shape: Any) -> None:
    """Replace the mesh of a pinocchio.GeometryObject by a hull of few vertices; others stay."""
    if not isinstance(shape.geometry, coal.BVHModelBase):
        return
    vertices = np.asarray(shape.geometry.vertices())
    if len(vertices) > _DIRECTIONS:
        vertices = vertices[np.unique(np.argmax(vertices @ _sphere(_DIRECTIONS).T, axis=0))]
    points = coal.StdVec_Vec3s()
    for vertex in vertices:
        points.append(vertex)
    # Tetrahedra and their neighbours, which the distance queries walk along.
    shape.geometry = coal.ConvexBase.convexHull(points, True, 'Qt')


def capsule(pinocchio: Any, coal: Any, end: Float64Array) -> tuple[Any, Any] | None:
    """Return a capsule from the origin to `end` (3,) [m] and its place; None for a short way."""
    length = float(np.linalg.norm(end))
    if length < _SHORT:
        return None
    turn = pinocchio.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), end).matrix()
    return coal.Capsule(_RADIUS, length), pinocchio.SE3(turn, end / 2.0)


def _sphere(count: int) -> Float64Array:
    """Return directions (count, 3), evenly spread: a Fibonacci lattice."""
    i = np.arange(count) + 0.5
    polar, turn = np.arccos(1.0 - 2.0 * i / count), np.pi * (1.0 + 5.0**0.5) * i
    return np.stack(
        [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1
    )
