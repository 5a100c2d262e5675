"""What a policy would have sent, as the messages that the nodes would have sent, in a bag.

Knows nothing about how it was predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from robomamba_ros.data.bags.writer import BagWriter, message, message_class
from robomamba_ros.data.chunk_arrays import (
    end_effector_transforms,
    joint_positions,
    predicted_poses,
)
from robomamba_ros.types import NANOSECONDS, ActionChunk, Pose, Setpoint

NOTHING = np.zeros(0)
# Positional, because a chunk has hundreds of them.
Time, Duration = (message_class(f'builtin_interfaces/msg/{name}') for name in ('Time', 'Duration'))
Header = message_class('std_msgs/msg/Header')
Point, Vector3, Quaternion, Transform, PoseMessage, PoseStamped = (
    message_class(f'geometry_msgs/msg/{name}')
    for name in ('Point', 'Vector3', 'Quaternion', 'Transform', 'Pose', 'PoseStamped')
)
TOPICS = {
    '/action_chunk': 'trajectory_msgs/msg/MultiDOFJointTrajectory',
    '/joint_chunk': 'trajectory_msgs/msg/JointTrajectory',
    '/predicted_path': 'nav_msgs/msg/Path',
    '/target_pose': 'geometry_msgs/msg/PoseStamped',
    '/target_joints': 'sensor_msgs/msg/JointState',
}


class Predictions:
    """Writes chunks and setpoints, poses in `frame`, to a bag."""

    def __init__(self, writer: BagWriter, frame: str) -> None:
        self._writer = writer
        self._frame = frame
        for topic, type_ in TOPICS.items():
            writer.add_topic(topic, type_)

    def add_chunk(self, chunk: ActionChunk, anchor: Pose | None, now_ns: int) -> None:
        """Write a chunk that came at `now_ns`, drawn from the pose `anchor` at its stamp."""
        targets, joints = self._chunk(chunk)
        self._writer.write('/action_chunk', now_ns, targets)
        self._writer.write('/joint_chunk', now_ns, joints)
        if anchor is not None:
            poses = [
                pose_stamped(predicted, chunk.stamp_ns + (i + 1) * chunk.dt_ns, self._frame)
                for i, predicted in enumerate(predicted_poses(chunk, anchor).tolist())
            ]
            path = message(
                TOPICS['/predicted_path'], header=header(chunk.stamp_ns, self._frame), poses=poses
            )
            self._writer.write('/predicted_path', now_ns, path)

    def add_setpoint(self, setpoint: Setpoint) -> None:
        """Write where the arm would have been sent."""
        stamp_ns = setpoint.stamp_ns
        if setpoint.pose is not None:
            values = [*setpoint.pose.position.tolist(), *setpoint.pose.quaternion.tolist()]
            self._writer.write(
                '/target_pose', stamp_ns, pose_stamped(values, stamp_ns, self._frame)
            )
        if setpoint.joints:
            joints = message(
                TOPICS['/target_joints'],
                header=header(stamp_ns, self._frame),
                name=list(setpoint.joints),
                position=np.array(list(setpoint.joints.values())),
                velocity=np.array(list(setpoint.joint_velocities.values())),
                effort=NOTHING,
            )
            self._writer.write('/target_joints', stamp_ns, joints)

    def _chunk(self, chunk: ActionChunk) -> tuple[Any, Any]:
        names, positions = joint_positions(chunk)
        transforms = end_effector_transforms(chunk)
        steps: list[list[Any]] = [[]] * chunk.horizon
        if transforms is not None:
            rows = transforms.tolist()
            steps = [[Transform(Vector3(*row[:3]), Quaternion(*row[3:]))] for row in rows]
        targets, joints = [], []
        for i in range(chunk.horizon):
            due = Duration(*divmod((i + 1) * chunk.dt_ns, NANOSECONDS))
            targets.append(
                message(
                    'trajectory_msgs/msg/MultiDOFJointTrajectoryPoint',
                    transforms=steps[i],
                    velocities=[],
                    accelerations=[],
                    time_from_start=due,
                )
            )
            joints.append(
                message(
                    'trajectory_msgs/msg/JointTrajectoryPoint',
                    positions=positions[i],
                    velocities=NOTHING,
                    accelerations=NOTHING,
                    effort=NOTHING,
                    time_from_start=due,
                )
            )
        stamped = header(chunk.stamp_ns, self._frame)
        return (
            message(
                TOPICS['/action_chunk'],
                header=stamped,
                joint_names=[chunk.space.value],
                points=targets,
            ),
            message(TOPICS['/joint_chunk'], header=stamped, joint_names=names, points=joints),
        )


def pose_stamped(values: Sequence[float], stamp_ns: int, frame: str) -> Any:
    """Return a geometry_msgs/PoseStamped of a bag; values: x, y, z [m] and a quaternion."""
    pose = PoseMessage(Point(*values[:3]), Quaternion(*values[3:]))
    return PoseStamped(header(stamp_ns, frame), pose)


def header(stamp_ns: int, frame: str) -> Any:
    """Return a std_msgs/Header of a bag."""
    return Header(Time(*divmod(stamp_ns, NANOSECONDS)), frame)
