"""The velocity that brings a point onto a moving target, and the speeds that can still be braked.

The point is a position or a turn. One call is one control period.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from robomamba_ros.spatial.vectors import (
    Vector,
    bounded,
    dot,
    minus,
    norm,
    plus,
    shortened,
    times,
)

# Room for rounding in comparisons of velocities [m/s or rad/s], far below any real limit.
ROUNDING = 1e-9
# Further than any arm goes [rad or m]: the distance to the end of a joint that has none.
_ENDLESS = 1e9
# Velocities that nothing stands in the way of.
NO_WALLS: tuple[Vector, Vector] = (-math.inf,) * 3, (math.inf,) * 3


class Pursuit(NamedTuple):
    """The way of a velocity to a target, one period long.

    current: velocity of the last period; reaching: what meets the target within this one;
    tracking: the target's own velocity; walls: lowest and highest velocity per axis.
    """

    current: Vector
    reaching: Vector
    tracking: Vector
    speed: float
    acceleration: float
    period: float
    walls: tuple[Vector, Vector]

    def active_limits(self) -> tuple[str, ...]:
        """Return the limits that forbid meeting the target within this period.

        It is met only where its own velocity can be taken up in the next period, so that a target
        that stands still is not run over.
        """
        reaching, step = self.reaching, self.acceleration * self.period + ROUNDING
        (x1, y1, z1), (x2, y2, z2) = self.walls
        x, y, z = reaching
        found: tuple[str, ...] = ()
        if (
            not (x1 - ROUNDING <= x <= x2 + ROUNDING)
            or not (y1 - ROUNDING <= y <= y2 + ROUNDING)
            or not (z1 - ROUNDING <= z <= z2 + ROUNDING)
        ):
            found += ('position',)
        if norm(reaching) > self.speed + ROUNDING:
            found += ('velocity',)
        changes = minus(reaching, self.current), minus(reaching, self.tracking)
        if norm(changes[0]) > step or norm(changes[1]) > step:
            found += ('acceleration',)
        return found

    def velocity(self) -> Vector:
        """Return the velocity that catches up with the target.

        It moves with the target, and closes the gap to where the target was at a speed that can
        still be braked.
        """
        step, (lower, upper) = self.acceleration * self.period, self.walls
        gap = times(self.period, minus(self.reaching, self.tracking))
        distance = norm(gap)
        desired = self.tracking
        if distance > 0.0:
            closing = braking_speed(distance, self.acceleration, self.period)
            desired = plus(desired, times(closing / distance, gap))
        desired = bounded(shortened(desired, self.speed), lower, upper)
        # All constraints are convex and `safe` meets them, so the straight line to `desired` does
        # too as far as the acceleration reaches.
        safe = bounded(self.current, lower, upper)
        way = minus(desired, safe)
        return plus(safe, times(_reach(minus(safe, self.current), way, step), way))


def braking_speed(distance: float, deceleration: float, period: float) -> float:
    """Return the highest speed from which one can stop on a point `distance` away.

    The speed falls by deceleration * period each period, and what is left is driven before the
    next fall: with k periods left, distance = period * (k * v - deceleration * period *
    k * (k - 1) / 2), solved for v. Behind the point (a negative distance) it is zero.
    """
    way = min(max(distance, 0.0), _ENDLESS)
    step = deceleration * period
    periods = max(math.ceil((math.sqrt(1.0 + 8.0 * way / (step * period)) - 1.0) / 2.0), 1)
    return way / (periods * period) + step * (periods - 1) / 2.0


def braking_way(speed: float, deceleration: float, period: float) -> float:
    """Return a distance on which one can stop from `speed`, a little more than needed."""
    return speed * speed / (2.0 * deceleration) + period * (speed + deceleration * period)


def _reach(offset: Vector, direction: Vector, radius: float) -> float:
    """Return the largest s in 0..1 with |offset + s * direction| <= radius, for |offset| <= it."""
    a, b = dot(direction, direction), dot(offset, direction)
    c = min(dot(offset, offset) - radius * radius, 0.0)
    if a + 2.0 * b + c <= 0.0 or a == 0.0:
        return 1.0
    return min(max((-b + math.sqrt(b * b - a * c)) / a, 0.0), 1.0)
