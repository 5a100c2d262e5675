"""A short recording of the simulated arm, as bags of the topics that sim_node publishes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robomamba_ros.bags.writer import BagWriter, message
from robomamba_ros.evaluation.rollout import run_episode
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.metaworld import CAMERA, MetaWorldSim
from robomamba_ros.types import NANOSECONDS, ActionChunk, Pose, RobotState, UInt8Array

SIZE, SEED, TASK = 224, 5_003, 'drawer-open'
START_NS = 7 * NANOSECONDS
EXECUTE_STEPS = 10


class Recorder(MetaWorldSim):
    """A simulation that keeps what its sensors gave."""

    def __init__(self) -> None:
        self.states: list[RobotState] = []
        self.images: list[tuple[int, UInt8Array]] = []
        super().__init__(TASK, SEED, camera_size=SIZE)

    def state(self, stamp_ns: int) -> RobotState:
        self.states.append(super().state(stamp_ns))
        return self.states[-1]

    def render(self, camera: str = CAMERA) -> UInt8Array:
        self.images.append((self.steps * self.dt_ns, super().render(camera)))
        return self.images[-1][1]


class Listening:
    """A policy whose chunks are kept."""

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        self.chunks: list[ActionChunk] = []

    @property
    def spec(self) -> Any:
        return self._policy.spec

    def reset(self) -> None:
        self._policy.reset()

    def infer(self, observation: Any) -> ActionChunk:
        self.chunks.append(self._policy.infer(observation))
        return self.chunks[-1]


@dataclass(frozen=True)
class Episode:
    """What the sensors gave in an episode, and what the policy that drove it predicted.

    points, pixels: points in the base frame and where the simulated camera sees them.
    """

    states: list[RobotState]
    images: list[tuple[int, UInt8Array]]
    chunks: list[ActionChunk]
    instruction: str
    policy: Any
    points: Any
    pixels: Any

    def write(
        self,
        path: Path,
        *,
        view: Callable[[UInt8Array], UInt8Array] = lambda image: image,
        leave_out: tuple[str, ...] = (),
        keep: Callable[[str, int], bool] = lambda topic, time_ns: True,
        encoding: str = 'rgb8',
        clock: bool = False,
        times: int = 1,
        namespace: str = '',
        frames: Sequence[tuple[str, str, Pose]] = (),
    ) -> Path:
        """Write a bag.

        view: what the camera shows. keep: which message at which time since the start [ns].
        clock: whether time is that of /clock, and the recording slower than it. times: how often
        the simulation runs, beginning at the same time. frames: parent, child and the child's pose
        of each fixed transform, if any.
        """
        topics = {
            '/instruction': 'std_msgs/msg/String',
            '/joint_states': 'sensor_msgs/msg/JointState',
            '/ee_pose': 'geometry_msgs/msg/PoseStamped',
            '/camera/corner2/camera_info': 'sensor_msgs/msg/CameraInfo',
            '/camera/corner2/image': 'sensor_msgs/msg/Image',
        }
        if clock:
            topics['/clock'] = 'rosgraph_msgs/msg/Clock'
        messages = [(0, '/instruction', message(topics['/instruction'], data=self.instruction))]
        if frames:
            topics['/tf_static'] = 'tf2_msgs/msg/TFMessage'
            messages.append((0, '/tf_static', _transforms(frames)))
        for state in self.states:
            time = _header(state.stamp_ns + START_NS, '').stamp
            if clock:
                messages.append((state.stamp_ns, '/clock', message(topics['/clock'], clock=time)))
            messages += [(state.stamp_ns, *each) for each in _state(state, START_NS)]
        for stamp_ns, image in self.images:
            header = _header(stamp_ns + START_NS, CAMERA)
            messages.append((stamp_ns, '/camera/corner2/camera_info', _info(header)))
            content = _image(header, view(image), encoding)
            messages.append((stamp_ns, '/camera/corner2/image', content))
        messages.sort(key=lambda each: each[0])
        with BagWriter(path) as writer:
            for topic, type_ in topics.items():
                if topic not in leave_out:
                    writer.add_topic(topic if topic == '/clock' else namespace + topic, type_)
            for run in range(times):
                for time_ns, topic, content in messages:
                    if topic not in leave_out and keep(topic, time_ns):
                        wall_ns = 3 * time_ns + run * 60 * NANOSECONDS if clock else time_ns
                        name = topic if topic == '/clock' else namespace + topic
                        writer.write(name, START_NS + wall_ns, content)
        return path


def _header(stamp_ns: int, frame: str) -> Any:
    seconds, rest = divmod(stamp_ns, NANOSECONDS)
    stamp = message('builtin_interfaces/msg/Time', sec=seconds, nanosec=rest)
    return message('std_msgs/msg/Header', stamp=stamp, frame_id=frame)


def _transforms(frames: Sequence[tuple[str, str, Pose]]) -> Any:
    found = []
    for parent, child, pose in frames:
        move = message('geometry_msgs/msg/Vector3', **dict(zip('xyz', pose.position, strict=True)))
        turn = message(
            'geometry_msgs/msg/Quaternion', **dict(zip('xyzw', pose.quaternion, strict=True))
        )
        transform = message('geometry_msgs/msg/Transform', translation=move, rotation=turn)
        found.append(
            message(
                'geometry_msgs/msg/TransformStamped',
                header=_header(0, parent),
                child_frame_id=child,
                transform=transform,
            )
        )
    return message('tf2_msgs/msg/TFMessage', transforms=found)


def _state(state: RobotState, offset_ns: int) -> list[tuple[str, Any]]:
    header = _header(state.stamp_ns + offset_ns, 'base')
    x, y, z = state.pose.position.tolist()
    qx, qy, qz, qw = state.pose.quaternion.tolist()
    nothing = np.zeros(0)
    joints = message(
        'sensor_msgs/msg/JointState',
        header=header,
        name=[*state.joints, 'gripper'],
        position=np.array([*state.joints.values(), state.gripper]),
        velocity=nothing,
        effort=nothing,
    )
    pose = message(
        'geometry_msgs/msg/Pose',
        position=message('geometry_msgs/msg/Point', x=x, y=y, z=z),
        orientation=message('geometry_msgs/msg/Quaternion', x=qx, y=qy, z=qz, w=qw),
    )
    stamped = message('geometry_msgs/msg/PoseStamped', header=header, pose=pose)
    return [('/joint_states', joints), ('/ee_pose', stamped)]


def _image(header: Any, image: UInt8Array, encoding: str) -> Any:
    height, width, _ = image.shape
    return message(
        'sensor_msgs/msg/Image',
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(image).reshape(-1),
    )


def _info(header: Any) -> Any:
    focal, center = 0.5 * SIZE / math.tan(math.radians(30.0)), 0.5 * SIZE
    roi = message(
        'sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0, width=0,
        do_rectify=False,
    )  # fmt: skip
    return message(
        'sensor_msgs/msg/CameraInfo',
        header=header,
        height=SIZE,
        width=SIZE,
        distortion_model='plumb_bob',
        d=np.zeros(5),
        k=np.array([focal, 0.0, center, 0.0, focal, center, 0.0, 0.0, 1.0]),
        r=np.eye(3).reshape(-1),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


@pytest.fixture(scope='session')
def episode() -> Episode:
    """The shipped policy opens a drawer, in process."""
    policy = Listening(load_policy('anolevla-mt10'))
    sim = Recorder()
    run_episode(sim, policy, load_arm('sawyer_sim'), SEED, execute_steps=EXECUTE_STEPS)
    instruction = sim.instruction
    points = np.random.default_rng(0).uniform((-0.3, 0.4, 0.0), (0.3, 0.8, 0.3), (20, 3))
    pixels = sim.project(points)
    sim.close()
    return Episode(
        sim.states, sim.images, policy.chunks, instruction, policy._policy, points, pixels
    )


@pytest.fixture(scope='session')
def bag_path(episode: Episode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The episode as a bag."""
    return episode.write(tmp_path_factory.mktemp('bag') / 'drawer.mcap')
