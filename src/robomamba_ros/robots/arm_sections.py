"""Reads the sections of an arm contract that do not depend on one another.

Each reader notes what is wrong in its section and returns a stand-in; robots/arm.py joins them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from robomamba_ros.common.config_file import Section
from robomamba_ros.errors import ObservationError
from robomamba_ros.robots import ranges
from robomamba_ros.robots.parts import (
    ACTIONS,
    FITS,
    OUTPUT_KINDS,
    PARTS,
    Camera,
    CartesianLimits,
    Interlock,
    Joint,
    KeepOut,
    Output,
    SpaceRules,
    SpeedScaling,
    UrdfSource,
    Workspace,
)
from robomamba_ros.types import Float64Array, Pose

NAME = ('a name of letters, digits, _, - and .', r'[A-Za-z_][\w.-]*')
# A leading slash, which frames had in ROS 1, means nothing.
FRAME = ('a frame', r'/?[^/\s]\S*')
_FIELD = r'(?a)[A-Za-z_]\w*(\[\d+\])?(\.[A-Za-z_]\w*(\[\d+\])?)*'
# ROS names are ASCII.
TOPIC = ('the name of a topic', r'(?a)(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*')

# The stream of joint positions; further topics of them are joint_states_2, ..
JOINT_STATES = 'joint_states'


def input_kind(stream: str) -> str:
    """Return what a stream is of: joint_states, ee_pose or odometry."""
    return JOINT_STATES if stream.startswith(JOINT_STATES) else stream


def read_urdf(root: Section, folder: Path) -> UrdfSource:
    """Return where the URDF comes from; a file is sought from the folder of the contract."""
    section = root.section('urdf', (), ('file', 'topic'))
    if section.has('file') == section.has('topic'):
        section.error('', 'both or neither', 'either file or topic')
    if section.has('topic'):
        return UrdfSource(None, section.text('topic', *TOPIC))
    if not section.has('file'):
        return UrdfSource(None, None)
    file = section.text('file', 'a path, from the folder of this contract, or a package:// address')
    return UrdfSource(file if file.startswith('package://') else str(folder / file), None)


JOINT_KEYS = (
    ('name', 'position', 'velocity', 'acceleration'),
    ('part', 'jerk', 'rest', 'following'),
)


def read_joint(joint: Section) -> Joint:
    """Return a joint and its limits."""
    lower, upper = joint.numbers('position', 2, infinite=True, within=ranges.POSITION)
    velocity = joint.within('velocity', ranges.VELOCITY)
    acceleration = joint.within('acceleration', ranges.ACCELERATION)
    jerk = joint.within('jerk', ranges.JERK) if joint.has('jerk') else None
    ranges.check_stop(joint, '', velocity, acceleration, jerk)
    if lower >= upper and joint.clean:
        joint.error('position', str([lower, upper]), '[lower, upper] with lower < upper')
    rest = joint.number('rest') if joint.has('rest') else None
    if rest is None and np.isfinite([lower, upper]).all():
        rest = (lower + upper) / 2.0
    elif rest is not None and joint.clean and not lower <= rest <= upper:
        joint.error('rest', str(rest), f'within position {[lower, upper]}')
    return Joint(
        joint.text('name', *NAME),
        joint.choice('part', PARTS) if joint.has('part') else 'arm',
        (lower, upper),
        velocity,
        acceleration,
        jerk,
        rest,
        joint.positive('following', 'rad or m') if joint.has('following') else None,
    )


CARTESIAN_KEYS = (tuple(ranges.SPEEDS), tuple(ranges.JERKS))


def read_cartesian(section: Section) -> CartesianLimits:
    """Return the limits of the end effector."""
    given = {key: allowed for key, allowed in ranges.JERKS.items() if section.has(key)}
    values = {key: section.within(key, each) for key, each in {**ranges.SPEEDS, **given}.items()}
    for prefix in ('', 'rotation_') if section.clean else ():
        stop, acceleration = f'{prefix}stop_deceleration', f'{prefix}acceleration'
        if values[stop] > values[acceleration]:
            section.error(stop, str(values[stop]), f'at most {acceleration}')
        jerk = values.get(f'{prefix}jerk')
        ranges.check_stop(section, prefix, values[f'{prefix}velocity'], values[stop], jerk)
    return CartesianLimits(**values)


def read_workspace(section: Section) -> Workspace:
    """Return the box that commanded positions stay in."""
    return Workspace(*_corners(section))


def _corners(section: Section) -> tuple[Float64Array, Float64Array]:
    """Return the lower and upper corner (3,) of a box."""
    lower, upper = (
        np.array(section.numbers(key, 3, within=ranges.LENGTH)) for key in ('lower', 'upper')
    )
    if section.clean and not (lower < upper).all():
        section.error('upper', str(upper.tolist()), f'above {lower.tolist()} on every axis')
    return lower, upper


SPACE_KEYS = ((), ('self_collision', 'margin_m', 'srdf', 'keep_out'))


def read_space(section: Section, folder: Path) -> SpaceRules:
    """Return where the arm must not be; an SRDF is sought from the folder of the contract."""
    watched = 'check'
    if section.has('self_collision'):
        watched = section.choice('self_collision', ('check', 'off'))
    margin_m = SpaceRules.margin_m
    if section.has('margin_m'):
        margin_m = section.within('margin_m', ranges.MARGIN)
    keys = (('name', 'lower', 'upper'), ())
    boxes = section.sections('keep_out', *keys) if section.has('keep_out') else []
    srdf = (
        section.text('srdf', 'a path, from the folder of this contract')
        if (section.has('srdf'))
        else None
    )
    return SpaceRules(
        watched == 'check',
        margin_m,
        None if srdf is None else str(folder / srdf),
        tuple(KeepOut(box.text('name', *NAME), *_corners(box)) for box in boxes),
    )


# What a raw image may be; messages/images.py decodes each. A compressed one is rgb8 or mono8.
ENCODINGS = (
    *('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16'),
    *('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21'),
    *('bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8'),
)
TRANSPORTS = ('raw', 'compressed')
_PLACES = ('base_T_camera', 'ee_T_camera', 'link')
CAMERA_KEYS = (
    ('name', 'topic', 'encoding', 'budget_s', 'required'),
    ('transport', 'depth_topic', 'info_topic', 'latency_s', 'fit', *_PLACES),
)


def read_camera(camera: Section) -> Camera:
    """Return a camera."""

    def topic(key: str) -> str | None:
        return camera.text(key, *TOPIC) if camera.has(key) else None

    first, *others = [key for key in _PLACES if camera.has(key)] or ['']
    for other in others:
        camera.error(other, f'it beside {first}', f'one of {", ".join(_PLACES)}')
    return Camera(
        camera.text('name', *NAME),
        camera.text('topic', *TOPIC),
        camera.choice('encoding', ENCODINGS),
        camera.choice('transport', TRANSPORTS) if camera.has('transport') else 'raw',
        camera.within('budget_s', ranges.BUDGET),
        camera.flag('required'),
        topic('depth_topic'),
        topic('info_topic'),
        _read_pose(camera, 'base_T_camera'),
        _read_pose(camera, 'ee_T_camera'),
        camera.text('link', *FRAME).lstrip('/') if camera.has('link') else None,
        camera.within('latency_s', ranges.LATENCY) if camera.has('latency_s') else 0.0,
        camera.choice('fit', FITS) if camera.has('fit') else '',
    )


def _read_pose(camera: Section, key: str) -> Pose | None:
    if not camera.has(key):
        return None
    section = camera.section(key, ('position', 'quaternion'))
    position = section.numbers('position', 3, within=ranges.LENGTH)
    quaternion = section.numbers('quaternion', 4)
    try:
        return Pose(np.array(position), np.array(quaternion)) if section.clean else None
    except ObservationError:
        section.error('quaternion', str(quaternion), 'x, y, z, w of length 1')
        return None


# The options of each kind of controller; those of a kind that has none are not allowed.
_OPTIONS = {
    'lead_s': ('joint_trajectory',),
    'controller_settings': ('joint_trajectory',),
    'stamped': ('twist',),
    'max_effort': tuple(ACTIONS),
}
OUTPUT_KEYS = (('part', 'kind', 'topic'), (*_OPTIONS, 'publishers'))


def read_output(output: Section) -> Output:
    """Return where the commands of a part go."""
    part = output.choice('part', tuple(OUTPUT_KINDS))
    kind = output.choice('kind', OUTPUT_KINDS[part]) if part else ''
    for option, kinds in _OPTIONS.items():
        if output.has(option) and kind and kind not in kinds:
            output.error(
                option, f'it with the kind {kind}', f'only with the kind {" or ".join(kinds)}'
            )
    lead = kind == 'joint_trajectory' and output.has('lead_s')
    settings = 'read'
    if output.has('controller_settings'):
        settings = output.choice('controller_settings', ('read', 'assume'))
    return Output(
        part,
        kind,
        output.text('topic', *TOPIC),
        output.within('lead_s', ranges.LEAD) if lead else None,
        output.flag('stamped') if kind == 'twist' else False,
        output.within('max_effort', ranges.EFFORT) if kind in ACTIONS else None,
        _publishers(output),
        settings == 'assume',
    )


@dataclass
class Inputs:
    """The streams of an arm: topic, age [s] and number of publishers, each by stream."""

    topics: dict[str, str] = field(default_factory=dict)
    budgets_s: dict[str, float] = field(default_factory=dict)
    publishers: dict[str, int] = field(default_factory=dict)

    def read(self, stream: str, section: Section) -> None:
        """Take in one stream."""
        self.topics[stream] = section.text('topic', *TOPIC)
        self.budgets_s[stream] = section.within('budget_s', ranges.BUDGET)
        self.publishers[stream] = _publishers(section)


def read_inputs(root: Section) -> Inputs:
    """Return the streams of the arm; those of joints may come on several topics."""
    section = root.section('inputs', (JOINT_STATES,), ('ee_pose', 'odometry'))
    inputs, keys = Inputs(), (('topic', 'budget_s'), ('publishers',))
    if section.is_list(JOINT_STATES):
        for index, each in enumerate(section.sections(JOINT_STATES, *keys)):
            inputs.read(f'{JOINT_STATES}_{index + 1}' if index else JOINT_STATES, each)
    else:
        inputs.read(JOINT_STATES, section.section(JOINT_STATES, *keys))
    for stream in ('ee_pose', 'odometry'):
        if section.has(stream):
            inputs.read(stream, section.section(stream, *keys))
    return inputs


def _publishers(section: Section) -> int:
    return section.integer('publishers', 1) if section.has('publishers') else 1


INTERLOCK_KEYS = (
    ('name', 'topic', 'type', 'field', 'allowed'),
    ('budget_s', 'latched', 'optional'),
)


def read_interlock(section: Section) -> Interlock:
    """Return what has to be said for the arm to be moved."""
    latched = section.flag('latched') if section.has('latched') else False
    if not latched and not section.has('budget_s'):
        section.error('budget_s', 'nothing', 'an age [s], or `latched: true` for a latched topic')
    return Interlock(
        section.text('name', 'letters, digits and _', r'[A-Za-z]\w*'),
        section.text('topic', *TOPIC),
        section.text('type', 'a message type such as std_msgs/msg/Bool', r'[a-z]\w*/msg/[A-Z]\w*'),
        section.text('field', 'a field such as data, status.mode or buttons[4]', _FIELD),
        section.scalars('allowed'),
        section.within('budget_s', ranges.BUDGET) if section.has('budget_s') else None,
        latched,
        section.flag('optional') if section.has('optional') else False,
    )


def read_speed_scaling(section: Section) -> SpeedScaling:
    """Return where the robot tells the share of the speed that it executes."""
    return SpeedScaling(section.text('topic', *TOPIC), section.within('budget_s', ranges.BUDGET))
