"""Random changes to what a policy measures of itself, with the actions that answer to them.

Clean demonstrations never show how to come back: a policy that drifts off their path sees a state
that no demonstration had. A state moved at random, with actions that lead back to the demonstrated
path, shows it without a simulator (as DART, Laskey et al. 2017, shows it by moving the robot). The
image keeps the true state: what is seen says where the path is, what is measured says how far off
the hand is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.types import EE_DELTA_NAMES, EE_POSE_NAMES, ActionSpace, Float32Array

_STREAM = 3
DELTAS = (ActionSpace.EE_DELTA, ActionSpace.JOINT_DELTA)


@dataclass(frozen=True)
class StateNoise:
    """How states are changed, each tick of a sequence by itself.

    noise: deviation added to each channel, in units of the channel's deviation in the data.
    recovery: steps in which the actions lead back; 0: they stay as they are. dropout, delta: share
    of the ticks in which the state, or its change, reads as the mean of the data.
    """

    noise: float = 0.0
    recovery: int = 0
    dropout: float = 0.0
    delta: float = 0.0

    @property
    def changes_states(self) -> bool:
        """Whether any change is not zero."""
        return any((self.noise, self.dropout, self.delta))

    def draw(self, seed: int, step: int, count: int, channels: int, own: slice, times: int) -> Draw:
        """Return the changes of one training step: of the rows `own` of `count`, `times` each."""
        rng = np.random.default_rng([seed, step, _STREAM])
        noise = self.noise * rng.standard_normal((count, times, channels), dtype=np.float32)
        hidden = rng.random((count, times)) < self.dropout
        still = rng.random((count, times)) < self.delta
        return Draw(
            noise[own].reshape(-1, channels), hidden[own].reshape(-1), still[own].reshape(-1)
        )


@dataclass(frozen=True)
class Draw:
    """Of n rows: noise (n, d_s) on the unit scale; hidden, still (n,): no state, no delta state."""

    noise: Float32Array
    hidden: NDArray[np.bool_]
    still: NDArray[np.bool_]


def corrected(
    actions: Float32Array, moved: Float32Array, columns: Sequence[tuple[int, int]], steps: int
) -> Float32Array:
    """Return actions (n, H, d_a) that lead back, within `steps`, from states moved by (n, d_s).

    columns: which action changes which state, in the same unit.
    """
    if not steps or not columns:
        return actions
    actions = actions.copy()
    for action, state in columns:
        actions[:, :steps, action] -= moved[:, state, None] / steps
    return actions


def correcting_columns(
    space: str, action_names: Sequence[str], state_names: Sequence[str]
) -> tuple[tuple[int, int], ...]:
    """Return which action changes which state, by number.

    None in spaces of places, whose actions lead there from wherever the robot is. Turns are left
    out: quaternions do not add.
    """
    if ActionSpace(space) not in DELTAS:
        return ()
    of = dict(zip(EE_DELTA_NAMES[:3], EE_POSE_NAMES[:3], strict=True))
    if ActionSpace(space) is ActionSpace.JOINT_DELTA:
        of = {name: name for name in state_names if name != 'gripper'}
    return tuple(
        (number, state_names.index(of[name]))
        for number, name in enumerate(action_names)
        if of.get(name) in state_names
    )
