"""What moves the joints of a physical robot: a PD law on position and velocity, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robomamba_ros.types import Float64Array


@dataclass(frozen=True)
class Motor:
    """The motor of a joint, which is told a position and a velocity.

    stiffness: [Nm/rad or N/m]. damping: on the difference of the velocities [Nm s/rad or N s/m].
    armature: rotor and gears, seen at the joint [kg m^2 or kg]. effort: the most that it does
    [Nm or N]; None leaves what the URDF says. follows: the joint whose commands it takes too.
    """

    joint: str
    stiffness: float
    damping: float
    armature: float
    effort: float | None = None
    follows: str = ''

    @property
    def command(self) -> str:
        """The joint by whose commands it moves."""
        return self.follows or self.joint


class Motors:
    """The motors of a compiled model, as its actuators.

    joints: the commanded ones, in the order of all arrays (n,).
    """

    def __init__(self, model: Any, motors: Sequence[Motor], joints: Sequence[str]) -> None:
        self._actuators = np.array([model.actuator(motor.joint).id for motor in motors])
        self._columns = np.array([joints.index(motor.command) for motor in motors])
        self._lead_s = np.array([motor.damping / motor.stiffness for motor in motors])

    def command(self, data: Any, positions: Float64Array, velocities: Float64Array) -> None:
        """Have the joints go to positions (n,), with velocities (n,), from the next step on."""
        wanted = positions[self._columns] + self._lead_s * velocities[self._columns]
        data.ctrl[self._actuators] = wanted


def add_motors(mujoco: Any, spec: Any, motors: Sequence[Motor]) -> None:
    """Add the motors to a model that is being made: force = k (q* - q) + d (q'* - q')."""
    for motor in motors:
        joint = spec.joint(motor.joint)
        joint.armature = motor.armature
        # Gravity is compensated by the motors too, within what they can do.
        joint.actgravcomp = True
        actuator = spec.add_actuator(
            name=motor.joint, target=motor.joint, trntype=mujoco.mjtTrn.mjTRN_JOINT
        )
        actuator.gaintype = mujoco.mjtGain.mjGAIN_FIXED
        actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        actuator.gainprm[0] = motor.stiffness
        actuator.biasprm[1:3] = -motor.stiffness, -motor.damping
        if motor.effort is not None:
            joint.actfrcrange = -motor.effort, motor.effort
