"""Where the hand and the cameras are, by the channels of a recorded state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics, base_T_optical
from robomamba_ros.types import EE_POSE_NAMES, Float64Array, Pose

Place: TypeAlias = Callable[[Float64Array, Pose], Pose]
POSITION, ROTATION = EE_POSE_NAMES[:3], EE_POSE_NAMES[3:]
IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


class RobotStates:
    """Reads states (d_s,) with the channels `names`, of the arm of a contract if one is given.

    Raises ConfigError where they do not say where the hand is; data: whose states they are.
    """

    def __init__(self, arm: ArmContract | None, names: tuple[str, ...], data: str) -> None:
        self._arm, self._names, self._data = arm, names, data
        self._measured = all(name in names for name in POSITION)
        self._turned = self._measured and all(name in names for name in ROTATION)
        self._kinematics: Kinematics | None = None
        if not self._measured and arm is None:
            raise ConfigError(
                f'the state in {data} ({", ".join(names)[:120]}) does not say where the hand is; '
                'set arm: the contract of the arm, whose URDF says it, or localization_weight: 0'
            )
        if arm is not None and not self._measured:
            self._kinematics = self._chain(arm)

    def hand(self, state: Float64Array) -> Pose:
        """Return base_T_ee; not turned where the state does not say how it is turned."""
        values, kinematics = self._values(state), self._kinematics
        if kinematics is not None:
            return kinematics.forward(np.array([values[name] for name in kinematics.names]))
        turn = np.array([values[name] for name in ROTATION]) if self._turned else IDENTITY
        length = float(np.linalg.norm(turn))
        position = np.array([values[name] for name in POSITION])
        return Pose(position, turn / length if length else IDENTITY)

    def camera(self, name: str) -> Place:
        """Return what says where the optical frame of a camera is, from a state and its hand.

        Raises ConfigError where the contract does not place the camera, or the states do not.
        """
        arm, kinematics = self._arm, self._kinematics
        known = {} if arm is None else {camera.name: camera for camera in arm.cameras}
        if arm is None or name not in known:
            raise ConfigError(
                f'field_of_view names the camera {name}, whose place no contract says; set arm, or '
                f'leave the camera out there. {unknown_name("camera", name, known)}'
            )
        camera = known[name]
        if camera.link is not None and kinematics is None:
            kinematics = self._chain(arm)
        if camera.ee_T_camera is not None and not (self._turned or kinematics):
            raise ConfigError(
                f'the state in {self._data} does not say how the hand is turned, which the place '
                f'of the camera {name} needs; leave it out of field_of_view'
            )
        if camera.base_T_camera is not None:
            fixed = camera.base_T_camera
            return lambda state, hand: fixed
        if camera.ee_T_camera is None and camera.link is None:
            raise ConfigError(
                f"the contract of arm '{arm.name}' does not say where the camera {name} is: give "
                'base_T_camera, ee_T_camera or link, or leave it out of field_of_view'
            )

        def place(state: Float64Array, hand: Pose) -> Pose:
            found = base_T_optical(camera, hand, self._values(state), kinematics)
            assert found is not None
            return found

        return place

    def _values(self, state: Float64Array) -> dict[str, float]:
        return dict(zip(self._names, state.tolist(), strict=True))

    def _chain(self, arm: ArmContract) -> Kinematics:
        kinematics = Kinematics(arm)
        missing = [name for name in kinematics.names if name not in self._names]
        if missing:
            raise ConfigError(
                f'the state in {self._data} has no {", ".join(missing)}, which the kinematics of '
                f"arm '{arm.name}' needs; set the contract of the arm that was recorded, or "
                'localization_weight: 0'
            )
        return kinematics
