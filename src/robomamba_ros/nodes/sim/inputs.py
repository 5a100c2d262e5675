"""Subscribes to the commands of a simulated robot: of one that is pulled, and of one in physics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.state import gripper_opening, nanoseconds, pose_from_stamped
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.fake_arm.inputs import FakeArmInputs
from robomamba_ros.nodes.sim.simulated_robot import SimulatedRobot
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.simulation.fake_arm import FakeArm


class PulledInputs:
    """`target_pose` and `gripper` of a hand that is pulled; warn: takes the reason of a refusal."""

    def __init__(
        self, node: Any, arm: ArmContract, robot: SimulatedRobot, warn: Callable[[str], None]
    ) -> None:
        self._arm, self._robot, self._warn = arm, robot, warn
        node.create_subscription(PoseStamped, 'target_pose', self._on_target, qos.COMMAND)
        node.create_subscription(JointState, 'gripper', self._on_gripper, qos.COMMAND)

    def _on_target(self, message: PoseStamped) -> None:
        try:
            pose = pose_from_stamped(message, self._arm.base_frame)
        except ObservationError as error:
            self._warn(f'target_pose refused: {error}')
        else:
            self._robot.command_position(pose.position, nanoseconds(message.header.stamp))

    def _on_gripper(self, message: JointState) -> None:
        if not message.name:
            return  # nothing is commanded
        try:
            opening = gripper_opening(message, self._arm)
        except ObservationError as error:
            self._warn(f'gripper refused: {error}')
        else:
            self._robot.command_gripper(opening, nanoseconds(message.header.stamp))


class PhysicalInputs(FakeArmInputs):
    """The commands of every controller of a robot in physics.

    In lockstep there is a message for each part and period, stamped with it; a trajectory without
    joints says nothing new.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        robot: SimulatedRobot,
        fake: FakeArm,
        warn: Callable[[str], None],
        *,
        lockstep: bool,
    ) -> None:
        self._robot = robot
        if lockstep:
            # Twists are stamped then, whatever the contract says.
            outputs = tuple(replace(output, stamped=True) for output in arm.outputs)
            arm = replace(arm, outputs=outputs)
        super().__init__(node, arm, fake, lambda: fake.now_ns, warn)

    def _callback(self, part: str, take: Callable[[Any], None]) -> Callable[[Any], None]:
        follow = super()._callback(part, take)

        def on_message(message: Any) -> None:
            header = getattr(message, 'header', None)
            stamp_ns = 0 if header is None else nanoseconds(header.stamp)
            if not self._robot.waits_for(part, stamp_ns):
                return
            names = getattr(message, 'joint_names', getattr(message, 'name', None))
            # A twist has none.
            if names is None or names:
                follow(message)
            # Refused or not: the step does not wait for another one.
            self._robot.take(part, stamp_ns)

        return on_message
