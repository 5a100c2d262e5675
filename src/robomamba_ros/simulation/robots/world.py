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
    slips: what share of the way that joints are measured to go they do not go, as of wheels that
    slip. Raises BackendError where MuJoCo is missing.
    """

    def __init__(
        self,
        spec: Any,
        motors: Sequence[Motor],
        joints: Sequence[str],
        start: Mapping[str, float],
        slips: Mapping[str, float] | None = None,
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
        given = slips or {}
        self._gone = np.array([1.0 - given.get(name, 0.0) for name in joints])
        here = np.array([start[name] for name in joints])
        self._couplings = _couplings(self._mujoco, self.model)
        self._set(np.ones(len(motors), dtype=bool), here, np.zeros(len(here)))
        self._command(here, np.zeros(len(here)))
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
        self._command(wanted, speeds)
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
            self._command(there, velocities)
            self._mujoco.mj_step(self.model, self.data)
            self._set(every, there, velocities)
        self._measure()

    def push(self, body: str, force: Float64Array) -> None:
        """Push a body at its middle with a force (3,) in base axes [N], until it is pushed anew."""
        self.data.xfrc_applied[self.model.body(body).id, :3] = force

    def _command(self, positions: Float64Array, velocities: Float64Array) -> None:
        self._motors.command(self.data, self._gone * positions, self._gone * velocities)

    def _set(self, which: Mask, positions: Float64Array, velocities: Float64Array) -> None:
        """Set the joints of some motors, as their columns say, and what is geared to them."""
        columns, data = self._columns[which], self.data
        data.qpos[self._all_at[which]] = (self._gone * positions)[columns]
        data.qvel[self._all_dof[which]] = (self._gone * velocities)[columns]
        for at, dof, other_at, other_dof, offset, ratio in self._couplings:
            data.qpos[at] = offset + ratio * data.qpos[other_at]
            data.qvel[dof] = ratio * data.qvel[other_dof]

    def _measure(self) -> None:
        self.positions = self.data.qpos[self._at] / self._gone
        self.velocities = self.data.qvel[self._dof] / self._gone

    def _places(self, joints: Sequence[str]) -> tuple[Any, Any]:
        found = [self.model.joint(name) for name in joints]
        return (
            np.array([int(joint.qposadr[0]) for joint in found]),
            np.array([int(joint.dofadr[0]) for joint in found]),
        )

    def _steps(self, seconds: float) -> int:
        return max(round(seconds / float(self.model.opt.timestep)), 1)


def couple(mujoco: Any, spec: Any, joint: str, other: str, ratio: float, offset: float) -> None:
    """Gear a joint of a model that is being made to another one: offset + ratio * the other."""
    spec.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT,
        objtype=mujoco.mjtObj.mjOBJ_JOINT,
        name1=joint,
        name2=other,
        data=[offset, ratio, *[0.0] * 9],
    )


def _couplings(mujoco: Any, model: Any) -> list[tuple[int, int, int, int, float, float]]:
    """Return places and velocities of the joints that `couple` has geared, with how they are."""
    joints = [
        (model.eq_obj1id[each], model.eq_obj2id[each], model.eq_data[each])
        for each in range(model.neq)
        if model.eq_type[each] == mujoco.mjtEq.mjEQ_JOINT
    ]
    at, dof = model.jnt_qposadr, model.jnt_dofadr
    return [
        (int(at[i]), int(dof[i]), int(at[j]), int(dof[j]), float(data[0]), float(data[1]))
        for i, j, data in joints
    ]
