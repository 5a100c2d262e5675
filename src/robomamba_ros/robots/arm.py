"""The arm contract: everything the stack must know about an arm, read from one YAML file.

Adding an arm needs a file in config/arms/ and no code; docs/adding_an_arm.md explains each key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.common.resources import find_file
from robomamba_ros.robots import ranges
from robomamba_ros.robots.arm_sections import (
    CAMERA_KEYS,
    CARTESIAN_KEYS,
    FRAME,
    INTERLOCK_KEYS,
    JOINT_KEYS,
    JOINT_STATES,
    NAME,
    OUTPUT_KEYS,
    SPACE_KEYS,
    input_kind,
    read_camera,
    read_cartesian,
    read_inputs,
    read_interlock,
    read_joint,
    read_output,
    read_space,
    read_speed_scaling,
    read_urdf,
    read_workspace,
)
from robomamba_ros.robots.following import FollowingLimits, read_following
from robomamba_ros.robots.parts import (
    PARTS,
    POSE_KINDS,
    Camera,
    CartesianLimits,
    Gripper,
    Interlock,
    Joint,
    Output,
    SpaceRules,
    SpeedScaling,
    UrdfSource,
    Workspace,
)
from robomamba_ros.types import NANOSECONDS

__all__ = ['ArmContract', 'Camera', 'CartesianLimits', 'Workspace', 'input_kind', 'load_arm']

# Cameras of 10 Hz and more always have images as near to one another as this [s].
MAX_CAMERA_SKEW_S = 0.05


@dataclass(frozen=True)
class ArmContract:
    """An arm, validated. joints are in order; inputs: topic by stream, budgets_s: age [s].

    Joints may come on several topics: the streams joint_states, joint_states_2, .. publishers: how
    many nodes may publish on the topic of each stream.
    max_camera_skew_s: how far apart the images of one observation may be taken [s].
    """

    name: str
    base_frame: str
    ee_frame: str
    urdf: UrdfSource | None
    control_rate_hz: float
    joints: tuple[Joint, ...]
    gripper: Gripper | None
    cameras: tuple[Camera, ...]
    inputs: Mapping[str, str]
    budgets_s: Mapping[str, float]
    cartesian: CartesianLimits
    workspace: Workspace
    outputs: tuple[Output, ...]
    publishers: Mapping[str, int] = field(default_factory=dict)
    interlocks: tuple[Interlock, ...] = ()
    speed_scaling: SpeedScaling | None = None
    max_camera_skew_s: float = MAX_CAMERA_SKEW_S
    following: FollowingLimits = field(default_factory=FollowingLimits)
    space: SpaceRules = field(default_factory=SpaceRules)

    @cached_property
    def period_ns(self) -> int:
        """Control period [ns]."""
        return round(NANOSECONDS / self.control_rate_hz)

    @cached_property
    def takes_poses(self) -> bool:
        """Whether the arm is commanded by poses; else by its joints."""
        output = self.output('arm')
        return output is None or output.kind in POSE_KINDS

    @cached_property
    def has_kinematics(self) -> bool:
        """Whether a URDF is there and is needed: for a pose from joints, or joints from a pose."""
        return self.urdf is not None and not (self.takes_poses and 'ee_pose' in self.inputs)

    def joints_of(self, *parts: str) -> tuple[Joint, ...]:
        """Return the joints of `parts`, in the contract's order."""
        return tuple(joint for joint in self.joints if joint.part in parts)

    @cached_property
    def joint_streams(self) -> tuple[str, ...]:
        """The streams that joint positions come by."""
        return tuple(stream for stream in self.inputs if input_kind(stream) == JOINT_STATES)

    @cached_property
    def measured_joints(self) -> tuple[str, ...]:
        """The joints of joint_states: all but those of a mobile base, which are the odometry's."""
        return (*(joint.name for joint in self.joints_of('arm', 'head')), *self.names_of('gripper'))

    def names_of(self, part: str) -> tuple[str, ...]:
        """Return the names of the joints of a part, the gripper included."""
        if part == 'gripper':
            return () if self.gripper is None else (self.gripper.joint,)
        return tuple(joint.name for joint in self.joints_of(part))

    def output(self, part: str) -> Output | None:
        """Return where the commands of a part go."""
        return next((output for output in self.outputs if output.part == part), None)


def load_arm(name_or_path: str) -> ArmContract:
    """Return the contract of config/arms/<name>.yaml, or of a path that ends in .yaml.

    Raises ConfigError with every error of the file at once: key, what was found, what is allowed.
    """
    path = find_file('arms', name_or_path)
    document, errors = read_yaml(path)
    arm = read_arm(document, path.parent, errors)
    refuse(f'the arm contract {path}', errors)
    return arm


def read_arm(
    document: object, folder: Path, errors: list[str], begin: type[Section] = Section
) -> ArmContract:
    """Return a contract, and note its errors; `begin` is the class of section it is read by."""
    keys = 'name frames control_rate_hz joints cameras inputs cartesian workspace outputs'
    optional = (
        *('urdf', 'gripper', 'interlocks', 'speed_scaling', 'max_camera_skew_s', 'following'),
        'space',
    )
    root = begin(document, '', errors, keys.split(), optional)
    frames = root.section('frames', ('base', 'end_effector'))
    inputs = read_inputs(root)
    interlocks = root.sections('interlocks', *INTERLOCK_KEYS) if root.has('interlocks') else []
    arm = ArmContract(
        name=root.text('name', *NAME),
        base_frame=frames.text('base', *FRAME).lstrip('/'),
        ee_frame=frames.text('end_effector', *FRAME).lstrip('/'),
        urdf=read_urdf(root, folder) if root.has('urdf') else None,
        control_rate_hz=root.within('control_rate_hz', ranges.CONTROL_RATE),
        joints=tuple(read_joint(joint) for joint in root.sections('joints', *JOINT_KEYS)),
        gripper=_read_gripper(root.section('gripper', _GRIPPER_KEYS))
        if root.has('gripper')
        else None,
        cameras=tuple(read_camera(camera) for camera in root.sections('cameras', *CAMERA_KEYS)),
        inputs=inputs.topics,
        budgets_s=inputs.budgets_s,
        cartesian=read_cartesian(root.section('cartesian', *CARTESIAN_KEYS)),
        workspace=read_workspace(root.section('workspace', ('lower', 'upper'))),
        outputs=tuple(read_output(output) for output in root.sections('outputs', *OUTPUT_KEYS)),
        publishers=inputs.publishers,
        interlocks=tuple(read_interlock(interlock) for interlock in interlocks),
        speed_scaling=read_speed_scaling(root.section('speed_scaling', ('topic', 'budget_s')))
        if root.has('speed_scaling')
        else None,
        max_camera_skew_s=root.within('max_camera_skew_s', ranges.SKEW)
        if root.has('max_camera_skew_s')
        else MAX_CAMERA_SKEW_S,
        following=read_following(root),
        space=read_space(root.section('space', *SPACE_KEYS), folder)
        if root.has('space')
        else SpaceRules(),
    )
    _check_together(arm, root)
    return arm


def _check_together(arm: ArmContract, root: Section) -> None:
    """Note what no section can see alone."""
    for key, names in (
        ('joints', [joint.name for joint in arm.joints]),
        ('cameras', [camera.name for camera in arm.cameras]),
        ('outputs', [output.part for output in arm.outputs]),
        ('outputs', [output.topic for output in arm.outputs]),
        ('inputs', list(arm.inputs.values())),
        ('interlocks', [interlock.name for interlock in arm.interlocks]),
    ):
        for name in sorted({name for name in names if name and names.count(name) > 1}):
            root.error(key, f"'{name}' more than once", 'each only once')
    topics = [topic for c in arm.cameras for topic in (c.topic, c.depth_topic, c.info_topic)]
    topics += [*arm.inputs.values(), None if arm.urdf is None else arm.urdf.topic]
    ranges.check_topics(root, arm.outputs, [topic for topic in topics if topic])
    for part in (*PARTS, 'gripper'):
        joints = arm.names_of(part)
        if joints and arm.output(part) is None:
            root.error('outputs', f'none for the part {part}', 'one for each part with joints')
        if not joints and arm.output(part) is not None:
            root.error('outputs', f'one for the part {part}', 'parts that have joints')
    base = arm.joints_of('base')
    if base and len(base) != 3:
        root.error('joints', f'{len(base)} of the part base', '3: along x, along y, about z')
    if bool(base) != ('odometry' in arm.inputs):
        found = 'nothing, with joints' if base else 'a topic, without a joint'
        root.error('inputs.odometry', f'{found} of the part base', 'a topic for a mobile base')
    for camera in arm.cameras if arm.urdf is None else ():
        if camera.link is not None:
            allowed = '`urdf`, which has the link'
            root.error('urdf', f"nothing, with a link for the camera '{camera.name}'", allowed)
    if 'ee_pose' not in arm.inputs and arm.urdf is None:
        allowed = 'a topic, or else `urdf`, from which the pose is computed'
        root.error('inputs.ee_pose', 'nothing', allowed)


_GRIPPER_KEYS = ('joint', 'open_position', 'closed_position')


def _read_gripper(section: Section) -> Gripper:
    gripper = Gripper(
        section.text('joint', *NAME),
        section.within('open_position', ranges.GRIPPER),
        section.within('closed_position', ranges.GRIPPER),
    )
    way = abs(gripper.open_position - gripper.closed_position)
    if section.clean and way < ranges.SHORTEST_GRIP:
        found, least = str(gripper.open_position), f'by {ranges.SHORTEST_GRIP:g} at least'
        section.error('open_position', found, f'other than closed_position, {least}')
    return gripper
