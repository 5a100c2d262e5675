"""Commands of velocity: twists of the end effector and of a mobile base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped

from robomamba_ros.control.setpoints.senders import Command, TwistSender
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import twist_message
from robomamba_ros.nodes.controller.outputs.per_period import PerPeriod
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output
from robomamba_ros.types import Float64Array


class TwistOutput:
    """A twist in every control period, and zero once nothing is commanded any more.

    The arm's is that of the end effector in the base frame; the base's is that of its footprint,
    whose name no contract knows: a stamped one leaves the frame empty.

    lockstep_ns: in lockstep the time of the period. There it is stamped with that, whatever the
    contract says, and comes in every period: simulated time waits for it.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        output: Output,
        lockstep_ns: Callable[[], int] | None = None,
    ) -> None:
        self._node = node
        self._sender = TwistSender(arm, output)
        self._frame = '' if output.part == 'base' else arm.base_frame
        self._lockstep = lockstep_ns is not None
        self._stamped = output.stamped or self._lockstep
        kind = TwistStamped if self._stamped else Twist
        self._publisher = node.create_publisher(kind, output.name, qos.COMMAND)
        self._period = PerPeriod(self._publish, lambda: self._message(Twist()), lockstep_ns)
        self._stopped = True
        self.count = 0

    @property
    def at_rest(self) -> bool:
        """Whether the last twist was zero."""
        return self._sender.at_rest

    def send(self, command: Command) -> None:
        """Publish the velocity of this period, corrected while a chunk is followed."""
        if not self._period.repeat():
            self._send(self._sender.send(command))

    def stand_still(self) -> None:
        """Go on from rest: the controller has stopped by itself."""
        self._sender.stand_still()

    def stop(self) -> None:
        """Publish what is left to come to rest, and once zero; in lockstep zero goes on."""
        if self._period.repeat():
            return
        twist = self._sender.stop()
        if twist is not None:
            self._send(twist)
        self._period.go_on()
        self._stopped = self._sender.at_rest

    def forget(self) -> None:
        """Begin anew at rest."""
        self._sender.stand_still()

    def destroy(self) -> None:
        """Publish a last zero twist and stop publishing."""
        if not self._stopped:
            self._period.say(self._message(Twist()))
        self._node.destroy_publisher(self._publisher)

    def _send(self, twist: Float64Array) -> None:
        numbers = twist.tolist()
        linear, angular = numbers[:3], numbers[3:]
        if len(numbers) == 3:
            ahead, left, turn = numbers
            linear, angular = (ahead, left, 0.0), (0.0, 0.0, turn)
        self._period.say(self._message(twist_message(linear, angular)))
        self._stopped = False

    def _message(self, twist: Twist) -> Twist | TwistStamped:
        if not self._stamped:
            return twist
        message = TwistStamped(twist=twist)
        message.header.frame_id = self._frame
        if not self._lockstep:
            # Servos refuse what is not of now.
            message.header.stamp = self._node.get_clock().now().to_msg()
        return message

    def _publish(self, message: Twist | TwistStamped) -> None:
        self._publisher.publish(message)
        self.count += 1
