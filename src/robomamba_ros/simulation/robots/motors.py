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

    stiffness: [Nm/rad or N/m]; 0 for one that is told a velocity only, as those of wheels are.
    damping: on the difference of the velocities [Nm s/rad or N s/m].
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

    @property
    def by_velocity(self) -> bool:
        """Whether it is told a velocity only."""
        return self.stiffness == 0.0


class Motors:
    """The motors of a compiled model, as its actuators.

    joints: the commanded ones, in the order of all arrays (n,).
    """

    def __init__(self, model: Any, motors: Sequence[Motor], joints: Sequence[str]) -> None:
        self._actuators = np.array([model.actuator(motor.joint).id for motor in motors])
        self._columns = np.array([joints.index(motor.command) for motor in motors])
        # What is commanded: position + lead * velocity, or the velocity itself.
        self._by_position = np.array([0.0 if motor.by_velocity else 1.0 for motor in motors])
        self._lead_s = np.array(
            [1.0 if motor.by_velocity else motor.damping / motor.stiffness for motor in motors]
        )

    def command(self, data: Any, positions: Float64Array, velocities: Float64Array) -> None:
        """Have the joints go to positions (n,), with velocities (n,), from the next step on."""
        places = self._by_position * positions[self._columns]
        wanted = places + self._lead_s * velocities[self._columns]
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
        actuator.gainprm[0] = motor.damping if motor.by_velocity else motor.stiffness
        actuator.biasprm[1:3] = -motor.stiffness, -motor.damping
        if motor.effort is not None:
            joint.actfrcrange = -motor.effort, motor.effort
