"""Reads what a joint_trajectory_controller says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from robomamba_ros.types import Float64Array


def reference_of(message: Any, names: Sequence[str]) -> Float64Array | None:
    """Return what a controller wants of the joints `names`: (3, n), or None where it says nothing.

    message: control_msgs/JointTrajectoryControllerState. Its joints have the order of the
    controller's parameter `joints`. Rows are positions, velocities and accelerations [rad or m,
    per s, per s^2]; those that it leaves out are 0. Before Iron the field was called `desired`.
    """
    point = message.reference if hasattr(message, 'reference') else message.desired
    order = {name: index for index, name in enumerate(message.joint_names)}
    if any(name not in order for name in names):
        return None
    columns = [order[name] for name in names]
    state = np.zeros((3, len(columns)))
    for row, values in enumerate((point.positions, point.velocities, point.accelerations)):
        if len(values) == len(order):
            state[row] = np.array(values)[columns]
        elif row == 0 or len(values):
            return None
    return state if np.isfinite(state).all() else None
