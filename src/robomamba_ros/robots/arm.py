"""The arm contract: everything the stack must know about an arm, read from one YAML file.

Adding an arm needs a file in config/arms/ and no code. Knows nothing about ROS or policies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from robomamba_ros.resources import find_file
from robomamba_ros.sections import Section, read_yaml, refuse
from robomamba_ros.types import NANOSECONDS, Float64Array

ENCODINGS = ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8')
TRANSPORTS = ('raw', 'compressed')
STREAMS = ('joint_states', 'ee_pose')
OUTPUT_KINDS: Mapping[str, tuple[str, ...]] = {
    'arm': ('joint_trajectory', 'forward_position', 'target_pose', 'twist'),
    'gripper': ('joint_state', 'joint_trajectory', 'forward_position'),
    'base': ('twist', 'joint_trajectory'),
}

_NAME = ('a name of letters, digits, _, - and .', r'[A-Za-z_][\w.-]*')
_FRAME = ('a frame without a leading /', r'[^/\s]\S*')
_TOPIC = ('the name of a topic', r'(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*')


@dataclass(frozen=True)
class JointLimit:
    """One joint: position (lower, upper) [rad or m], velocity, acceleration and, if known, jerk."""

    name: str
    position: tuple[float, float]
    velocity: float
    acceleration: float
    jerk: float | None


@dataclass(frozen=True)
class Gripper:
    """The gripper's joint and its positions [rad or m] at opening 1 and at opening 0."""

    joint: str
    open_position: float
    closed_position: float


@dataclass(frozen=True)
class Camera:
    """A camera: its topic, how its pixels come, and the age at which an image is too old [s]."""

    name: str
    topic: str
    encoding: str
    transport: str
    budget_s: float
    required: bool


@dataclass(frozen=True)
class CartesianLimits:
    """Limits of the commanded end-effector pose, on the norms of its two velocities.

    velocity [m/s], acceleration and stop_deceleration [m/s^2], and the same for the rotation in
    [rad/s] and [rad/s^2]. A stop uses the stop decelerations, everything else the accelerations.
    """

    velocity: float
    acceleration: float
    stop_deceleration: float
    rotation_velocity: float
    rotation_acceleration: float
    rotation_stop_deceleration: float


@dataclass(frozen=True)
class Workspace:
    """The box that commanded positions stay in: corners lower and upper (3,) [m], base frame."""

    lower: Float64Array
    upper: Float64Array

    def clip(self, position: Float64Array) -> Float64Array:
        """Return the point of the box nearest to `position` (3,)."""
        return np.clip(position, self.lower, self.upper)


@dataclass(frozen=True)
class Output:
    """Where commands go: the part of the robot, the kind of its controller, and the topic."""

    part: str
    kind: str
    topic: str


@dataclass(frozen=True)
class ArmContract:
    """An arm, validated. `inputs` maps each of STREAMS to its topic; joints are in order."""

    name: str
    base_frame: str
    ee_frame: str
    control_rate_hz: float
    joints: tuple[JointLimit, ...]
    gripper: Gripper
    cameras: tuple[Camera, ...]
    inputs: Mapping[str, str]
    joint_states_budget_s: float
    ee_pose_budget_s: float
    cartesian: CartesianLimits
    workspace: Workspace
    outputs: tuple[Output, ...]
    urdf: str | None

    @property
    def period_ns(self) -> int:
        """Control period [ns]."""
        return round(NANOSECONDS / self.control_rate_hz)


def load_arm(name_or_path: str) -> ArmContract:
    """Return the contract of config/arms/<name>.yaml, or of a path that ends in .yaml.

    Raises ConfigError with every error of the file at once: key, what was found, what is allowed.
    """
    path = find_file('arms', name_or_path)
    document, errors = read_yaml(path)
    arm = _read_arm(document, errors)
    refuse(f'the arm contract {path}', errors)
    return arm


def _read_arm(document: object, errors: list[str]) -> ArmContract:
    keys = 'name frames control_rate_hz joints gripper cameras inputs cartesian workspace outputs'
    root = Section(document, '', errors, keys.split(), ('urdf',))
    frames = root.section('frames', ('base', 'end_effector'))
    inputs = root.section('inputs', STREAMS)
    streams = {name: inputs.section(name, ('topic', 'budget_s')) for name in STREAMS}
    arm = ArmContract(
        name=root.text('name', *_NAME),
        base_frame=frames.text('base', *_FRAME),
        ee_frame=frames.text('end_effector', *_FRAME),
        control_rate_hz=root.positive('control_rate_hz', 'Hz'),
        joints=_read_joints(root),
        gripper=_read_gripper(root.section('gripper', _GRIPPER_KEYS)),
        cameras=_read_cameras(root),
        inputs={name: stream.text('topic', *_TOPIC) for name, stream in streams.items()},
        joint_states_budget_s=streams['joint_states'].positive('budget_s', 's'),
        ee_pose_budget_s=streams['ee_pose'].positive('budget_s', 's'),
        cartesian=_read_cartesian(root.section('cartesian', tuple(_CARTESIAN_UNITS))),
        workspace=_read_workspace(root.section('workspace', ('lower', 'upper'))),
        outputs=_read_outputs(root),
        urdf=root.text('urdf', 'a path or a package:// address') if root.has('urdf') else None,
    )
    for key, names in (
        ('joints', [joint.name for joint in arm.joints]),
        ('cameras', [camera.name for camera in arm.cameras]),
        ('outputs', [output.topic for output in arm.outputs]),
    ):
        for name in sorted({name for name in names if name and names.count(name) > 1}):
            root.error(key, f"'{name}' more than once", 'each only once')
    return arm


def _read_joints(root: Section) -> tuple[JointLimit, ...]:
    joints = []
    for joint in root.sections(
        'joints', ('name', 'position', 'velocity', 'acceleration'), ('jerk',)
    ):
        lower, upper = joint.numbers('position', 2)
        if lower >= upper and joint.clean:
            joint.error('position', str([lower, upper]), '[lower, upper] with lower < upper')
        joints.append(
            JointLimit(
                joint.text('name', *_NAME),
                (lower, upper),
                joint.positive('velocity', 'rad/s or m/s'),
                joint.positive('acceleration', 'rad/s^2 or m/s^2'),
                joint.positive('jerk', 'rad/s^3 or m/s^3') if joint.has('jerk') else None,
            )
        )
    return tuple(joints)


_GRIPPER_KEYS = ('joint', 'open_position', 'closed_position')


def _read_gripper(section: Section) -> Gripper:
    gripper = Gripper(
        section.text('joint', *_NAME),
        section.number('open_position'),
        section.number('closed_position'),
    )
    if section.clean and gripper.open_position == gripper.closed_position:
        section.error('open_position', str(gripper.open_position), 'other than closed_position')
    return gripper


def _read_cameras(root: Section) -> tuple[Camera, ...]:
    keys = ('name', 'topic', 'encoding', 'budget_s', 'required')
    return tuple(
        Camera(
            camera.text('name', *_NAME),
            camera.text('topic', *_TOPIC),
            camera.choice('encoding', ENCODINGS),
            camera.choice('transport', TRANSPORTS) if camera.has('transport') else 'raw',
            camera.positive('budget_s', 's'),
            camera.flag('required'),
        )
        for camera in root.sections('cameras', keys, ('transport',))
    )


_CARTESIAN_UNITS = {
    'velocity': 'm/s',
    'acceleration': 'm/s^2',
    'stop_deceleration': 'm/s^2',
    'rotation_velocity': 'rad/s',
    'rotation_acceleration': 'rad/s^2',
    'rotation_stop_deceleration': 'rad/s^2',
}


def _read_cartesian(section: Section) -> CartesianLimits:
    values = {key: section.positive(key, unit) for key, unit in _CARTESIAN_UNITS.items()}
    for prefix in ('', 'rotation_') if section.clean else ():
        stop, acceleration = f'{prefix}stop_deceleration', f'{prefix}acceleration'
        if values[stop] > values[acceleration]:
            section.error(stop, str(values[stop]), f'at most {acceleration}')
    return CartesianLimits(**values)


def _read_workspace(section: Section) -> Workspace:
    lower, upper = np.array(section.numbers('lower', 3)), np.array(section.numbers('upper', 3))
    if section.clean and not (lower < upper).all():
        section.error('upper', str(upper.tolist()), f'above {lower.tolist()} on every axis')
    return Workspace(lower, upper)


def _read_outputs(root: Section) -> tuple[Output, ...]:
    outputs = []
    for output in root.sections('outputs', ('part', 'kind', 'topic')):
        part = output.choice('part', tuple(OUTPUT_KINDS))
        kind = output.choice('kind', OUTPUT_KINDS[part]) if part else ''
        outputs.append(Output(part, kind, output.text('topic', *_TOPIC)))
    return tuple(outputs)
