"""Commands of velocity: twists of the end effector and of a mobile base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped

from robomamba_ros.control.setpoints.senders import Command, TwistSender
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import time_message, twist_message
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
        self._node, self._lockstep_ns = node, lockstep_ns
        self._sender = TwistSender(arm, output)
        self._frame = '' if output.part == 'base' else arm.base_frame
        self._stamped = output.stamped or lockstep_ns is not None
        kind = TwistStamped if self._stamped else Twist
        self._publisher = node.create_publisher(kind, output.name, qos.COMMAND)
        self._stopped = True
        # In lockstep the period of the last twist, which may have to be said again.
        self._stepped: tuple[int, Twist] | None = None
        self.count = 0

    @property
    def at_rest(self) -> bool:
        """Whether the last twist was zero."""
        return self._sender.at_rest

    def send(self, command: Command) -> None:
        """Publish the velocity of this period, corrected while a chunk is followed."""
        if not self._repeat():
            self._send(self._sender.send(command))

    def stand_still(self) -> None:
        """Go on from rest: the controller has stopped by itself."""
        self._sender.stand_still()

    def stop(self) -> None:
        """Publish what is left to come to rest, and once zero; in lockstep zero goes on."""
        if self._repeat():
            return
        twist = self._sender.stop()
        if twist is not None:
            self._send(twist)
        elif self._lockstep_ns is not None:
            self._publish(Twist())
        self._stopped = self._sender.at_rest

    def forget(self) -> None:
        """Begin anew at rest."""
        self._sender.stand_still()

    def destroy(self) -> None:
        """Publish a last zero twist and stop publishing."""
        if not self._stopped:
            self._publish(Twist())
        self._node.destroy_publisher(self._publisher)

    def _repeat(self) -> bool:
        """Say again what was said of this period of lockstep; tell whether it was said before."""
        if self._lockstep_ns is None or self._stepped is None:
            return False
        stamp_ns, twist = self._stepped
        if stamp_ns == self._lockstep_ns():
            self._publish(twist)
            return True
        return False

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
            if self._lockstep_ns is None:
                # Servos refuse what is not of now.
                message.header.stamp = self._node.get_clock().now().to_msg()
            else:
                self._stepped = self._lockstep_ns(), twist
                message.header.stamp = time_message(self._stepped[0])
        self._publisher.publish(message)
        self.count += 1
