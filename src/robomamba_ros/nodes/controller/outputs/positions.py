"""Commands of position in every control period: poses of the end effector, positions of joints."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from robomamba_ros.control.setpoints.senders import Command, PositionSender
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import (
    gripper_command,
    gripper_position,
    pose_to_stamped,
    time_message,
)
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output
from robomamba_ros.types import Float64Array, Setpoint


class _Streamed:
    """A message of one kind in every control period."""

    def __init__(self, node: Any, kind: Any, topic: str) -> None:
        self._node = node
        self._publisher = node.create_publisher(kind, topic, qos.COMMAND)
        self.count = 0

    @property
    def at_rest(self) -> bool:
        """Whether the controller is at rest once commands are."""
        return True

    def message(self, setpoint: Setpoint) -> Any:
        """Return what to publish, None for nothing."""
        raise NotImplementedError

    def send(self, command: Command) -> None:
        """Publish the message of the setpoint."""
        message = self.message(command.setpoint)
        if message is not None:
            self._publish(message)

    def stand_still(self) -> None:
        """Leave the controller where it is."""

    def stop(self) -> None:
        """Leave the controller where it is."""

    def forget(self) -> None:
        """Nothing: every message says all."""

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_publisher(self._publisher)

    def _publish(self, message: Any) -> None:
        self._publisher.publish(message)
        self.count += 1


class TargetPose(_Streamed):
    """The pose of the end effector in the base frame, stamped with the control tick."""

    def __init__(self, node: Any, arm: ArmContract, output: Output) -> None:
        super().__init__(node, PoseStamped, output.name)
        self._frame = arm.base_frame

    def message(self, setpoint: Setpoint) -> PoseStamped | None:
        """Return the pose."""
        if setpoint.pose is None:
            return None
        return pose_to_stamped(setpoint.pose, setpoint.stamp_ns, self._frame)


class ForwardPosition(_Streamed):
    """The positions of a part's joints, in the contract's order."""

    def __init__(self, node: Any, arm: ArmContract, output: Output) -> None:
        super().__init__(node, Float64MultiArray, output.name)
        self._arm, self._output = arm, output
        self._sender = PositionSender(arm, output)

    @property
    def at_rest(self) -> bool:
        """Whether what is sent has come to rest, too."""
        return self._sender.at_rest

    def send(self, command: Command) -> None:
        """Publish the positions."""
        self._publish(_numbers(self._sender.send(command)))

    def stand_still(self) -> None:
        """Go on from rest, where the joints were told to be last."""
        self._sender.stand_still()

    def forget(self) -> None:
        """Begin anew at the next positions."""
        self._sender = PositionSender(self._arm, self._output)

    def stop(self) -> None:
        """Publish what is left to come to rest, then leave the controller where it is."""
        positions = self._sender.stop()
        if positions is not None:
            self._publish(_numbers(positions))


class GripperState(_Streamed):
    """The position of the gripper as a JointState.

    lockstep_ns: in lockstep the time of the period. One without a command is said then too, by a
    message without joints: simulated time waits for it.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        output: Output,
        lockstep_ns: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(node, JointState, output.name)
        self._arm, self._lockstep_ns = arm, lockstep_ns

    def stop(self) -> None:
        """Leave the gripper where it is."""
        if self._lockstep_ns is not None:
            message = JointState()
            message.header.stamp = time_message(self._lockstep_ns())
            self._publisher.publish(message)

    def message(self, setpoint: Setpoint) -> JointState:
        """Return the position."""
        return gripper_command(setpoint.gripper, setpoint.stamp_ns, self._arm)


class GripperPosition(_Streamed):
    """The position of the gripper as the one number of a forward controller."""

    def __init__(self, node: Any, arm: ArmContract, output: Output) -> None:
        super().__init__(node, Float64MultiArray, output.name)
        self._arm = arm

    def message(self, setpoint: Setpoint) -> Float64MultiArray:
        """Return the position."""
        return Float64MultiArray(data=[gripper_position(setpoint.gripper, self._arm)])


def _numbers(positions: Float64Array) -> Float64MultiArray:
    return Float64MultiArray(data=array('d', positions.tobytes()))
