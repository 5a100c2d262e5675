"""What a policy would have sent, as the messages that the nodes would have sent, in a bag.

Knows nothing about how it was predicted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robomamba_ros.data.bags.writer import BagWriter, message
from robomamba_ros.data.chunk_arrays import (
    end_effector_transforms,
    joint_positions,
    predicted_poses,
)
from robomamba_ros.types import NANOSECONDS, ActionChunk, Float64Array, Pose, Setpoint

NOTHING = np.zeros(0)
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
                self._pose(predicted, chunk.stamp_ns + (i + 1) * chunk.dt_ns)
                for i, predicted in enumerate(predicted_poses(chunk, anchor))
            ]
            path = message(
                TOPICS['/predicted_path'], header=self._header(chunk.stamp_ns), poses=poses
            )
            self._writer.write('/predicted_path', now_ns, path)

    def add_setpoint(self, setpoint: Setpoint) -> None:
        """Write where the arm would have been sent."""
        stamp_ns = setpoint.stamp_ns
        if setpoint.pose is not None:
            self._writer.write('/target_pose', stamp_ns, self._pose(setpoint.pose, stamp_ns))
        if setpoint.joints:
            joints = message(
                TOPICS['/target_joints'],
                header=self._header(stamp_ns),
                name=list(setpoint.joints),
                position=np.array(list(setpoint.joints.values())),
                velocity=np.array(list(setpoint.joint_velocities.values())),
                effort=NOTHING,
            )
            self._writer.write('/target_joints', stamp_ns, joints)

    def _chunk(self, chunk: ActionChunk) -> tuple[Any, Any]:
        names, positions = joint_positions(chunk)
        transforms = end_effector_transforms(chunk)
        targets, joints = [], []
        for i in range(chunk.horizon):
            due = _time('Duration', (i + 1) * chunk.dt_ns)
            targets.append(
                message(
                    'trajectory_msgs/msg/MultiDOFJointTrajectoryPoint',
                    transforms=[] if transforms is None else [_transform(transforms[i])],
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
        header = self._header(chunk.stamp_ns)
        return (
            message(
                TOPICS['/action_chunk'],
                header=header,
                joint_names=[chunk.space.value],
                points=targets,
            ),
            message(TOPICS['/joint_chunk'], header=header, joint_names=names, points=joints),
        )

    def _pose(self, pose: Pose, stamp_ns: int) -> Any:
        x, y, z = pose.position.tolist()
        return message(
            TOPICS['/target_pose'],
            header=self._header(stamp_ns),
            pose=message(
                'geometry_msgs/msg/Pose',
                position=message('geometry_msgs/msg/Point', x=x, y=y, z=z),
                orientation=_quaternion(pose.quaternion.tolist()),
            ),
        )

    def _header(self, stamp_ns: int) -> Any:
        return message('std_msgs/msg/Header', stamp=_time('Time', stamp_ns), frame_id=self._frame)


def _time(kind: str, time_ns: int) -> Any:
    seconds, rest = divmod(time_ns, NANOSECONDS)
    return message(f'builtin_interfaces/msg/{kind}', sec=seconds, nanosec=rest)


def _quaternion(values: list[float]) -> Any:
    x, y, z, w = values
    return message('geometry_msgs/msg/Quaternion', x=x, y=y, z=z, w=w)


def _transform(values: Float64Array) -> Any:
    x, y, z = values[:3].tolist()
    return message(
        'geometry_msgs/msg/Transform',
        translation=message('geometry_msgs/msg/Vector3', x=x, y=y, z=z),
        rotation=_quaternion(values[3:].tolist()),
    )
