"""The arm's state from ROS messages, live ones of rclpy as well as those read from a bag.

Only fields are looked at, so that both come the same way. Needs the base installation only, as a
robot's own computer has it. Knows nothing about nodes, topics or bags.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, Pose, RobotState

# What is said while a URDF that is to come by a topic has not come.
DESCRIPTION_MISSING = 'robot_description: nothing received yet'


class StateJoiner:
    """Joins the streams that an arm contract names into states of the arm.

    A state comes with every ee_pose, or where the arm has none with every JointState, from whose
    joints `kinematics` computes the pose. Beside it stand the newest values of the other streams;
    how old they may be is for the reader to judge. same_stamp: only once all have one stamp.

    A message that cannot be used raises ObservationError and changes nothing, so that its stream
    goes stale instead of wrong.
    """

    def __init__(
        self, arm: ArmContract, kinematics: Kinematics | None = None, *, same_stamp: bool
    ) -> None:
        self.kinematics = kinematics
        self._arm = arm
        self._same_stamp = same_stamp
        self._leading = 'ee_pose' if 'ee_pose' in arm.inputs else 'joint_states'
        self._read: dict[str, Callable[[Any], Any]] = {
            'joint_states': self._read_joints,
            'ee_pose': lambda pose: pose_from_stamped(pose, arm.base_frame),
            'odometry': self._read_odometry,
        }
        # The joints of a mobile base are the odometry's.
        measured = (joint.name for joint in arm.joints_of('arm', 'head'))
        self._measured = (*measured, arm.gripper.joint)
        self._newest: dict[str, Any] = {}
        self._stamps: dict[str, int] = {}
        self._yaw = 0.0

    def add(self, stream: str, message: Any) -> RobotState | None:
        """Take a message of `stream`: joint_states, ee_pose or odometry; return what it completes.

        They are a sensor_msgs/JointState, a geometry_msgs/PoseStamped and a nav_msgs/Odometry.
        """
        newest, stamps = self._newest, self._stamps
        newest[stream] = self._read[stream](message)
        stamps[stream] = nanoseconds(message.header.stamp)
        if len(stamps) < len(self._arm.inputs):
            return None
        if len(set(stamps.values())) > 1 if self._same_stamp else stream != self._leading:
            return None
        positions = newest['joint_states'] | newest.get('odometry', {})
        return RobotState(
            stamp_ns=stamps[self._leading],
            pose=newest['ee_pose'] if 'ee_pose' in newest else self._pose(positions),
            gripper=opening_of(positions, self._arm),
            joints={joint.name: positions[joint.name] for joint in self._arm.joints},
            stamps=dict(stamps),
        )

    def _read_joints(self, message: Any) -> dict[str, float]:
        return joint_positions(message, self._measured, self._arm)

    def _read_odometry(self, message: Any) -> dict[str, float]:
        position, yaw = planar_pose(message, self._arm.base_frame)
        # Turns add up: a joint has no jump from pi to -pi.
        self._yaw += math.remainder(yaw - self._yaw, math.tau)
        names = (joint.name for joint in self._arm.joints_of('base'))
        return dict(zip(names, (*position, self._yaw), strict=True))

    def _pose(self, positions: Mapping[str, float]) -> Pose:
        if self.kinematics is None:
            raise ObservationError(f'{DESCRIPTION_MISSING}, and the pose is computed with it')
        return self.kinematics.forward(
            np.array([positions[name] for name in self.kinematics.names])
        )


def nanoseconds(time: Any) -> int:
    """Return a builtin_interfaces Time or Duration in nanoseconds."""
    return int(time.sec) * NANOSECONDS + int(time.nanosec)


def pose_from_stamped(message: Any, frame: str) -> Pose:
    """Return a geometry_msgs/PoseStamped as a Pose in `frame`.

    Raises ObservationError on another frame and where the pose is not rigid.
    """
    if message.header.frame_id != frame:
        raise ObservationError(
            f"a pose is in the frame '{message.header.frame_id}', the arm's base frame is '{frame}'"
        )
    return pose_from_message(message.pose)


def pose_from_message(message: Any) -> Pose:
    """Return a geometry_msgs/Pose as a Pose; raises ObservationError where it is not rigid."""
    p, q = message.position, message.orientation
    return Pose(np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w]))


def planar_pose(message: Any, frame: str) -> tuple[tuple[float, float], float]:
    """Return (x, y) [m] and yaw [rad], -pi .. pi, of a nav_msgs/Odometry in `frame`.

    Raises ObservationError on another frame and where the pose is not rigid.
    """
    if message.header.frame_id != frame:
        raise ObservationError(
            f"odometry is in the frame '{message.header.frame_id}', the arm's base frame is "
            f"'{frame}'"
        )
    pose = pose_from_message(message.pose.pose)
    x, y, z, w = pose.quaternion.tolist()
    yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return (float(pose.position[0]), float(pose.position[1])), yaw


def joint_positions(message: Any, names: tuple[str, ...], arm: ArmContract) -> dict[str, float]:
    """Return the positions of the joints `names` in a sensor_msgs/JointState.

    Their order plays no part, and other joints (another arm, a mobile base) are ignored. Raises
    ObservationError naming what is missing, given twice or not finite.
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
    if len(present) < len(message.name):
        counts = Counter(message.name)
        twice = [name for name in names if counts[name] > 1]
        if twice:
            raise ObservationError(f'a JointState gives {", ".join(twice)} more than once')
    positions = {name: float(present[name]) for name in names}
    bad = [name for name, position in positions.items() if not math.isfinite(position)]
    if bad:
        raise ObservationError(f'a JointState gives {", ".join(bad)} a position that is not finite')
    return positions


def gripper_opening(message: Any, arm: ArmContract) -> float:
    """Return the opening, 0 closed .. 1 open, that a JointState gives the arm's gripper."""
    return opening_of(joint_positions(message, (arm.gripper.joint,), arm), arm)


def opening_of(positions: Mapping[str, float], arm: ArmContract) -> float:
    """Return the opening, 0 closed .. 1 open, at the position of the arm's gripper joint."""
    gripper = arm.gripper
    span = gripper.open_position - gripper.closed_position
    return min(1.0, max(0.0, (positions[gripper.joint] - gripper.closed_position) / span))
