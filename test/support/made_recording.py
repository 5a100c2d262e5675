"""A made-up motion of the simulated arm, as bags, and the data sets that become of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.writer import BagWriter, message
from robomamba_ros.datasets.from_bags.conversion import BagDataset, BagResult, DatasetOptions
from robomamba_ros.datasets.from_bags.samples import SampleOptions
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.types import NANOSECONDS, ActionSpace

MS = 1_000_000
START_MS = 1_700_000_000_000  # a robot's clock counts from 1970
FPS, STEP_MS = 20, 50
ARM = load_arm('sawyer_sim')
JOINTS = tuple(joint.name for joint in ARM.joints)
FLAG, TEXT = 'std_msgs/msg/Bool', 'std_msgs/msg/String'
SET_BOOL, TRIGGER = 'std_srvs/srv/SetBool_Event', 'std_srvs/srv/Trigger_Event'


def at(ms: float) -> dict[str, float]:
    """Return where the arm is `ms` after the start: x, turn about z, joints and opening."""
    s = ms / 1000
    return {'x': 0.1 * s, 'turn': 0.2 * s, 'joint': 0.05 * s, 'opening': 0.1 * s % 1.0}


def stamp(ms: float) -> Any:
    seconds, rest = divmod(round((START_MS + ms) * MS), NANOSECONDS)
    return message('builtin_interfaces/msg/Time', sec=seconds, nanosec=rest)


def header(ms: float, frame: str = 'base') -> Any:
    return message('std_msgs/msg/Header', stamp=stamp(ms), frame_id=frame)


def pose(ms: float, where: dict[str, float]) -> Any:
    half = where['turn'] / 2
    point = message('geometry_msgs/msg/Point', x=where['x'], y=0.6, z=0.2)
    turned = message(
        'geometry_msgs/msg/Quaternion', x=0.0, y=0.0, z=math.sin(half), w=math.cos(half)
    )
    inner = message('geometry_msgs/msg/Pose', position=point, orientation=turned)
    return message('geometry_msgs/msg/PoseStamped', header=header(ms), pose=inner)


def joints(ms: float, where: dict[str, float]) -> Any:
    values = [where['joint'] * (i + 1) for i in range(len(JOINTS))]
    return message(
        'sensor_msgs/msg/JointState',
        header=header(ms),
        name=[*JOINTS, 'gripper'],
        position=np.array([*values, where['opening']]),
        velocity=np.zeros(0),
        effort=np.zeros(0),
    )


def image(ms: float, side: int = 8) -> Any:
    pixels = np.full((side, side, 3), ms // STEP_MS % 256, np.uint8)
    return message(
        'sensor_msgs/msg/Image',
        header=header(ms, 'corner2'),
        height=side,
        width=side,
        encoding='rgb8',
        is_bigendian=0,
        step=side * 3,
        data=pixels.ravel(),
    )


def said(text: str) -> Any:
    return message(TEXT, data=text)


def flag(value: bool) -> Any:
    return message(FLAG, data=value)


def called(
    ms: float, type_: str, number: int, data: bool | None = None, event: int = 1, known: bool = True
) -> Any:
    """Return the event of a service call; event: 0 sent, 1 received, 2 and 3 its answer."""
    info = message(
        'service_msgs/msg/ServiceEventInfo',
        event_type=event,
        stamp=stamp(ms),
        client_gid=np.arange(16, dtype=np.uint8),
        sequence_number=number,
    )
    service = type_.removesuffix('_Event')
    request = (
        message(f'{service}_Request', data=data)
        if data is not None
        else message(f'{service}_Request', structure_needs_at_least_one_member=0)
    )
    return message(type_, info=info, request=[request] if known and event < 2 else [], response=[])


def add_event_topic(writer: BagWriter, topic: str, type_: str) -> None:
    """Announce a topic of service events with the definition that rosbag2 stores: the .srv file."""
    service = type_.removesuffix('_Event')
    request = 'bool data\n' if type_ == SET_BOOL else ''
    text = f'{"=" * 80}\nSRV: {service}\n{request}---\nbool success\nstring message\n'
    digest = f'RIHS01_{"0" * 64}'
    made = writer._writer.add_connection(topic, type_, msgdef=text, rihs01=digest)
    writer._connections[topic] = made


class Recording:
    """Messages to be written as a bag, each at its time [ms]."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, str, str, Any]] = []

    def add(self, ms: float, topic: str, content: Any) -> Recording:
        self.messages.append((ms, topic, content.__msgtype__, content))
        return self

    def run(
        self,
        start: int = 0,
        stop: int = 2000,
        *,
        rate_ms: int = 10,
        picture: Callable[[float], Any] = image,
        drop: Callable[[str, int], bool] = lambda topic, ms: False,
    ) -> Recording:
        """Record the arm and its camera."""
        for ms in range(start, stop, rate_ms):
            if not drop('joint_states', ms):
                self.add(ms, '/joint_states', joints(ms, at(ms)))
            if not drop('ee_pose', ms):
                self.add(ms, '/ee_pose', pose(ms, at(ms)))
        for ms in range(start, stop, STEP_MS):
            if not drop('camera', ms):
                # A picture takes 20 ms from the camera to the disk.
                self.add(ms + 20, '/camera/corner2/image', picture(ms))
        return self

    def write(self, path: Path) -> Path:
        types = {topic: type_ for _, topic, type_, _ in self.messages}
        with BagWriter(path) as writer:
            for topic, type_ in types.items():
                if type_.endswith('_Event'):
                    add_event_topic(writer, topic, type_)
                else:
                    writer.add_topic(topic, type_)
            for ms, topic, _, content in sorted(self.messages, key=lambda each: each[0]):
                writer.write(topic, round((START_MS + ms) * MS), content)
        return path


def convert(
    bags: Iterable[Path],
    root: Path,
    arm: ArmContract = ARM,
    space: ActionSpace = ActionSpace.EE_DELTA,
    min_frames: int = 1,
    **options: Any,
) -> tuple[LeRobotDataset, list[BagResult]]:
    """Convert bags; options: of the samples."""
    sampling = SampleOptions(**{'fps': FPS, 'task': 'move', **options})
    results = []
    with BagDataset(root, arm, sampling, DatasetOptions(space, min_frames=min_frames)) as dataset:
        for path in bags:
            with Bag(path) as bag:
                results.append(dataset.add(bag))
    return LeRobotDataset(root), results


def lengths(data: LeRobotDataset) -> list[int]:
    return [episode.length for episode in data.episodes]


def first_ms(data: LeRobotDataset) -> list[int]:
    """Return when each episode begins [ms], as its first picture tells."""
    return [int(data.image(CAMERA, e.first)[0, 0, 0]) * STEP_MS for e in data.episodes]


CAMERA = 'observation.images.corner2'
