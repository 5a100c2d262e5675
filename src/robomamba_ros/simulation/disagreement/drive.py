"""Drives of joints: how joints move that are commanded to positions or velocities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.types import Float64Array

Mask = NDArray[np.bool_]
# A joint sticks again once it is this near to its command [rad or m].
_NEAR = 1e-6


class Joints(Protocol):
    """What moves the joints of an arm: positions, velocities (n,) [rad or m, per s]."""

    positions: Float64Array
    velocities: Float64Array

    def step(
        self, wanted: Float64Array, speeds: Float64Array, seconds: float, blocked: Mask | None
    ) -> None:
        """Move for some seconds towards positions (n,), with speeds (n,) where driven by them.

        blocked: (n,) joints that something in their way keeps where they are, None for none.
        """

    def put(self, positions: Float64Array, seconds: float) -> None:
        """Be moved to positions (n,) within some seconds, by something else than the drive."""


@dataclass(frozen=True)
class Flaws:
    """What keeps joints from being where they are told to be; zeros and infinities are perfect.

    lag_s: distance behind a steady motion, as a time [s]. order: 1, a time constant; 2, critically
    damped with a natural frequency of 2 / lag_s, so that the distance behind is the same.
    velocity, acceleration: (n,) the most that the drive can do [rad/s or m/s, per s]. One that
    cannot brake in time overshoots.
    friction: how far the command must be from a joint at rest to move it [rad or m].
    backlash: play between drive and joint [rad or m].
    """

    lag_s: float
    order: int
    velocity: Float64Array
    acceleration: Float64Array
    friction: float
    backlash: float


class Drive:
    """Joints without masses; by_velocity (n,): those that are driven by speeds, as wheels are."""

    def __init__(self, start: Float64Array, flaws: Flaws, by_velocity: Mask) -> None:
        self.positions = np.array(start, dtype=np.float64)
        self.velocities = np.zeros(len(start))
        self._flaws = flaws
        self._wheels = by_velocity if by_velocity.any() else None
        self._has_limits = bool(np.isfinite([flaws.velocity, flaws.acceleration]).any())
        # The drive's side of the play.
        self._motor, self._speed = self.positions, self.velocities
        self._sticks = np.ones(len(start), dtype=bool)

    def step(
        self, wanted: Float64Array, speeds: Float64Array, seconds: float, blocked: Mask | None
    ) -> None:
        """Move for some seconds towards positions (n,), with speeds (n,) where driven by them."""
        motor, speed = self._followed(self._after_friction(wanted), seconds)
        if self._wheels is not None:
            lag_s = self._flaws.lag_s
            share = 1.0 - np.exp(-seconds / lag_s) if lag_s > 0.0 else 1.0
            driven = self._speed + share * (speeds - self._speed)
            motor = np.where(self._wheels, self._motor + driven * seconds, motor)
            speed = np.where(self._wheels, driven, speed)
        motor, speed = self._limited(motor, speed, seconds)
        if blocked is not None:
            motor, speed = np.where(blocked, self._motor, motor), np.where(blocked, 0.0, speed)
        self._motor, self._speed = motor, speed
        play = self._flaws.backlash / 2.0
        moved = np.clip(self.positions, motor - play, motor + play) if play else motor
        self.velocities, self.positions = (moved - self.positions) / seconds, moved

    def put(self, positions: Float64Array, seconds: float) -> None:
        """Be moved to positions (n,) within some seconds, by something else than the drive."""
        self.velocities = (positions - self.positions) / seconds
        self.positions = self._motor = positions
        self._speed = self.velocities
        self._sticks = np.ones(len(positions), dtype=bool)

    def _after_friction(self, wanted: Float64Array) -> Float64Array:
        """Return where each joint goes: where it sticks nowhere."""
        friction = self._flaws.friction
        if friction <= 0.0:
            return wanted
        away = np.abs(wanted - self._motor)
        self._sticks = np.where(self._sticks, away <= friction, away < _NEAR)
        return np.where(self._sticks, self._motor, wanted)

    def _followed(self, target: Float64Array, seconds: float) -> tuple[Float64Array, Float64Array]:
        """Return where the lag lets the drive be after some seconds, and its velocity."""
        before, lag_s = self._motor, self._flaws.lag_s
        if lag_s <= 0.0:
            return target, (target - before) / seconds
        error = before - target
        if self._flaws.order == 1:
            after = target + error * np.exp(-seconds / lag_s)
            return after, (after - before) / seconds
        # Critically damped: error(t) = (error + (speed + w error) t) exp(-w t).
        w = 2.0 / lag_s
        rate, decay = self._speed + w * error, np.exp(-w * seconds)
        rest = (error + rate * seconds) * decay
        return target + rest, rate * decay - w * rest

    def _limited(
        self, motor: Float64Array, speed: Float64Array, seconds: float
    ) -> tuple[Float64Array, Float64Array]:
        """Return what is within the drive's acceleration and velocity."""
        if not self._has_limits:
            return motor, speed
        most, change = self._flaws.velocity, self._flaws.acceleration * seconds
        mean = (motor - self._motor) / seconds
        allowed = np.clip(np.clip(mean, self._speed - change, self._speed + change), -most, most)
        within = allowed == mean
        way = self._motor + allowed * seconds
        return np.where(within, motor, way), np.where(within, speed, allowed)
