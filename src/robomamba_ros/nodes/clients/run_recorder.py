"""Watches a running graph from outside and keeps what a report shows of an episode.

A subscriber like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Condition
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import MultiDOFJointTrajectory

from robomamba_ros.errors import SimulationError
from robomamba_ros.messages.images import image_to_rgb
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.simulation.metaworld import DT_NS
from robomamba_ros.types import NANOSECONDS, Float64Array, UInt8Array

# Every sample is wanted, not only the newest; publishers of either reliability may match.
_EVERY = QoSProfile(depth=1000)
# How long to wait [s] for what is under way when an episode ends: the last state, and the last
# setpoint, which does not come where the controller was at rest.
_STATE_S, _SETPOINT_S = 20.0, 1.0


@dataclass(frozen=True)
class Recording:
    """One episode as seen on the topics; times [s] count from its first setpoint.

    images: (time, RGB image). time: (T,) of the setpoints, commanded and measured: (T, 3) [m],
    gripper: (T,) commanded opening 0..1. chunk_times: (C,) when each chunk's first setpoint left.
    observation_to_command_s: (C,) age of its observation then.
    """

    images: tuple[tuple[float, UInt8Array], ...]
    time: Float64Array
    commanded: Float64Array
    measured: Float64Array
    gripper: Float64Array
    chunk_times: Float64Array
    observation_to_command_s: Float64Array


@dataclass
class _Samples:
    """What came in since the last `take`; stamps [ns].

    Positions by their stamp: in lockstep, what may have been missed is sent again.
    """

    images: list[tuple[int, Image]] = field(default_factory=list)
    measured: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    commanded: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    gripper: list[tuple[int, float]] = field(default_factory=list)
    chunks: list[tuple[int, int]] = field(default_factory=list)
    pending_chunk: int | None = None


class RunRecorder(Node):
    """Subscribes to a camera, the state, chunks and commands of a simulated arm that takes poses.

    received: how many messages came in so far. first_s: when the first image, the first chunk and
    the first command that moves the arm came [s of the monotonic clock].
    """

    period_ns = DT_NS

    def __init__(self, camera: str, **node_options: Any) -> None:
        super().__init__('run_recorder', **node_options)
        self.fatal = ''
        self._samples = _Samples()
        self._arrival = Condition()
        self.received = 0
        self.first_s: dict[str, float] = {}
        self._stood_at: tuple[float, float, float] | None = None
        for kind, topic, callback in (
            (Image, f'camera/{camera}/image', self._on_image),
            (MultiDOFJointTrajectory, 'action_chunk', self._on_chunk),
            self._of_the_gripper(),
            *self._of_the_arm(),
        ):
            self.create_subscription(kind, topic, partial(self._take_in, callback), _EVERY)

    def _of_the_gripper(self) -> tuple[Any, str, Callable[[Any], None]]:
        """Return the topic of its commands: type, name, callback."""
        return (JointState, 'gripper', self._on_gripper)

    def _of_the_arm(self) -> tuple[tuple[Any, str, Callable[[Any], None]], ...]:
        """Return the topics of state and command: type, name, callback."""
        return (
            (PoseStamped, 'ee_pose', self._on_state),
            (PoseStamped, 'target_pose', self._on_command),
        )

    def take(self, begin_ns: int, end_ns: int) -> Recording:
        """Return what was recorded of the episode between two stamps, and begin anew.

        Setpoints are those before its end, which the simulation could act on. From any thread, but
        for the one that spins the node. Raises SimulationError where the last state does not come.
        """
        with self._arrival:
            if not self._wait(self._samples.measured, end_ns, _STATE_S):
                raise SimulationError(
                    f'the state of {end_ns / NANOSECONDS:.3f} s, with which the episode ended, did '
                    f'not come on ee_pose within {_STATE_S:g} s; is the simulation running?'
                )
            self._wait(self._samples.commanded, end_ns - self.period_ns, _SETPOINT_S)
            self._complete(begin_ns)
            samples, self._samples = self._samples, _Samples()
        states = _rows(samples.measured, begin_ns, end_ns + 1)
        commands = _rows(samples.commanded, begin_ns, end_ns)
        if not len(states) or not len(commands):
            nothing, no_points = np.zeros(0), np.zeros((0, 3))
            return Recording((), nothing, no_points, no_points, nothing, nothing, nothing)
        first_ns = commands[0, 0]
        gripper = np.array(samples.gripper or [(first_ns, 1.0)])
        chunks = np.array([c for c in samples.chunks if begin_ns <= c[1] < end_ns]).reshape(-1, 2)
        images = [each for each in samples.images if each[0] <= end_ns]

        def seconds(stamps_ns: Float64Array) -> Float64Array:
            return np.asarray((stamps_ns - first_ns) / NANOSECONDS)

        def at_commands(times: Float64Array, values: Float64Array) -> Float64Array:
            return np.asarray(np.interp(commands[:, 0], times, values))

        return Recording(
            images=tuple(
                ((stamp - first_ns) / NANOSECONDS, image_to_rgb(message))
                for stamp, message in images[_last_before(images, first_ns) :]
            ),
            time=seconds(commands[:, 0]),
            commanded=commands[:, 1:],
            measured=np.stack([at_commands(states[:, 0], states[:, i]) for i in (1, 2, 3)], axis=1),
            gripper=at_commands(gripper[:, 0], gripper[:, 1]),
            chunk_times=seconds(chunks[:, 1]),
            observation_to_command_s=(chunks[:, 1] - chunks[:, 0]) / NANOSECONDS,
        )

    def _complete(self, begin_ns: int) -> None:
        """Add what follows from the samples; none comes in meanwhile."""

    def _wait(self, samples: Mapping[int, Any], stamp_ns: int, patience_s: float) -> bool:
        """Wait for a sample of that stamp or a later one; return whether there is one."""
        return self._arrival.wait_for(lambda: max(samples, default=-1) >= stamp_ns, patience_s)

    def _take_in(self, keep: Callable[[Any], None], message: Any) -> None:
        with self._arrival:
            keep(message)
            self.received += 1
            self._arrival.notify()

    def _first(self, name: str) -> None:
        self.first_s.setdefault(name, time.monotonic())

    def _on_image(self, message: Image) -> None:
        self._first('image')
        self._samples.images.append((nanoseconds(message.header.stamp), message))

    def _on_state(self, message: PoseStamped) -> None:
        self._samples.measured[nanoseconds(message.header.stamp)] = _position(message)

    def _on_chunk(self, message: MultiDOFJointTrajectory) -> None:
        self._first('chunk')
        self._samples.pending_chunk = nanoseconds(message.header.stamp)

    def _on_command(self, message: PoseStamped) -> None:
        samples = self._samples
        stamp_ns = nanoseconds(message.header.stamp)
        position = samples.commanded[stamp_ns] = _position(message)
        # Until there is a chunk, what another command says is where a reset has put the arm.
        if self._stood_at is None or 'chunk' not in self.first_s:
            self._stood_at = position
        elif position != self._stood_at:
            self._first('motion')
        if samples.pending_chunk is not None:
            samples.chunks.append((samples.pending_chunk, stamp_ns))
            samples.pending_chunk = None

    def _on_gripper(self, message: JointState) -> None:
        self._samples.gripper.append((nanoseconds(message.header.stamp), message.position[0]))


def _last_before(images: list[tuple[int, Image]], stamp_ns: float) -> int:
    """Return the index of the image that shows the scene at `stamp_ns`."""
    return max(0, sum(stamp <= stamp_ns for stamp, _ in images) - 1)


def _position(message: PoseStamped) -> tuple[float, float, float]:
    p = message.pose.position
    return p.x, p.y, p.z


def _rows(
    samples: Mapping[int, tuple[float, float, float]], begin_ns: int, end_ns: int
) -> Float64Array:
    """Return stamps and positions (N, 4) of the samples from one stamp to before another."""
    inside = sorted(stamp for stamp in samples if begin_ns <= stamp < end_ns)
    return np.array([(stamp, *samples[stamp]) for stamp in inside])
