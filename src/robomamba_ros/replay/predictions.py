"""What a policy would have sent, as the messages that the nodes would have sent, in a bag."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from robomamba_ros.bags.templates import Template
from robomamba_ros.bags.writer import BagWriter, message, message_class
from robomamba_ros.messages.chunk_arrays import end_effector_transforms, joint_positions
from robomamba_ros.types import NANOSECONDS, ActionChunk, Float64Array, Setpoint

NOTHING = np.zeros(0)
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

    def add_chunk(self, chunk: ActionChunk, path: Float64Array, now_ns: int) -> None:
        """Write a chunk that came at `now_ns`, and the poses (H, 7) that it leads through."""
        stamp_ns, dues = chunk.stamp_ns, (chunk.horizon, chunk.dt_ns)
        transforms = end_effector_transforms(chunk)
        targets = _targets(self._frame, chunk.space.value, transforms is not None, *dues)
        names, positions = joint_positions(chunk)
        joints = _joints(self._frame, tuple(names), *dues)
        steps = _path(self._frame, len(path))
        times_ns = [stamp_ns + i * chunk.dt_ns for i in range(len(path) + 1)]
        for topic, data in (
            ('/action_chunk', targets.fill([stamp_ns], [] if transforms is None else transforms)),
            ('/joint_chunk', joints.fill([stamp_ns], positions)),
            ('/predicted_path', steps.fill(times_ns, path)),
        ):
            self._writer.write_data(topic, now_ns, data)

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


@cache
def _targets(frame: str, space: str, posed: bool, horizon: int, dt_ns: int) -> Template:
    """Messages of transforms (H, 7); `posed`: there are any."""

    def build(times_ns: Sequence[int], values: Float64Array) -> Any:
        points = [
            message(
                'trajectory_msgs/msg/MultiDOFJointTrajectoryPoint',
                transforms=[Transform(Vector3(*row[:3]), Quaternion(*row[3:]))] if posed else [],
                velocities=[],
                accelerations=[],
                time_from_start=due,
            )
            for row, due in zip(
                values.reshape(horizon, -1).tolist(), _dues(horizon, dt_ns), strict=True
            )
        ]
        return message(
            TOPICS['/action_chunk'],
            header=header(times_ns[0], frame),
            joint_names=[space],
            points=points,
        )

    return Template(TOPICS['/action_chunk'], build, 1, 7 * horizon if posed else 0)


@cache
def _joints(frame: str, names: tuple[str, ...], horizon: int, dt_ns: int) -> Template:
    """Messages of positions (H, n)."""

    def build(times_ns: Sequence[int], values: Float64Array) -> Any:
        points = [
            message(
                'trajectory_msgs/msg/JointTrajectoryPoint',
                positions=row,
                velocities=NOTHING,
                accelerations=NOTHING,
                effort=NOTHING,
                time_from_start=due,
            )
            for row, due in zip(values.reshape(horizon, -1), _dues(horizon, dt_ns), strict=True)
        ]
        return message(
            TOPICS['/joint_chunk'],
            header=header(times_ns[0], frame),
            joint_names=list(names),
            points=points,
        )

    return Template(TOPICS['/joint_chunk'], build, 1, horizon * len(names))


@cache
def _path(frame: str, steps: int) -> Template:
    """Messages of the stamp, the times after each step and the poses (steps, 7) then."""

    def build(times_ns: Sequence[int], values: Float64Array) -> Any:
        rows = zip(values.reshape(-1, 7).tolist(), times_ns[1:], strict=True)
        poses = [pose_stamped(row, time_ns, frame) for row, time_ns in rows]
        return message(TOPICS['/predicted_path'], header=header(times_ns[0], frame), poses=poses)

    return Template(TOPICS['/predicted_path'], build, 1 + steps, 7 * steps)


def _dues(horizon: int, dt_ns: int) -> list[Any]:
    """Return when each step has been done, since the stamp."""
    return [Duration(*divmod((i + 1) * dt_ns, NANOSECONDS)) for i in range(horizon)]


def pose_stamped(values: Sequence[float], stamp_ns: int, frame: str) -> Any:
    """Return a geometry_msgs/PoseStamped of a bag; values: x, y, z [m] and a quaternion."""
    pose = PoseMessage(Point(*values[:3]), Quaternion(*values[3:]))
    return PoseStamped(header(stamp_ns, frame), pose)


def header(stamp_ns: int, frame: str) -> Any:
    """Return a std_msgs/Header of a bag."""
    return Header(Time(*divmod(stamp_ns, NANOSECONDS)), frame)
