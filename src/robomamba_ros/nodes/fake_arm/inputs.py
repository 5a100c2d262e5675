"""Subscribes to the commands of every output of an arm contract and hands them to the fake arm.

The other side of what controller_node publishes: topics have the same names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from robomamba_ros.errors import ActionError, ObservationError, RoboMambaError
from robomamba_ros.messages.state import joint_positions, nanoseconds, pose_from_stamped
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import ACTIONS, Output
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.trajectory_controller import JointTrajectory, TrajectoryPoint
from robomamba_ros.types import Float64Array

# Every command of a stream counts in the record of limits, also where several wait.
_PROFILE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


class FakeArmInputs:
    """The commands of every part; counts by part what was taken and what was refused.

    warn: takes the reason of a refusal. refusal: the last one of each part.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        fake: FakeArm,
        now_ns: Callable[[], int],
        warn: Callable[[str], None],
    ) -> None:
        self._arm, self._fake = arm, fake
        self._now_ns, self._warn = now_ns, warn
        self.taken: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.refusal: dict[str, str] = {}
        for output in arm.outputs:
            kind, take = self._route(output)
            node.create_subscription(kind, output.name, self._callback(output.part, take), _PROFILE)

    def reset(self) -> None:
        """Count anew."""
        self.taken.clear()
        self.refused.clear()
        self.refusal.clear()

    def _callback(self, part: str, take: Callable[[Any], None]) -> Callable[[Any], None]:
        def on_message(message: Any) -> None:
            # The arm moves up to now before it is told where to go from here.
            self._fake.advance(self._now_ns())
            try:
                self._fake.check_active(part)
                take(message)
            except RoboMambaError as error:
                self.refused[part] += 1
                self.refusal[part] = str(error)
                self._warn(f'{part}: command refused: {error}')
            else:
                self.taken[part] += 1

        return on_message

    def _route(self, output: Output) -> tuple[Any, Callable[[Any], None]]:
        """Return the type of an output's messages and what takes them."""
        arm, fake, part = self._arm, self._fake, output.part

        def on_trajectory(message: TrajectoryMessage) -> None:
            fake.accept(part, trajectory(message), self._now_ns())

        def on_positions(message: Float64MultiArray) -> None:
            fake.streams[part].command(np.array(message.data))

        def on_joint_state(message: JointState) -> None:
            positions = joint_positions(message, arm.names_of('gripper'), arm)
            fake.streams[part].command(np.array(list(positions.values())))

        def on_pose(message: PoseStamped) -> None:
            fake.poses[part].command(pose_from_stamped(message, arm.base_frame))

        def on_stamped_twist(message: TwistStamped) -> None:
            frame = message.header.frame_id
            if part == 'arm' and frame != arm.base_frame:
                raise ObservationError(
                    f"a twist is in the frame '{frame}', the arm's base frame is '{arm.base_frame}'"
                )
            on_twist(message.twist)

        def on_twist(message: Twist) -> None:
            linear, angular = (
                np.array([vector.x, vector.y, vector.z])
                for vector in (message.linear, message.angular)
            )
            fake.twists[part].drive(linear, angular, self._now_ns())

        if output.kind == 'twist':
            return (TwistStamped, on_stamped_twist) if output.stamped else (Twist, on_twist)
        return {
            'joint_trajectory': (TrajectoryMessage, on_trajectory),
            'forward_position': (Float64MultiArray, on_positions),
            'target_pose': (PoseStamped, on_pose),
            # A gripper's action needs control_msgs; the controller sends a JointState in its place
            # where its parameter gripper_output says so.
            **dict.fromkeys((*ACTIONS, 'joint_state'), (JointState, on_joint_state)),
        }[output.kind]


def trajectory(message: TrajectoryMessage) -> JointTrajectory:
    """Return a trajectory_msgs/JointTrajectory as a value; raises ActionError on efforts."""
    if any(len(point.effort) for point in message.points):
        raise ActionError('the points have efforts; a controller of positions takes none')
    return JointTrajectory(
        nanoseconds(message.header.stamp),
        tuple(message.joint_names),
        tuple(
            TrajectoryPoint(
                nanoseconds(point.time_from_start),
                np.array(point.positions),
                _given(point.velocities),
                _given(point.accelerations),
            )
            for point in message.points
        ),
    )


def _given(values: Any) -> Float64Array | None:
    return np.array(values, dtype=np.float64) if len(values) else None
