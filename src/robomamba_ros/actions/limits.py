"""Keeps the commanded pose within velocity and acceleration limits and within the workspace.

What respects the limits passes unchanged, to the bit. Knows nothing about chunks or time stamps:
one call is one control period.
"""

from __future__ import annotations

import math

import numpy as np

from robomamba_ros.robots.arm import CartesianLimits, Workspace
from robomamba_ros.spatial.transforms import (
    move_in_base,
    quaternion_inverse,
    quaternion_multiply,
    rotation_vector_from_quaternion,
)
from robomamba_ros.types import Float64Array, Pose

# Room for rounding in comparisons of velocities [m/s or rad/s], far below any real limit.
_ROUNDING = 1e-9


class PoseLimiter:
    """Follows targets from a start at rest; after each call |v| and |dv/dt| are within limits.

    Positions also stay in the workspace: the speed towards each of its walls never exceeds what
    the acceleration limit, shared by the three axes, can stop in time. From a start outside, they
    move only inwards. `limited` tells whether the last target was out of reach.
    """

    def __init__(
        self, limits: CartesianLimits, workspace: Workspace, period_s: float, start: Pose
    ) -> None:
        self._limits = limits
        self._workspace = workspace
        self._period = period_s
        self._target = start
        self.pose = start
        self.limited = False
        self.velocity: Float64Array = np.zeros(3)
        self.rotation_velocity: Float64Array = np.zeros(3)

    @property
    def at_rest(self) -> bool:
        """Whether the command stands still."""
        return not (self.velocity.any() or self.rotation_velocity.any())

    def follow(self, target: Pose) -> Pose:
        """Return the pose to command in this period so as to be on `target`, or to catch up."""
        limits, period = self._limits, self._period
        lower, upper = self._wall_speeds()
        velocity = _next_velocity(
            current=self.velocity,
            reaching=(target.position - self.pose.position) / period,
            tracking=(target.position - self._target.position) / period,
            max_speed=limits.velocity,
            acceleration=limits.acceleration,
            period=period,
            lower=lower,
            upper=upper,
        )
        free = np.full(3, np.inf)
        rotation_velocity = _next_velocity(
            current=self.rotation_velocity,
            reaching=_turn(self.pose, target) / period,
            tracking=_turn(self._target, target) / period,
            max_speed=limits.rotation_velocity,
            acceleration=limits.rotation_acceleration,
            period=period,
            lower=-free,
            upper=free,
        )
        self.limited = velocity is not None or rotation_velocity is not None
        pose = self._moved(velocity, rotation_velocity, target) if self.limited else target
        self.velocity = (pose.position - self.pose.position) / period
        self.rotation_velocity = _turn(self.pose, pose) / period
        self._target = target
        self.pose = pose
        return pose

    def brake(self) -> Pose:
        """Return the pose to command in this period so as to come to rest along the way it moves.

        It slows down by the stop decelerations, and faster only where a wall is near.
        """
        limits, period = self._limits, self._period
        velocity = _slowed(self.velocity, limits.stop_deceleration * period)
        turning = _slowed(self.rotation_velocity, limits.rotation_stop_deceleration * period)
        # The stop begins here: what was still to catch up is given up.
        self._target = self.pose
        if not (velocity.any() or turning.any()):
            return self.follow(self.pose)
        ahead = move_in_base(self.pose, velocity * period, turning * period)
        return self.follow(Pose(self._inside(ahead.position), ahead.quaternion))

    def _moved(
        self, velocity: Float64Array | None, rotation_velocity: Float64Array | None, target: Pose
    ) -> Pose:
        position, quaternion = target.position, target.quaternion
        if velocity is not None:
            position = self._inside(self.pose.position + velocity * self._period)
        if rotation_velocity is not None:
            turn = rotation_velocity * self._period
            quaternion = move_in_base(self.pose, np.zeros(3), turn).quaternion
        return Pose(position, quaternion)

    def _inside(self, position: Float64Array) -> Float64Array:
        """Return the position clipped to the workspace, or to where the arm is outside of it."""
        start = self.pose.position
        lower = np.minimum(self._workspace.lower, start)
        upper = np.maximum(self._workspace.upper, start)
        return np.clip(position, lower, upper)

    def _wall_speeds(self) -> tuple[Float64Array, Float64Array]:
        """Return the lowest and highest velocity per axis from which the walls can be kept."""
        share = self._limits.acceleration / math.sqrt(3.0)
        position, period = self.pose.position, self._period

        def speeds(distances: Float64Array) -> Float64Array:
            return np.array([braking_speed(max(d, 0.0), share, period) for d in distances])

        return (
            -speeds(position - self._workspace.lower),
            speeds(self._workspace.upper - position),
        )


def braking_speed(distance: float, deceleration: float, period: float) -> float:
    """Return the highest speed from which one can stop on a point `distance` away.

    The speed falls by deceleration * period each period, and what is left is driven before the
    next fall: with k periods left, distance = period * (k * v - deceleration * period *
    k * (k - 1) / 2), solved for v.
    """
    step = deceleration * period
    periods = math.ceil((math.sqrt(1.0 + 8.0 * distance / (step * period)) - 1.0) / 2.0)
    if periods <= 1:
        return distance / period
    return distance / (periods * period) + step * (periods - 1) / 2.0


def _next_velocity(
    *,
    current: Float64Array,
    reaching: Float64Array,
    tracking: Float64Array,
    max_speed: float,
    acceleration: float,
    period: float,
    lower: Float64Array,
    upper: Float64Array,
) -> Float64Array | None:
    """Return the velocity for the next period, or None where the target can be met exactly.

    current: velocity of the last period; reaching: what meets the target within this period;
    tracking: the target's own velocity; all (3,). The target is met only where its own velocity
    can be taken up in the next period, so that a target that stands still is not run over.
    """
    step = acceleration * period
    if (
        _norm(reaching) <= max_speed + _ROUNDING
        and _norm(reaching - current) <= step + _ROUNDING
        and _norm(reaching - tracking) <= step + _ROUNDING
        and (lower - _ROUNDING <= reaching).all()
        and (reaching <= upper + _ROUNDING).all()
    ):
        return None
    # Move with the target, and close the gap to where it was at a speed that can still be braked.
    gap = (reaching - tracking) * period
    distance = _norm(gap)
    desired = tracking
    if distance > 0.0:
        desired = tracking + gap * (braking_speed(distance, acceleration, period) / distance)
    desired = np.clip(_shortened(desired, max_speed), lower, upper)
    # All constraints are convex and `safe` meets them, so the straight line to `desired` does too
    # as far as the acceleration reaches.
    safe = np.clip(current, lower, upper)
    return safe + _reach(safe - current, desired - safe, step) * (desired - safe)


def _reach(offset: Float64Array, direction: Float64Array, radius: float) -> float:
    """Return the largest s in 0..1 with |offset + s * direction| <= radius, for |offset| <= it."""
    a = float(direction @ direction)
    b = float(offset @ direction)
    c = min(float(offset @ offset) - radius * radius, 0.0)
    if a + 2.0 * b + c <= 0.0 or a == 0.0:
        return 1.0
    return min(max((-b + math.sqrt(b * b - a * c)) / a, 0.0), 1.0)


def _slowed(velocity: Float64Array, amount: float) -> Float64Array:
    speed = _norm(velocity)
    return velocity * (1.0 - amount / speed) if speed > amount else np.zeros(3)


def _shortened(vector: Float64Array, length: float) -> Float64Array:
    norm = _norm(vector)
    return vector * (length / norm) if norm > length else vector


def _norm(vector: Float64Array) -> float:
    return float(np.linalg.norm(vector))


def _turn(start: Pose, end: Pose) -> Float64Array:
    return rotation_vector_from_quaternion(
        quaternion_multiply(end.quaternion, quaternion_inverse(start.quaternion))
    )
