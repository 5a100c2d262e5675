"""A robot and what is around it in MuJoCo: joints of a fake arm, with masses and contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from robomamba_ros.errors import BackendError
from robomamba_ros.simulation.disagreement.drive import Mask
from robomamba_ros.simulation.robots.motors import Motor, Motors
from robomamba_ros.types import Float64Array

# Physics and motors: 1,000 steps a second.
STEP_S = 1e-3


def import_mujoco() -> Any:
    """Return the module; raises BackendError saying how to install it."""
    try:
        import mujoco  # not at the top: it is optional
    except ImportError as error:
        raise BackendError(
            f'a physical robot needs MuJoCo ({error}): pip install mujoco'
        ) from error
    return mujoco


def set_physics(mujoco: Any, spec: Any) -> None:
    """Set how a model is stepped: contacts that hold what is gripped by friction."""
    option = spec.option
    option.timestep = STEP_S
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # Sliding is kept from creeping: stiff friction in an elliptic cone.
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 20.0


class World:
    """A compiled scene with a robot; model, data: MuJoCo's, for who places or looks at things.

    joints: the robot's joints that are commanded, in the order of positions and velocities (n,)
    [rad or m, per s]. start: where they are at first, by joint, and those that follow them.
    Raises BackendError where MuJoCo is missing.
    """

    def __init__(
        self, spec: Any, motors: Sequence[Motor], joints: Sequence[str], start: Mapping[str, float]
    ) -> None:
        self._mujoco = import_mujoco()
        set_physics(self._mujoco, spec)
        self.model = spec.compile()
        self.data = self._mujoco.MjData(self.model)
        self._motors = Motors(self.model, motors, joints)
        self._at, self._dof = self._places(joints)
        # Of every joint with a motor, and the column of the joint that it follows.
        self._all_at, self._all_dof = self._places([motor.joint for motor in motors])
        self._columns = np.array([list(joints).index(motor.command) for motor in motors])
        here = np.array([start[name] for name in joints])
        self.data.qpos[self._all_at] = here[self._columns]
        self._motors.command(self.data, here, np.zeros(len(here)))
        self._mujoco.mj_forward(self.model, self.data)
        self._measure()

    @property
    def seconds(self) -> float:
        """The time that has passed in it [s]."""
        return float(self.data.time)

    def step(
        self, wanted: Float64Array, speeds: Float64Array, seconds: float, blocked: Mask | None
    ) -> None:
        """Move for some seconds towards positions (n,) with velocities (n,).

        blocked: (n,) joints that something in their way keeps where they are, None for none.
        """
        here = self.positions
        self._motors.command(self.data, wanted, speeds)
        for _ in range(self._steps(seconds)):
            self._mujoco.mj_step(self.model, self.data)
            if blocked is not None:
                self._set(blocked[self._columns], here, np.zeros(len(here)))
        self._measure()

    def put(self, positions: Float64Array, seconds: float) -> None:
        """Be moved to positions (n,) within some seconds, by something else than the motors."""
        here, count = self.positions, self._steps(seconds)
        velocities = (positions - here) / seconds
        every = np.ones(len(self._columns), dtype=bool)
        for number in range(1, count + 1):
            there = here + (positions - here) * (number / count)
            self._motors.command(self.data, there, velocities)
            self._mujoco.mj_step(self.model, self.data)
            self._set(every, there, velocities)
        self._measure()

    def push(self, body: str, force: Float64Array) -> None:
        """Push a body at its middle with a force (3,) in base axes [N], until it is pushed anew."""
        self.data.xfrc_applied[self.model.body(body).id, :3] = force

    def _set(self, which: Mask, positions: Float64Array, velocities: Float64Array) -> None:
        """Set the joints of some motors, as their columns say."""
        columns = self._columns[which]
        self.data.qpos[self._all_at[which]] = positions[columns]
        self.data.qvel[self._all_dof[which]] = velocities[columns]

    def _measure(self) -> None:
        self.positions = np.array(self.data.qpos[self._at])
        self.velocities = np.array(self.data.qvel[self._dof])

    def _places(self, joints: Sequence[str]) -> tuple[Any, Any]:
        found = [self.model.joint(name) for name in joints]
        return (
            np.array([int(joint.qposadr[0]) for joint in found]),
            np.array([int(joint.dofadr[0]) for joint in found]),
        )

    def _steps(self, seconds: float) -> int:
        return max(round(seconds / float(self.model.opt.timestep)), 1)
