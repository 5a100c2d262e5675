"""The arm's state from ROS messages, live ones of rclpy as well as those read from a bag.

Only fields are looked at, so that both come the same way. Needs the base installation only, as a
robot's own computer has it. Knows nothing about nodes, topics or bags.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, Pose, RobotState


class StateJoiner:
    """Joins joint states and end-effector poses into states, each with the stamp of its joints.

    With every pose come the newest joints beside it; how old they may be is for the reader to
    judge. same_stamp: only once both of one stamp are there. What is added may raise
    ObservationError and then makes no state, so that the stream goes stale instead of wrong.
    """

    def __init__(self, arm: ArmContract, *, same_stamp: bool) -> None:
        self._arm = arm
        self._same_stamp = same_stamp
        self._joints: Any = None
        self._pose: Any = None

    def add_joints(self, message: Any) -> tuple[RobotState, int] | None:
        """Take a sensor_msgs/JointState; return the state that it completes."""
        self._joints = message
        return self._join() if self._same_stamp else None

    def add_pose(self, message: Any) -> tuple[RobotState, int] | None:
        """Take a geometry_msgs/PoseStamped; return the state that it completes."""
        self._pose = message
        return self._join()

    def _join(self) -> tuple[RobotState, int] | None:
        joints, pose = self._joints, self._pose
        if joints is None or pose is None:
            return None
        if self._same_stamp and joints.header.stamp != pose.header.stamp:
            return None
        return robot_state(joints, pose, self._arm), nanoseconds(joints.header.stamp)


def nanoseconds(time: Any) -> int:
    """Return a builtin_interfaces Time or Duration in nanoseconds."""
    return int(time.sec) * NANOSECONDS + int(time.nanosec)


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


def state_from_joints(joints: Any, arm: ArmContract, kinematics: Kinematics) -> RobotState:
    """Return the arm's state from a JointState alone, its pose computed from the joints.

    Raises ObservationError naming what is missing or not finite.
    """
    positions = joint_positions(joints, tuple(joint.name for joint in arm.joints), arm)
    return RobotState(
        stamp_ns=nanoseconds(joints.header.stamp),
        pose=kinematics.forward(np.array([positions[name] for name in kinematics.names])),
        gripper=gripper_opening(joints, arm),
        joints=positions,
    )


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


def gripper_opening(message: Any, arm: ArmContract) -> float:
    """Return the opening, 0 closed .. 1 open, that a JointState gives the arm's gripper."""
    gripper = arm.gripper
    position = joint_positions(message, (gripper.joint,), arm)[gripper.joint]
    span = gripper.open_position - gripper.closed_position
    return min(1.0, max(0.0, (position - gripper.closed_position) / span))
