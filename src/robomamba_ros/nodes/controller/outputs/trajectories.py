"""Commands to a joint_trajectory_controller: the whole way, whenever it changes.

The stamp is zero, so that the controller begins on receipt: versions differ in what they do with
one in the past. The last velocity is zero, so that it comes to rest if nothing follows.

In lockstep there is a message for every period, stamped with it, as simulated time waits there: one
without points where the controller is to go on. A stamp of now means the same as none.

What comes on the topic is read along: a message that was not sent here is somebody else's, who may
be gone before the graph of nodes shows that there are two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.control.setpoints.senders import Command, TrajectorySender
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import joint_trajectory
from robomamba_ros.nodes.common.diagnostics import SOMEBODY_ELSE
from robomamba_ros.nodes.controller.outputs.per_period import PerPeriod
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output

# How many messages are known again: those of a second or more.
_KEPT = 100


class TrajectoryOutput:
    """The trajectories of a part's joints.

    now_ns: the time of control. on_other: told, in words, of a trajectory that somebody else sends.
    lockstep_ns: in lockstep the time of the period.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        output: Output,
        now_ns: Callable[[], int],
        on_other: Callable[[str], None],
        lockstep_ns: Callable[[], int] | None = None,
    ) -> None:
        self._node, self._arm, self._output = node, arm, output
        self._now_ns = now_ns
        self._sender = TrajectorySender(arm, output)
        self._names = [joint.name for joint in self._sender.joints]
        self._publisher = node.create_publisher(JointTrajectory, output.name, qos.COMMAND)
        self._on_other, self._topic = on_other, node.resolve_topic_name(output.name)
        self._sent: deque[tuple[bytes, JointTrajectory]] = deque(maxlen=_KEPT)
        # As bytes: a period has no time to take messages apart.
        self._subscription = node.create_subscription(
            JointTrajectory, output.name, self._read_along, qos.READ_ALONG, raw=True
        )
        self._period = PerPeriod(self._publish, JointTrajectory, lockstep_ns)
        self.count = 0
        self.at_rest = True

    def send(self, command: Command) -> None:
        """Publish the trajectory where it is another one than before."""
        if self._period.repeat():
            return
        sent = self._sender.send(command, self._now_ns())
        if sent is not None:
            self._period.say(joint_trajectory(self._names, *sent))
            self.count += 1
        self._period.go_on()

    def _publish(self, message: JointTrajectory) -> None:
        data = serialize_message(message)
        if not self._sent or self._sent[-1][0] != data:
            self._sent.append((data, message))
        self._publisher.publish(data)

    def _read_along(self, data: bytes) -> None:
        if any(data == own for own, _ in self._sent):
            return
        # Middleware may write the same message in other bytes.
        message = None
        with suppress(Exception):  # bytes that are no trajectory have not been sent here either
            message = deserialize_message(data, JointTrajectory)
        if all(message != own for _, own in self._sent):
            self._on_other(f'{SOMEBODY_ELSE} sent a trajectory to {self._topic}: end that program')

    def stand_still(self) -> None:
        """Leave the controller, which went to the end of the way."""
        self._sender.stand_still()

    def stop(self) -> None:
        """Leave the controller at the end of the way, at rest."""
        if not self._period.repeat():
            self._period.go_on()

    def forget(self) -> None:
        """Begin anew with a controller that was sent nothing."""
        self._sender = TrajectorySender(self._arm, self._output)

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._publisher)
