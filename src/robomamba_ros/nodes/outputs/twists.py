"""Commands of velocity: twists of the end effector and of a mobile base."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Twist, TwistStamped

from robomamba_ros.control.twist_servo import BaseServo, PoseServo
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.conversions import twist_message
from robomamba_ros.nodes.outputs.command import Command
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output
from robomamba_ros.types import Float64Array


class TwistOutput:
    """A twist in every control period, and zero once nothing is commanded any more.

    The arm's is that of the end effector in the base frame; the base's is that of its footprint,
    whose name no contract knows: a stamped one leaves the frame empty.
    """

    def __init__(self, node: Any, arm: ArmContract, output: Output) -> None:
        self._node = node
        self._base = output.part == 'base'
        self._servo = BaseServo(arm) if self._base else PoseServo(arm)
        self._frame = '' if self._base else arm.base_frame
        self._stamped = output.stamped
        kind = TwistStamped if output.stamped else Twist
        self._publisher = node.create_publisher(kind, output.name, qos.COMMAND)
        self._stopped = self.at_rest = True
        self.count = 0

    def send(self, command: Command) -> None:
        """Publish the velocity of this period, corrected while a chunk is followed."""
        self._send(self._servo.twist(command.setpoint, command.measured, correct=command.tracking))

    def stop(self) -> None:
        """Publish what is left to come to rest, and once zero."""
        if not self._stopped:
            twist = self._servo.brake()
            self._send(twist)
            self._stopped = not twist.any()
            if self._stopped:
                self._servo.reset()

    def destroy(self) -> None:
        """Publish a last zero twist and stop publishing."""
        if not self._stopped:
            self._publish(Twist())
        self._node.destroy_publisher(self._publisher)

    def _send(self, twist: Float64Array) -> None:
        numbers = twist.tolist()
        if self._base:
            ahead, left, turn = numbers
            self._publish(twist_message((ahead, left, 0.0), (0.0, 0.0, turn)))
        else:
            self._publish(twist_message(numbers[:3], numbers[3:]))
        self._stopped, self.at_rest = False, not twist.any()

    def _publish(self, twist: Twist) -> None:
        message = twist
        if self._stamped:
            message = TwistStamped(twist=twist)
            message.header.frame_id = self._frame
            # Servos refuse what is not of now.
            message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
        self.count += 1
