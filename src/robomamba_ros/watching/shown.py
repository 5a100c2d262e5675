"""What is shown of an arm and a policy: one description, for every viewer.

Each message of ROS becomes values with a path, a stamp and units. Only fields of messages are
looked at, so that live messages and recorded ones go through the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from robomamba_ros.errors import RoboMambaError
from robomamba_ros.messages.commands import TYPES, read_command
from robomamba_ros.messages.images import camera_intrinsics, camera_to_rgb
from robomamba_ros.messages.joints import nanoseconds
from robomamba_ros.messages.state import pose_from_message
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Camera
from robomamba_ros.spatial.camera import project
from robomamba_ros.spatial.transforms import compose
from robomamba_ros.types import Float64Array, Pose, UInt8Array

# What of /diagnostics is a number to be drawn: its name's beginning or end, and where it goes.
_GROUPS = (('_ms', 'latencies'), ('_age_s', 'ages'), ('_rate_hz', 'rates'), ('limited_', 'limits'))


@dataclass(frozen=True)
class Picture:
    """An image: RGB (h, w, 3) uint8."""

    path: str
    stamp_ns: int
    rgb: UInt8Array


@dataclass(frozen=True)
class Number:
    """A value over time; the last word of the path names it, and its unit where it has one."""

    path: str
    stamp_ns: int
    value: float


@dataclass(frozen=True)
class Line:
    """A way through points in the arm's base frame (n, 3) [m]."""

    path: str
    stamp_ns: int
    points: Float64Array


@dataclass(frozen=True)
class Trace:
    """A way through pixels (n, 2), x to the right and y down, of the Picture `over`."""

    path: str
    stamp_ns: int
    over: str
    pixels: Float64Array


@dataclass(frozen=True)
class Words:
    """A text that holds from now on. level: as of DiagnosticStatus: 0 OK, 1 WARN, 2 ERROR."""

    path: str
    stamp_ns: int
    text: str
    level: int = 0


Shown = Picture | Number | Line | Trace | Words
_Read = Callable[[Any, int], Iterator[Shown]]


class Watched:
    """What is shown of the arm of a contract.

    types: of the topics that are read, by name; those of the contract, and those of the nodes. A
    picture has the path that a policy predicts drawn over it where the contract says where the
    camera is and its CameraInfo has come.
    """

    def __init__(self, arm: ArmContract) -> None:
        self._arm = arm
        self._pose: Pose | None = None
        self._path: Float64Array | None = None
        self._intrinsics: dict[str, Float64Array] = {}
        self._said: dict[str, str] = {}
        self._limits_shown = False
        self.types: dict[str, str] = {}
        self._readers: dict[str, _Read] = {}
        for camera in arm.cameras:
            kind = 'CompressedImage' if camera.transport == 'compressed' else 'Image'
            self._add(camera.topic, f'sensor_msgs/msg/{kind}', partial(self._picture, camera))
            if camera.info_topic is not None:
                take = partial(self._take_info, camera)
                self._add(camera.info_topic, 'sensor_msgs/msg/CameraInfo', take)
        for stream in arm.joint_streams:
            self._add(arm.inputs[stream], 'sensor_msgs/msg/JointState', self._measured)
        if 'ee_pose' in arm.inputs:
            self._add(arm.inputs['ee_pose'], 'geometry_msgs/msg/PoseStamped', self._measured_pose)
        for output in arm.outputs:
            if output.kind in TYPES:
                take = partial(self._commanded, output.part)
                self._add(output.topic, TYPES[output.kind], take)
        self._add('predicted_path', 'nav_msgs/msg/Path', self._predicted)
        self._add('joint_chunk', 'trajectory_msgs/msg/JointTrajectory', self._chunk)
        self._add('active_instruction', 'std_msgs/msg/String', self._instruction)
        self._add('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', self._diagnostics)

    def _add(self, topic: str, type_: str, read: _Read) -> None:
        self.types[topic], self._readers[topic] = type_, read

    def read(self, topic: str, message: Any, now_ns: int) -> Iterator[Shown]:
        """Yield what a message shows. now_ns: when it came, for what has no stamp.

        A message that cannot be read is shown as the words that say why.
        """
        try:
            yield from self._readers[topic](message, now_ns)
        except RoboMambaError as error:
            if self._said.get(topic) != str(error):
                self._said[topic] = str(error)
                yield Words(f'problems/{topic.strip("/")}', now_ns, str(error), 1)

    def _picture(self, camera: Camera, message: Any, now_ns: int) -> Iterator[Shown]:
        stamp_ns = _stamp(message, now_ns)
        path = f'cameras/{camera.name}'
        yield Picture(path, stamp_ns, camera_to_rgb(message, camera))
        pixels = self._projected(camera)
        if pixels is not None:
            yield Trace(f'{path}/predicted_path', stamp_ns, path, pixels)

    def _take_info(self, camera: Camera, message: Any, _: int) -> Iterator[Shown]:
        self._intrinsics[camera.name] = camera_intrinsics(message)[0]
        return iter(())

    def _projected(self, camera: Camera) -> Float64Array | None:
        """Return the pixels of the predicted path in a camera, None where it cannot be known."""
        intrinsics, where = self._intrinsics.get(camera.name), camera.base_T_camera
        if where is None and camera.ee_T_camera is not None and self._pose is not None:
            where = compose(self._pose, camera.ee_T_camera)
        if intrinsics is None or where is None or self._path is None:
            return None
        pixels = project(self._path, where, intrinsics)
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        return pixels if len(pixels) > 1 else None

    def _measured(self, message: Any, now_ns: int) -> Iterator[Shown]:
        stamp_ns = _stamp(message, now_ns)
        if not self._limits_shown:
            self._limits_shown = True
            yield from self._ends(stamp_ns)
        known = {joint.name for joint in self._arm.joints} | {*self._arm.measured_joints}
        for name, position in zip(message.name, message.position, strict=False):
            if name in known:
                yield Number(f'joints/{name}/measured', stamp_ns, float(position))

    def _ends(self, stamp_ns: int) -> Iterator[Shown]:
        for joint in self._arm.joints:
            if not joint.endless:
                yield Number(f'joints/{joint.name}/lower', stamp_ns, joint.position[0])
                yield Number(f'joints/{joint.name}/upper', stamp_ns, joint.position[1])

    def _measured_pose(self, message: Any, now_ns: int) -> Iterator[Shown]:
        self._pose = pose_from_message(message.pose)
        yield from _position('measured', self._pose, _stamp(message, now_ns))

    def _commanded(self, part: str, message: Any, now_ns: int) -> Iterator[Shown]:
        stamp_ns, command = read_command(message, part, self._arm, now_ns)
        target = command.at(stamp_ns)
        for name, position in target.joints.items():
            yield Number(f'joints/{name}/commanded', stamp_ns, position)
        if target.opening is not None:
            yield Number('gripper/commanded_opening', stamp_ns, target.opening)
        if target.pose is not None:
            yield from _position('commanded', target.pose, stamp_ns)

    def _predicted(self, message: Any, now_ns: int) -> Iterator[Shown]:
        positions = [each.pose.position for each in message.poses]
        self._path = np.array([[p.x, p.y, p.z] for p in positions]).reshape(-1, 3)
        yield Line('world/predicted_path', _stamp(message, now_ns), self._path)

    def _chunk(self, message: Any, now_ns: int) -> Iterator[Shown]:
        stamp_ns = _stamp(message, now_ns)
        yield Number('chunk/age_on_arrival_ms', stamp_ns, (now_ns - stamp_ns) / 1e6)
        yield Number('chunk/actions', stamp_ns, float(len(message.points)))
        for point in message.points:
            due_ns = stamp_ns + nanoseconds(point.time_from_start)
            for name, position in zip(message.joint_names, point.positions, strict=False):
                yield Number(f'chunk/{name}', due_ns, float(position))

    def _instruction(self, message: Any, now_ns: int) -> Iterator[Shown]:
        yield Words('instruction', now_ns, message.data)

    def _diagnostics(self, message: Any, now_ns: int) -> Iterator[Shown]:
        stamp_ns = _stamp(message, now_ns)
        for status in message.status:
            node = status.name.strip('/')
            if self._said.get(node) != status.message:
                self._said[node] = status.message
                level = status.level
                number = level[0] if isinstance(level, bytes) else int(level)
                yield Words(f'state/{node}', stamp_ns, status.message, number)
            values: Mapping[str, str] = {item.key: item.value for item in status.values}
            for key, text in values.items():
                for mark, group in _GROUPS:
                    if key.startswith(mark) or key.endswith(mark):
                        yield from _number(f'{group}/{node}/{key}', stamp_ns, text)
                        break


def _number(path: str, stamp_ns: int, text: str) -> Iterator[Number]:
    try:
        value = float(text)
    except ValueError:
        return
    if np.isfinite(value):
        yield Number(path, stamp_ns, value)


def _position(kind: str, pose: Pose, stamp_ns: int) -> Iterator[Number]:
    for axis, value in zip('xyz', pose.position.tolist(), strict=True):
        yield Number(f'end_effector/{axis}_m/{kind}', stamp_ns, value)


def _stamp(message: Any, now_ns: int) -> int:
    return nanoseconds(message.header.stamp) or now_ns
