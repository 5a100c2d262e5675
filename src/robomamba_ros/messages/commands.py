"""Where a recorded command sends a part of the robot, for every kind of controller that positions.

Only fields of messages are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.state import gripper_opening, nanoseconds, opening_of, pose_from_stamped
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import Pose

# Kind of controller -> the type of its commands; others command velocities, or by an action.
TYPES: Mapping[str, str] = {
    'target_pose': 'geometry_msgs/msg/PoseStamped',
    'joint_trajectory': 'trajectory_msgs/msg/JointTrajectory',
    'forward_position': 'std_msgs/msg/Float64MultiArray',
    'joint_state': 'sensor_msgs/msg/JointState',
}


@dataclass(frozen=True)
class Target:
    """Where a part is sent: the end effector's pose, joints by name [rad or m], an opening."""

    pose: Pose | None = None
    joints: Mapping[str, float] = field(default_factory=dict)
    opening: float | None = None


@dataclass(frozen=True)
class Command:
    """A command: where it sends its part at a time [ns], and until when it leads on [ns]."""

    at: Callable[[int], Target]
    end_ns: int


def read_command(message: Any, part: str, arm: ArmContract, now_ns: int) -> tuple[int, Command]:
    """Return the stamp of a command to a part of the arm, and what it commands.

    now_ns: the stamp of a message without one. Raises ObservationError where it cannot be used.
    """
    output = arm.output(part)
    assert output is not None
    stamp_ns = nanoseconds(message.header.stamp) if hasattr(message, 'header') else 0
    stamp_ns = stamp_ns or now_ns
    if output.kind == 'target_pose':
        pose = pose_from_stamped(message, arm.base_frame)
        return stamp_ns, Command(lambda _: Target(pose=pose), stamp_ns)
    if output.kind == 'joint_state':
        opening = gripper_opening(message, arm)
        return stamp_ns, Command(lambda _: Target(opening=opening), stamp_ns)
    names = list(arm.names_of(part))
    if output.kind == 'forward_position':
        values = _positions(list(message.data), names)
        joints = dict(zip(names, values, strict=True))
        return stamp_ns, Command(lambda _: _target(joints, arm), stamp_ns)
    return stamp_ns, _trajectory(message, names, arm, stamp_ns)


def _trajectory(message: Any, names: list[str], arm: ArmContract, start_ns: int) -> Command:
    """Return the positions of a JointTrajectory, on straight lines between its points."""
    missing = [name for name in names if name not in message.joint_names]
    if missing or not message.points:
        found = ', '.join(message.joint_names) or 'none'
        raise ObservationError(f'a JointTrajectory lacks points for {", ".join(missing) or found}')
    columns = [list(message.joint_names).index(name) for name in names]
    times = [start_ns + nanoseconds(point.time_from_start) for point in message.points]
    positions = np.array(
        [_positions(list(point.positions), message.joint_names) for point in message.points]
    )

    def at(time_ns: int) -> Target:
        # Relative times: nanoseconds since 1970 do not fit into a float.
        relative = [time - start_ns for time in times]
        values = [np.interp(time_ns - start_ns, relative, positions[:, c]) for c in columns]
        return _target(dict(zip(names, map(float, values), strict=True)), arm)

    return Command(at, times[-1])


def _positions(values: list[float], names: list[str]) -> list[float]:
    numbers = [float(value) for value in values]
    if len(numbers) != len(names) or not np.isfinite(numbers).all():
        raise ObservationError(
            f'a command has the positions {numbers}; needed is a finite one for each of '
            f'{", ".join(names)}'
        )
    return numbers


def _target(joints: dict[str, float], arm: ArmContract) -> Target:
    if arm.gripper is None or arm.gripper.joint not in joints:
        return Target(joints=joints)
    others = {name: value for name, value in joints.items() if name != arm.gripper.joint}
    return Target(joints=others, opening=opening_of(joints, arm))
