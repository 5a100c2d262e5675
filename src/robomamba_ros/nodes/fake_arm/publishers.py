"""What the fake arm publishes: joint states, pose, odometry, and a test image of each camera."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import (
    pose_to_message,
    pose_to_stamped,
    time_message,
)
from robomamba_ros.nodes.fake_arm.camera_topics import CameraTopics, send
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Camera
from robomamba_ros.simulation.color_bars import ColorBars
from robomamba_ros.simulation.disagreement.reports import Sample, joint_messages
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.spatial.transforms import quaternion_from_rotation_vector
from robomamba_ros.types import Pose

# Depth is that of a wall, with the marker before it [mm].
WALL_MM, MARKER_MM = 1000, 800
# Of an image from top to bottom.
FIELD_OF_VIEW_DEG = 60.0


class StatePublishers:
    """Publishes `joint_states`, and `ee_pose` and `odometry` where the contract names them."""

    def __init__(self, node: Any, arm: ArmContract) -> None:
        self._arm = arm
        # Reliable: readers that ask for less get less.
        profile = qos.STATE_LOCKSTEP
        self._base = arm.names_of('base')
        self._joints = {
            stream: node.create_publisher(JointState, stream, profile)
            for stream in arm.joint_streams
        }
        self._ee_pose = self._odometry = None
        if 'ee_pose' in arm.inputs:
            self._ee_pose = node.create_publisher(PoseStamped, 'ee_pose', profile)
        if 'odometry' in arm.inputs:
            self._odometry = node.create_publisher(Odometry, 'odometry', profile)

    def publish(self, fake: FakeArm, now_ns: int) -> None:
        """Publish what the arm has said about its joints by now, each sample once.

        A mobile base is in the odometry, not among the joints.
        """
        for sample in fake.reports.due(now_ns):
            self.say(fake, sample)

    def say(self, fake: FakeArm, sample: Sample) -> None:
        """Publish one sample."""
        stamp_ns, frame = sample.stamp_ns, self._arm.base_frame
        # Readers make a state of what is there when the joints come, or the pose.
        if self._odometry is not None:
            self._odometry.publish(self._odometry_message(sample))
        for stream, names in joint_messages(self._arm, fake.disagreement):
            joints = JointState(
                name=names,
                position=[sample.positions[name] for name in names],
                velocity=[sample.velocities[name] for name in names],
            )
            joints.header.stamp = time_message(stamp_ns)
            self._joints[stream].publish(joints)
        if self._ee_pose is not None:
            pose = fake.pose_at(sample.positions)
            if pose is not None:
                self._ee_pose.publish(pose_to_stamped(pose, stamp_ns, frame))

    def _odometry_message(self, sample: Sample) -> Odometry:
        x, y, heading = (sample.positions[name] for name in self._base)
        speed_x, speed_y, turning = (sample.velocities[name] for name in self._base)
        turn = quaternion_from_rotation_vector(np.array([0.0, 0.0, heading]))
        message = Odometry(child_frame_id='base_footprint')
        message.header.stamp = time_message(sample.stamp_ns)
        message.header.frame_id = self._arm.base_frame
        message.pose.pose = pose_to_message(Pose(np.array([x, y, 0.0]), turn))
        # Velocities are given in the child frame.
        c, s = np.cos(heading), np.sin(heading)
        twist = message.twist.twist
        twist.linear.x, twist.linear.y = c * speed_x + s * speed_y, c * speed_y - s * speed_x
        twist.angular.z = turning
        return message


class CameraPublishers:
    """Publishes one camera of the contract: a test image, before a wall (see CameraTopics)."""

    def __init__(self, node: Any, camera: Camera, width: int, height: int) -> None:
        self._picture = ColorBars(camera.name, width, height)
        self._depth_mm = np.full((height, width), WALL_MM, dtype=np.uint16)
        self._topics = CameraTopics(node, camera, width, height, FIELD_OF_VIEW_DEG)

    def publish(self, stamp_ns: int) -> None:
        """Publish what the camera sees at a time, as far as somebody looks."""

        def depth_mm() -> NDArray[np.uint16]:
            depth = self._depth_mm.copy()
            depth[self._picture.lane, self._picture.marker(stamp_ns)] = MARKER_MM
            return depth

        send(self._topics.messages(stamp_ns, lambda: self._picture.at(stamp_ns), depth_mm))
