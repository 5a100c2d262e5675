"""The arm's state from ROS messages, live ones of rclpy as well as those read from a bag.

Only fields are looked at, so that both come the same way. Needs the base installation only, as a
robot's own computer has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.joints import JointTable, joint_positions, nanoseconds
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import Float64Array, Pose, RobotState

# What is said while a URDF that is to come by a topic has not come.
DESCRIPTION_MISSING = 'robot_description: nothing received yet'
# Where the first computed quaternion lies, so that the same pose has the same one after a restart.
# No orientation along the axes lies at its edge, where noise would decide.
FIRST_HEMISPHERE = np.array([8.0, 4.0, 2.0, 1.0])

__all__ = ['StateJoiner', 'joint_positions', 'nanoseconds']


class StateJoiner:
    """Joins the streams that an arm contract names into states of the arm.

    Joints are joined by their names, each with a stamp of its own: they may come in messages of
    several publishers, such as the arm's and the gripper's, or on several topics. A state comes
    with every ee_pose, or where the arm has none with every JointState that has joints of the arm,
    from which `kinematics` computes the pose. Beside it stand the newest values of everything
    else. The stamp of a joint stream is that of its oldest joint, so that a joint that comes no
    longer makes the stream late. same_stamp: only once all have one stamp.

    Quaternions keep to one hemisphere: the one nearer to the state before.

    A message that cannot be used raises ObservationError and changes nothing, so that its stream
    goes stale instead of wrong. So does one with which a joint is not there yet, or is older than
    the others of its stream by more than the budget; its joints are kept.
    """

    def __init__(
        self, arm: ArmContract, kinematics: Kinematics | None = None, *, same_stamp: bool
    ) -> None:
        self.kinematics = kinematics
        self._arm = arm
        self._same_stamp = same_stamp
        self._leads = 'ee_pose' if 'ee_pose' in arm.inputs else ''
        self._joints = JointTable(arm)
        self._newest: dict[str, Any] = {}
        self._stamps: dict[str, int] = {}
        self._yaw = 0.0
        self._quaternion: Float64Array | None = None
        self._given = False

    def add(self, stream: str, message: Any, stamp_ns: int | None = None) -> RobotState | None:
        """Take a message of a stream of the contract; return what it completes.

        A sensor_msgs/JointState, a geometry_msgs/PoseStamped or a nav_msgs/Odometry.
        stamp_ns: instead of the message's own [ns].
        """
        arm, stamps = self._arm, self._stamps
        if stamp_ns is None:
            stamp_ns = nanoseconds(message.header.stamp)
        leads = stream == self._leads
        if stream == 'ee_pose':
            self._newest[stream] = pose_from_stamped(message, arm.base_frame)
        elif stream == 'odometry':
            self._newest[stream] = self._read_odometry(message)
        else:
            taken = self._joints.take(stream, message, stamp_ns)
            if not taken:
                return None
            leads = not self._leads and not taken.isdisjoint(self._joints.leading)
        if stream in arm.joint_streams:
            stamps.update(self._joints.stamps)
        else:
            stamps[stream] = stamp_ns
        if not self._joints.complete or len(stamps) < len(arm.inputs):
            return None
        if self._same_stamp:
            if len({*stamps.values(), *self._joints.joint_stamps.values()}) > 1:
                return None
        elif not leads and (self._leads or self._given):
            return None
        self._given = True
        positions = self._joints.positions | self._newest.get('odometry', {})
        pose = self._newest['ee_pose'] if 'ee_pose' in arm.inputs else self._pose(positions)
        return RobotState(
            stamp_ns=stamps[self._leads] if self._leads else self._joints.lead_ns,
            pose=self._on_one_hemisphere(pose),
            gripper=opening_of(positions, arm),
            joints={joint.name: positions[joint.name] for joint in arm.joints},
            stamps=dict(stamps),
        )

    def _read_odometry(self, message: Any) -> dict[str, float]:
        position, yaw = planar_pose(message, self._arm.base_frame)
        # Turns add up: a joint has no jump from pi to -pi.
        self._yaw += math.remainder(yaw - self._yaw, math.tau)
        return dict(zip(self._arm.names_of('base'), (*position, self._yaw), strict=True))

    def _pose(self, positions: Mapping[str, float]) -> Pose:
        if self.kinematics is None:
            raise ObservationError(f'{DESCRIPTION_MISSING}, and the pose is computed with it')
        pose = self.kinematics.forward(
            np.array([positions[name] for name in self.kinematics.names])
        )
        if self._quaternion is None and float(pose.quaternion @ FIRST_HEMISPHERE) < 0.0:
            return Pose(pose.position, -pose.quaternion)
        return pose

    def _on_one_hemisphere(self, pose: Pose) -> Pose:
        """Return the pose with the one of its two quaternions that is nearer to the last one."""
        if self._quaternion is not None and float(pose.quaternion @ self._quaternion) < 0.0:
            pose = Pose(pose.position, -pose.quaternion)
        self._quaternion = pose.quaternion
        return pose


def pose_from_stamped(message: Any, frame: str) -> Pose:
    """Return a geometry_msgs/PoseStamped as a Pose in `frame`.

    Raises ObservationError on another frame and where the pose is not rigid.
    """
    if message.header.frame_id.lstrip('/') != frame:
        raise ObservationError(
            f"a pose is in the frame '{message.header.frame_id:.60}', the arm's base frame is "
            f"'{frame}'"
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
    if message.header.frame_id.lstrip('/') != frame:
        raise ObservationError(
            f"odometry is in the frame '{message.header.frame_id:.60}', the arm's base frame is "
            f"'{frame}'"
        )
    pose = pose_from_message(message.pose.pose)
    x, y, z, w = pose.quaternion.tolist()
    yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return (float(pose.position[0]), float(pose.position[1])), yaw


def gripper_opening(message: Any, arm: ArmContract) -> float:
    """Return the opening, 0 closed .. 1 open, that a JointState gives the arm's gripper."""
    return opening_of(joint_positions(message, arm.names_of('gripper'), arm), arm)


def opening_of(positions: Mapping[str, float], arm: ArmContract) -> float:
    """Return the opening, 0 closed .. 1 open, at the position of the arm's gripper joint.

    0 where the arm has no gripper; no policy that knows one runs on such an arm.
    """
    gripper = arm.gripper
    return 0.0 if gripper is None else gripper.opening(positions[gripper.joint])
