"""Publishes setpoints in the form that the arm's controllers take.

Knows nothing about how a setpoint is decided.
"""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from robomamba_ros.errors import ConfigError
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.conversions import gripper_command, pose_to_stamped
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import Setpoint

# part -> kind; the topics are remapped from the arm contract.
SUPPORTED = {'arm': 'target_pose', 'gripper': 'joint_state'}


class SetpointOutput:
    """Publishes `target_pose` and `gripper`; raises ConfigError on another kind of controller."""

    def __init__(self, node: Any, arm: ArmContract) -> None:
        wrong = [o for o in arm.outputs if SUPPORTED.get(o.part) != o.kind]
        if wrong:
            supported = ', '.join(f'{part}: {kind}' for part, kind in SUPPORTED.items())
            raise ConfigError(
                f"arm '{arm.name}' has an output of part '{wrong[0].part}' and kind "
                f"'{wrong[0].kind}', which the controller node cannot publish; supported: "
                f'{supported}'
            )
        self._node = node
        self._arm = arm
        self._target = node.create_publisher(PoseStamped, 'target_pose', qos.COMMAND)
        self._gripper = node.create_publisher(JointState, 'gripper', qos.COMMAND)
        self.count = 0

    def publish(self, setpoint: Setpoint) -> None:
        """Publish one setpoint."""
        self.count += 1
        arm, stamp_ns = self._arm, setpoint.stamp_ns
        if setpoint.pose is not None:
            self._target.publish(pose_to_stamped(setpoint.pose, stamp_ns, arm.base_frame))
        self._gripper.publish(gripper_command(setpoint.gripper, stamp_ns, arm))

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_publisher(self._target)
        self._node.destroy_publisher(self._gripper)
