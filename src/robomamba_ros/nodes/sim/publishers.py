"""What the simulated robot publishes: clock, proprioception, camera, status of the episode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import (
    camera_info,
    gripper_position,
    pose_to_stamped,
    rgb_to_image,
    time_message,
)
from robomamba_ros.nodes.common.diagnostics import OK, Report, status_message
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.simulation.metaworld import CAMERA
from robomamba_ros.types import RobotState, UInt8Array

# Vertical field of view of `corner2`, metaworld/assets/objects/assets/xyz_base.xml.
FIELD_OF_VIEW_DEG = 60.0


class SimPublishers:
    """The simulated robot's topics; every message of one instant carries its stamp."""

    def __init__(self, node: Any, arm: ArmContract, camera_size: int, announce: bool) -> None:
        self._node, self._arm = node, arm
        self._said = ''
        self._clock = node.create_publisher(ClockMessage, '/clock', qos.CLOCK)
        # Reliable in both modes: readers that ask for less get less.
        state = qos.STATE_LOCKSTEP
        self._joint_states = node.create_publisher(JointState, 'joint_states', state)
        self._ee_pose = node.create_publisher(PoseStamped, 'ee_pose', state)
        camera = f'camera/{CAMERA}'
        self._image = node.create_publisher(Image, f'{camera}/image', qos.CAMERA_LOCKSTEP)
        self._info = node.create_publisher(CameraInfo, f'{camera}/camera_info', qos.CAMERA_LOCKSTEP)
        self._status = node.create_publisher(DiagnosticStatus, '~/status', qos.LATCHED)
        self._instruction: Any = None
        if announce:
            self._instruction = node.create_publisher(String, 'instruction', qos.LATCHED)
        focal = 0.5 * camera_size / math.tan(0.5 * math.radians(FIELD_OF_VIEW_DEG))
        self._camera_info = camera_info(camera_size, camera_size, focal)

    def clock(self, stamp_ns: int) -> None:
        """Publish the simulated time."""
        self._clock.publish(ClockMessage(clock=time_message(stamp_ns)))

    def state(self, state: RobotState) -> None:
        """Publish `joint_states` and `ee_pose`."""
        names, positions = list(state.joints), list(state.joints.values())
        if self._arm.gripper is not None:
            names += self._arm.names_of('gripper')
            positions.append(gripper_position(state.gripper, self._arm))
        joints = JointState(name=names, position=positions)
        joints.header.stamp = time_message(state.stamp_ns)
        self._joint_states.publish(joints)
        self._ee_pose.publish(pose_to_stamped(state.pose, state.stamp_ns, self._arm.base_frame))

    def image(self, image: UInt8Array, stamp_ns: int) -> None:
        """Publish a camera image and its camera_info."""
        message = rgb_to_image(image, stamp_ns, CAMERA)
        self._camera_info.header = message.header
        self._info.publish(self._camera_info)
        self._image.publish(message)

    def instruction(self, text: str) -> None:
        """Publish `instruction`, where the node is to announce it."""
        if self._instruction is not None:
            self._instruction.publish(String(data=text))

    def status(self, message: str, values: Mapping[str, object]) -> None:
        """Publish `~/status`; log a new message."""
        if message != self._said:
            self._said = message
            self._node.get_logger().info(message)
        self._status.publish(status_message('episode', Report(OK, message, values)))
