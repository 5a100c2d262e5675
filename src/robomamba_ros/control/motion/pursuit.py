"""The velocity that brings a point onto a moving target, and the speeds that can still be braked.

The point is a position or a turn. One call is one control period.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robomamba_ros.robots.bounded import clipped, within
from robomamba_ros.types import Float64Array

# Room for rounding in comparisons of velocities [m/s or rad/s], far below any real limit.
ROUNDING = 1e-9
# Further than any arm goes [rad or m]: the distance to the end of a joint that has none.
_ENDLESS = 1e9
# Velocities that nothing stands in the way of.
NO_WALLS = np.full(3, -np.inf), np.full(3, np.inf)


@dataclass(frozen=True)
class Pursuit:
    """The way of a velocity (3,) to a target, one period long.

    current: velocity of the last period; reaching: what meets the target within this one;
    tracking: the target's own velocity; walls: lowest and highest velocity per axis.
    """

    current: Float64Array
    reaching: Float64Array
    tracking: Float64Array
    speed: float
    acceleration: float
    period: float
    walls: tuple[Float64Array, Float64Array]

    def active_limits(self) -> tuple[str, ...]:
        """Return the limits that forbid meeting the target within this period.

        It is met only where its own velocity can be taken up in the next period, so that a target
        that stands still is not run over.
        """
        reaching, step = self.reaching, self.acceleration * self.period + ROUNDING
        lower, upper = self.walls
        forbids = {
            'position': not within(reaching, lower - ROUNDING, upper + ROUNDING),
            'velocity': norm(reaching) > self.speed + ROUNDING,
            'acceleration': norm(reaching - self.current) > step
            or norm(reaching - self.tracking) > step,
        }
        return tuple(name for name, limited in forbids.items() if limited)

    def velocity(self) -> Float64Array:
        """Return the velocity that catches up with the target.

        It moves with the target, and closes the gap to where the target was at a speed that can
        still be braked.
        """
        step, (lower, upper) = self.acceleration * self.period, self.walls
        gap = (self.reaching - self.tracking) * self.period
        distance = norm(gap)
        desired = self.tracking
        if distance > 0.0:
            closing = float(braking_speed(distance, self.acceleration, self.period))
            desired = self.tracking + gap * (closing / distance)
        desired = clipped(shortened(desired, self.speed), lower, upper)
        # All constraints are convex and `safe` meets them, so the straight line to `desired` does
        # too as far as the acceleration reaches.
        safe = clipped(self.current, lower, upper)
        return safe + _reach(safe - self.current, desired - safe, step) * (desired - safe)


def braking_speed(
    distance: float | Float64Array, deceleration: float | Float64Array, period: float
) -> Float64Array:
    """Return the highest speed from which one can stop on a point `distance` away.

    The speed falls by deceleration * period each period, and what is left is driven before the
    next fall: with k periods left, distance = period * (k * v - deceleration * period *
    k * (k - 1) / 2), solved for v. Behind the point (a negative distance) it is zero.
    """
    way = np.minimum(np.maximum(distance, 0.0), _ENDLESS)
    step = deceleration * period
    periods = np.ceil((np.sqrt(1.0 + 8.0 * way / (step * period)) - 1.0) / 2.0)
    periods = np.maximum(periods, 1.0)
    return np.asarray(way / (periods * period) + step * (periods - 1.0) / 2.0)


def _reach(offset: Float64Array, direction: Float64Array, radius: float) -> float:
    """Return the largest s in 0..1 with |offset + s * direction| <= radius, for |offset| <= it."""
    a = float(direction @ direction)
    b = float(offset @ direction)
    c = min(float(offset @ offset) - radius * radius, 0.0)
    if a + 2.0 * b + c <= 0.0 or a == 0.0:
        return 1.0
    return min(max((-b + math.sqrt(b * b - a * c)) / a, 0.0), 1.0)


def shortened(vector: Float64Array, length: float) -> Float64Array:
    """Return the vector, or the one of its direction that is `length` long where it is longer."""
    given = norm(vector)
    return vector * (length / given) if given > length else vector


def norm(vector: Float64Array) -> float:
    """Return the length of a vector."""
    return math.sqrt(vector.dot(vector))
