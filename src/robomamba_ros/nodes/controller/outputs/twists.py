"""Commands of velocity: twists of the end effector and of a mobile base."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Twist, TwistStamped

from robomamba_ros.control.setpoints.senders import Command, TwistSender
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import twist_message
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
        self._sender = TwistSender(arm, output)
        self._frame = '' if output.part == 'base' else arm.base_frame
        self._stamped = output.stamped
        kind = TwistStamped if output.stamped else Twist
        self._publisher = node.create_publisher(kind, output.name, qos.COMMAND)
        self._stopped = True
        self.count = 0

    @property
    def at_rest(self) -> bool:
        """Whether the last twist was zero."""
        return self._sender.at_rest

    def send(self, command: Command) -> None:
        """Publish the velocity of this period, corrected while a chunk is followed."""
        self._send(self._sender.send(command))

    def stand_still(self) -> None:
        """Go on from rest: the controller has stopped by itself."""
        self._sender.stand_still()

    def stop(self) -> None:
        """Publish what is left to come to rest, and once zero."""
        twist = self._sender.stop()
        if twist is not None:
            self._send(twist)
        self._stopped = self._sender.at_rest

    def forget(self) -> None:
        """Begin anew at rest."""
        self._sender.stand_still()

    def destroy(self) -> None:
        """Publish a last zero twist and stop publishing."""
        if not self._stopped:
            self._publish(Twist())
        self._node.destroy_publisher(self._publisher)

    def _send(self, twist: Float64Array) -> None:
        numbers = twist.tolist()
        if len(numbers) == 3:
            ahead, left, turn = numbers
            self._publish(twist_message((ahead, left, 0.0), (0.0, 0.0, turn)))
        else:
            self._publish(twist_message(numbers[:3], numbers[3:]))
        self._stopped = False

    def _publish(self, twist: Twist) -> None:
        message = twist
        if self._stamped:
            message = TwistStamped(twist=twist)
            message.header.frame_id = self._frame
            # Servos refuse what is not of now.
            message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
        self.count += 1
