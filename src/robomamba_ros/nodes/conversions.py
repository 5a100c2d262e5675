"""ROS messages to and from this package's values: poses, stamps, joint states.

Needs the base installation only, as a robot's own computer has it; images are in images.py.
Knows nothing about nodes or topics.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration as DurationMessage
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from robomamba_ros.errors import ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, Pose, RobotState


def nanoseconds(time: Any) -> int:
    """Return a builtin_interfaces Time or Duration in nanoseconds."""
    return int(time.sec) * NANOSECONDS + int(time.nanosec)


def time_message(stamp_ns: int) -> TimeMessage:
    """Return a stamp [ns] as builtin_interfaces/Time."""
    seconds, rest = divmod(stamp_ns, NANOSECONDS)
    return TimeMessage(sec=seconds, nanosec=rest)


def duration_message(duration_ns: int) -> DurationMessage:
    """Return a duration [ns] as builtin_interfaces/Duration."""
    seconds, rest = divmod(duration_ns, NANOSECONDS)
    return DurationMessage(sec=seconds, nanosec=rest)


def pose_from_stamped(message: Any, frame: str) -> Pose:
    """Return a geometry_msgs/PoseStamped as a Pose in `frame`.

    Raises ObservationError on another frame and where the pose is not rigid.
    """
    if message.header.frame_id != frame:
        raise ObservationError(
            f"a pose is in the frame '{message.header.frame_id}', the arm's base frame is '{frame}'"
        )
    p, q = message.pose.position, message.pose.orientation
    return Pose(np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w]))


def pose_to_message(pose: Pose) -> PoseMessage:
    """Return a Pose as a geometry_msgs/Pose."""
    message = PoseMessage()
    p, q = message.position, message.orientation
    p.x, p.y, p.z = pose.position.tolist()
    q.x, q.y, q.z, q.w = pose.quaternion.tolist()
    return message


def pose_to_stamped(pose: Pose, stamp_ns: int, frame: str) -> PoseStamped:
    """Return a Pose as a geometry_msgs/PoseStamped in `frame`."""
    message = PoseStamped(pose=pose_to_message(pose))
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = frame
    return message


def joint_positions(message: Any, names: tuple[str, ...], arm: ArmContract) -> dict[str, float]:
    """Return the positions of the joints `names` in a sensor_msgs/JointState.

    Other joints in it (another arm, a mobile base) are ignored. Raises ObservationError naming
    what is missing or not finite.
    """
    if len(message.name) != len(message.position):
        raise ObservationError(
            f'a JointState has {len(message.name)} names and {len(message.position)} positions; '
            'a driver that gives no positions cannot be used'
        )
    present = dict(zip(message.name, message.position, strict=True))
    missing = [name for name in names if name not in present]
    if missing:
        raise ObservationError(
            f"a JointState lacks {', '.join(missing)} of arm '{arm.name}'; it has "
            f'{", ".join(present) or "no joints"}'
        )
    bad = [name for name in names if not math.isfinite(present[name])]
    if bad:
        raise ObservationError(f'a JointState gives {", ".join(bad)} a position that is not finite')
    return {name: float(present[name]) for name in names}


def robot_state(joints: Any, pose: Any, arm: ArmContract) -> RobotState:
    """Return the arm's state from a JointState and a PoseStamped, stamped as the pose.

    Raises ObservationError naming what is missing, not finite, or in another frame.
    """
    names = tuple(joint.name for joint in arm.joints)
    positions = joint_positions(joints, names, arm)
    return RobotState(
        stamp_ns=nanoseconds(pose.header.stamp),
        pose=pose_from_stamped(pose, arm.base_frame),
        gripper=gripper_opening(joints, arm),
        joints=positions,
    )


def gripper_opening(message: Any, arm: ArmContract) -> float:
    """Return the opening, 0 closed .. 1 open, that a JointState gives the arm's gripper."""
    gripper = arm.gripper
    position = joint_positions(message, (gripper.joint,), arm)[gripper.joint]
    span = gripper.open_position - gripper.closed_position
    return min(1.0, max(0.0, (position - gripper.closed_position) / span))


def gripper_command(opening: float, stamp_ns: int, arm: ArmContract) -> JointState:
    """Return the JointState that commands an opening, 0 closed .. 1 open."""
    gripper = arm.gripper
    position = gripper.closed_position + opening * (gripper.open_position - gripper.closed_position)
    message = JointState(name=[gripper.joint], position=[position])
    message.header.stamp = time_message(stamp_ns)
    return message
