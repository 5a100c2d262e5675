"""What can be seen of a robot without touching it, as plain values.

Messages are kept as they came; only their fields are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.robots.arm import ArmContract, input_kind
from robomamba_ros.robots.parts import Camera, Output

JOINT_STATE = 'sensor_msgs/msg/JointState'
STRING = 'std_msgs/msg/String'
IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
INPUT_TYPES = {
    'joint_states': JOINT_STATE,
    'ee_pose': 'geometry_msgs/msg/PoseStamped',
    'odometry': 'nav_msgs/msg/Odometry',
}
OUTPUT_TYPES = {
    'target_pose': 'geometry_msgs/msg/PoseStamped',
    'joint_trajectory': 'trajectory_msgs/msg/JointTrajectory',
    'forward_position': 'std_msgs/msg/Float64MultiArray',
    'joint_state': JOINT_STATE,
}


@dataclass(frozen=True)
class Wanted:
    """A topic that the nodes read or write, and the type it must have.

    stream: what it is called in findings. name: what the nodes call it, before remapping.
    budget_s: age at which it is late, where it has one. publishers: how many nodes may publish it.
    """

    stream: str
    name: str
    type: str
    budget_s: float | None = None
    publishers: int = 1


@dataclass(frozen=True)
class Endpoint:
    """A publisher or subscription of another node: node with namespace, type of the messages.

    mismatch: why its quality of service and ours do not match, '' where they do.
    """

    node: str
    type: str
    mismatch: str = ''


@dataclass(frozen=True)
class Topic:
    """A topic on the graph: its full name, who writes and who reads it."""

    name: str
    writers: tuple[Endpoint, ...] = ()
    readers: tuple[Endpoint, ...] = ()


@dataclass(frozen=True)
class Stream:
    """What came on a topic: arrivals [s] by our clock, ages [s] at arrival, and the messages.

    until_s: when we stopped listening. Cameras keep only their newest message. An age is our clock
    minus the message's stamp; a message without a header has none.
    """

    arrivals_s: tuple[float, ...] = ()
    ages_s: tuple[float, ...] = ()
    messages: tuple[Any, ...] = ()
    until_s: float = 0.0


@dataclass(frozen=True)
class ClockFacts:
    """Our clock: whether it is simulated, who publishes /clock, and how far it went [s]."""

    simulated: bool
    publishers: tuple[str, ...]
    passed_s: float


@dataclass(frozen=True)
class PolicyFacts:
    """A policy that was loaded and run on made-up observations: durations of inferences [s].

    error: what kept it from that; the others are then empty.
    """

    name: str
    error: str = ''
    spec: PolicySpec | None = None
    execute_steps: int = 0
    inferences_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Everything the checks look at, seen over `seconds` of wall time.

    topics, streams: by Wanted.name. published, read: types of all topics that somebody publishes,
    or reads. actions: who serves an action, and as which type, by its full name. parameters: of
    controllers, by node.
    """

    arm: ArmContract
    seconds: float
    clock: ClockFacts
    topics: Mapping[str, Topic] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)
    published: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    read: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    actions: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    policy: PolicyFacts | None = None

    @property
    def spec(self) -> PolicySpec | None:
        """What the policy needs and gives, None where there is none."""
        return None if self.policy is None else self.policy.spec


def watched_cameras(arm: ArmContract, spec: PolicySpec | None) -> dict[str, Camera]:
    """Return the cameras that matter: a policy's, or without one those that the arm must have."""
    names = {camera.name for camera in spec.cameras} if spec is not None else None
    return {
        camera.name: camera
        for camera in arm.cameras
        if (camera.required if names is None else camera.name in names)
    }


def image_topic(camera: Camera) -> str:
    """Return what the nodes call the topic of a camera's images."""
    suffix = '/compressed' if camera.transport == 'compressed' else ''
    return f'camera/{camera.name}/image{suffix}'


def wanted_inputs(arm: ArmContract, spec: PolicySpec | None) -> tuple[Wanted, ...]:
    """Return what is read of an arm and its cameras; depth where the policy needs it."""
    wanted = [
        Wanted(name, name, INPUT_TYPES[input_kind(name)], budget_s, arm.publishers.get(name, 1))
        for name, budget_s in arm.budgets_s.items()
    ]
    needed = () if spec is None else spec.cameras
    with_depth = {camera.name for camera in needed if camera.depth}
    for name, camera in watched_cameras(arm, spec).items():
        label, kind = f'camera {name}', COMPRESSED if camera.transport == 'compressed' else IMAGE
        wanted.append(Wanted(label, image_topic(camera), kind, camera.budget_s))
        if name in with_depth:
            depth, info = f'camera/{name}/depth', f'camera/{name}/camera_info'
            kind = COMPRESSED if camera.compresses_depth else IMAGE
            wanted.append(Wanted(f'{label} depth', depth, kind, camera.budget_s))
            wanted.append(Wanted(f'{label} info', info, CAMERA_INFO))
    if arm.urdf is not None and arm.urdf.topic is not None:
        wanted.append(Wanted('robot_description', 'robot_description', STRING))
    return tuple(wanted)


def wanted_output(output: Output) -> Wanted:
    """Return where the commands of an output go; an action, which is no topic, has no type."""
    if output.kind == 'twist':
        kind = f'geometry_msgs/msg/{"TwistStamped" if output.stamped else "Twist"}'
    else:
        kind = OUTPUT_TYPES.get(output.kind, '')
    return Wanted(output.name, output.name, kind, publishers=output.publishers)
