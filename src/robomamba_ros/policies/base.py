"""The contract every policy keeps. Imports no torch, so that control code can name it anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from robomamba_ros.errors import ObservationError
from robomamba_ros.types import ActionChunk, ActionSpace, Observation


@dataclass(frozen=True)
class CameraSpec:
    """A camera the policy needs: images of exactly (height, width, 3), RGB uint8."""

    name: str
    height: int
    width: int


@dataclass(frozen=True)
class PolicySpec:
    """What a policy needs and gives.

    state_names: channels of Observation.state, see RobotState.value.
    action_names: channels of a chunk in the space `action_space`, see ActionSpace.
    horizon: actions per chunk H; dt_ns: time one action lasts [ns].
    execute_steps: actions to run before the next inference, as the policy was evaluated.
    """

    name: str
    cameras: tuple[CameraSpec, ...]
    state_names: tuple[str, ...]
    action_space: ActionSpace
    action_names: tuple[str, ...]
    horizon: int
    dt_ns: int
    execute_steps: int

    def check(self, observation: Observation) -> None:
        """Raise ObservationError where the observation is not what this policy needs."""
        for camera in self.cameras:
            image = observation.images.get(camera.name)
            if image is None:
                present = ', '.join(observation.images) or 'none'
                raise ObservationError(
                    f"policy '{self.name}' needs the camera '{camera.name}'; present: {present}. "
                    'Remap its topic or name it in the arm contract.'
                )
            expected = (camera.height, camera.width, 3)
            if image.shape != expected or image.dtype != np.uint8:
                raise ObservationError(
                    f"camera '{camera.name}' gives {image.shape} {image.dtype}, policy "
                    f"'{self.name}' needs {expected} uint8 RGB"
                )
        for label, state in (
            ('state', observation.state),
            ('previous_state', observation.previous_state),
        ):
            if state.shape != (len(self.state_names),):
                raise ObservationError(
                    f'{label} has shape {state.shape}, policy needs the {len(self.state_names)} '
                    f'channels {", ".join(self.state_names)}'
                )
            if not np.isfinite(state).all():
                bad = self.state_names[int(np.argmin(np.isfinite(state)))]
                raise ObservationError(f"{label} channel '{bad}' is not finite: {state.tolist()}")


class Policy(Protocol):
    """A policy. `infer` is pure but for what `reset` clears: same inputs, same chunk."""

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""

    def reset(self) -> None:
        """Forget the episode (recurrent state, caches of the instruction)."""

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the chunk for one observation; raises ObservationError on a bad one."""
