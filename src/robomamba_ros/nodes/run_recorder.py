"""Watches a running graph from outside and keeps what a report shows of an episode.

A subscriber like any other; knows nothing about how the nodes work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import MultiDOFJointTrajectory

from robomamba_ros.data.image_messages import image_to_rgb
from robomamba_ros.data.state_messages import nanoseconds
from robomamba_ros.nodes.simulated_robot import EPISODE_GAP_NS
from robomamba_ros.types import NANOSECONDS, Float64Array, UInt8Array

# Every sample is wanted, not only the newest; publishers of either reliability may match.
_EVERY = QoSProfile(depth=1000)


@dataclass(frozen=True)
class Recording:
    """One episode as seen on the topics; times [s] count from its first setpoint.

    frames: (time, RGB image). time: (T,) of the setpoints, commanded and measured: (T, 3) [m],
    gripper: (T,) commanded opening 0..1. chunk_times: (C,) when each chunk's first setpoint left.
    observation_to_command_s: (C,) age of its observation then.
    """

    frames: tuple[tuple[float, UInt8Array], ...]
    time: Float64Array
    commanded: Float64Array
    measured: Float64Array
    gripper: Float64Array
    chunk_times: Float64Array
    observation_to_command_s: Float64Array


@dataclass
class _Samples:
    """What came in since the last `take`; stamps [ns]."""

    images: list[tuple[int, Image]] = field(default_factory=list)
    measured: list[tuple[int, float, float, float]] = field(default_factory=list)
    commanded: list[tuple[int, float, float, float]] = field(default_factory=list)
    gripper: list[tuple[int, float]] = field(default_factory=list)
    chunks: list[tuple[int, int]] = field(default_factory=list)
    pending_chunk: int | None = None


class RunRecorder(Node):
    """Subscribes to a camera, the state, chunks and commands of a simulated arm.

    received: how many messages came in so far.
    """

    def __init__(self, camera: str, **node_options: Any) -> None:
        super().__init__('run_recorder', **node_options)
        self.fatal = ''
        self._samples = _Samples()
        self._lock = Lock()
        self.received = 0
        for kind, topic, callback in (
            (Image, f'camera/{camera}/image', self._on_image),
            (PoseStamped, 'ee_pose', self._on_state),
            (MultiDOFJointTrajectory, 'action_chunk', self._on_chunk),
            (PoseStamped, 'target_pose', self._on_command),
            (JointState, 'gripper', self._on_gripper),
        ):
            self.create_subscription(kind, topic, partial(self._take_in, callback), _EVERY)

    def take(self) -> Recording:
        """Return what was recorded since the last call, and begin anew; from any thread."""
        with self._lock:
            samples, self._samples = self._samples, _Samples()
        states, commands = np.array(samples.measured), np.array(samples.commanded)
        if not len(states) or not len(commands):
            nothing, no_points = np.zeros(0), np.zeros((0, 3))
            return Recording((), nothing, no_points, no_points, nothing, nothing, nothing)
        # A setpoint that was still under way when the last episode was taken belongs to it.
        breaks = np.flatnonzero(np.diff(commands[:, 0]) > EPISODE_GAP_NS / 2)
        commands = commands[breaks[-1] + 1 if len(breaks) else 0 :]
        begin_ns = commands[0, 0]
        gripper = np.array(samples.gripper or [(begin_ns, 1.0)])
        chunks = np.array([c for c in samples.chunks if c[1] >= begin_ns]).reshape(-1, 2)

        def seconds(stamps_ns: Float64Array) -> Float64Array:
            return np.asarray((stamps_ns - begin_ns) / NANOSECONDS)

        def at_commands(times: Float64Array, values: Float64Array) -> Float64Array:
            return np.asarray(np.interp(commands[:, 0], times, values))

        return Recording(
            frames=tuple(
                ((stamp - begin_ns) / NANOSECONDS, image_to_rgb(message))
                for stamp, message in samples.images[_last_before(samples.images, begin_ns) :]
            ),
            time=seconds(commands[:, 0]),
            commanded=commands[:, 1:],
            measured=np.stack([at_commands(states[:, 0], states[:, i]) for i in (1, 2, 3)], axis=1),
            gripper=at_commands(gripper[:, 0], gripper[:, 1]),
            chunk_times=seconds(chunks[:, 1]),
            observation_to_command_s=(chunks[:, 1] - chunks[:, 0]) / NANOSECONDS,
        )

    def _take_in(self, keep: Callable[[Any], None], message: Any) -> None:
        with self._lock:
            keep(message)
            self.received += 1

    def _on_image(self, message: Image) -> None:
        self._samples.images.append((nanoseconds(message.header.stamp), message))

    def _on_state(self, message: PoseStamped) -> None:
        self._samples.measured.append(_position(message))

    def _on_chunk(self, message: MultiDOFJointTrajectory) -> None:
        self._samples.pending_chunk = nanoseconds(message.header.stamp)

    def _on_command(self, message: PoseStamped) -> None:
        samples = self._samples
        samples.commanded.append(_position(message))
        if samples.pending_chunk is not None:
            samples.chunks.append((samples.pending_chunk, samples.commanded[-1][0]))
            samples.pending_chunk = None

    def _on_gripper(self, message: JointState) -> None:
        self._samples.gripper.append((nanoseconds(message.header.stamp), message.position[0]))


def _last_before(images: list[tuple[int, Image]], stamp_ns: float) -> int:
    """Return the index of the image that shows the scene at `stamp_ns`."""
    return max(0, sum(stamp <= stamp_ns for stamp, _ in images) - 1)


def _position(message: PoseStamped) -> tuple[int, float, float, float]:
    p = message.pose.position
    return nanoseconds(message.header.stamp), p.x, p.y, p.z
