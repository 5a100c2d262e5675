"""This package's values as ROS messages; data/ has the way back, which bags share.

Needs the base installation only, as a robot's own computer has it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from builtin_interfaces.msg import Duration as DurationMessage
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import PoseStamped, Twist
from sensor_msgs.msg import CameraInfo, Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, Float64Array, Pose, UInt8Array


def time_message(stamp_ns: int) -> TimeMessage:
    """Return a stamp [ns] as builtin_interfaces/Time."""
    seconds, rest = divmod(stamp_ns, NANOSECONDS)
    return TimeMessage(sec=seconds, nanosec=rest)


def duration_message(duration_ns: int) -> DurationMessage:
    """Return a duration [ns] as builtin_interfaces/Duration."""
    seconds, rest = divmod(duration_ns, NANOSECONDS)
    return DurationMessage(sec=seconds, nanosec=rest)


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


def joint_trajectory(
    names: Sequence[str],
    times_ns: Sequence[int],
    points: Float64Array,
) -> JointTrajectory:
    """Return a trajectory of `names` (n,) that starts when it is received: its stamp is zero.

    times_ns (k,): from the start; points (k, 3, n): positions, velocities and accelerations [rad
    or m, per s, per s^2].
    """
    # An array is taken as it is; a list would be checked number by number.
    messages = [
        JointTrajectoryPoint(
            positions=array('d', position.tobytes()),
            velocities=array('d', velocity.tobytes()),
            accelerations=array('d', acceleration.tobytes()),
            time_from_start=duration_message(time_ns),
        )
        for time_ns, (position, velocity, acceleration) in zip(times_ns, points, strict=True)
    ]
    return JointTrajectory(joint_names=list(names), points=messages)


def twist_message(linear: Sequence[float], angular: Sequence[float]) -> Twist:
    """Return velocities, three and three, as a geometry_msgs/Twist."""
    message = Twist()
    message.linear.x, message.linear.y, message.linear.z = linear
    message.angular.x, message.angular.y, message.angular.z = angular
    return message


def gripper_command(opening: float, stamp_ns: int, arm: ArmContract) -> JointState:
    """Return the JointState that commands an opening, 0 closed .. 1 open."""
    message = JointState(name=arm.names_of('gripper'), position=[gripper_position(opening, arm)])
    message.header.stamp = time_message(stamp_ns)
    return message


def gripper_position(opening: float, arm: ArmContract) -> float:
    """Return the position [rad or m] of the gripper's joint at an opening, 0 closed .. 1 open."""
    gripper = arm.gripper
    assert gripper is not None, f"the contract of arm '{arm.name}' has no gripper"
    return gripper.position(opening)


def rgb_to_image(image: UInt8Array, stamp_ns: int, frame: str) -> Image:
    """Return RGB (h, w, 3) uint8 as a sensor_msgs/Image in rgb8."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding='rgb8', step=3 * width)
    message.header.stamp = time_message(stamp_ns)
    message.header.frame_id = frame
    # An array is taken as it is; bytes would be checked one by one.
    message.data = array('B', image.tobytes())
    return message


def camera_info(width: int, height: int, focal: float) -> CameraInfo:
    """Return the CameraInfo of a pinhole camera whose axis meets the middle; focal length [px]."""
    x, y = 0.5 * width, 0.5 * height
    info = CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info
