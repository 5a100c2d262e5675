"""Reads the sections of an arm contract that do not depend on one another.

Each reader notes what is wrong in its section and returns a stand-in; robots/arm.py joins them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robomamba_ros.robots import ranges
from robomamba_ros.robots.parts import (
    OUTPUT_KINDS,
    CartesianLimits,
    Output,
    UrdfSource,
    Workspace,
)
from robomamba_ros.sections import Section

NAME = ('a name of letters, digits, _, - and .', r'[A-Za-z_][\w.-]*')
FRAME = ('a frame without a leading /', r'[^/\s]\S*')
# ROS names are ASCII.
TOPIC = ('the name of a topic', r'(?a)(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*')


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
    lower, upper = (
        np.array(section.numbers(key, 3, within=ranges.LENGTH)) for key in ('lower', 'upper')
    )
    if section.clean and not (lower < upper).all():
        section.error('upper', str(upper.tolist()), f'above {lower.tolist()} on every axis')
    return Workspace(lower, upper)


# The options of each kind of controller; those of a kind that has none are not allowed.
_OPTIONS = {'lead_s': 'joint_trajectory', 'stamped': 'twist', 'max_effort': 'gripper_command'}
OUTPUT_KEYS = (('part', 'kind', 'topic'), tuple(_OPTIONS))


def read_output(output: Section) -> Output:
    """Return where the commands of a part go."""
    part = output.choice('part', tuple(OUTPUT_KINDS))
    kind = output.choice('kind', OUTPUT_KINDS[part]) if part else ''
    for option, of_kind in _OPTIONS.items():
        if output.has(option) and kind and kind != of_kind:
            output.error(option, f'it with the kind {kind}', f'only with the kind {of_kind}')
    lead = kind == 'joint_trajectory' and output.has('lead_s')
    return Output(
        part,
        kind,
        output.text('topic', *TOPIC),
        output.within('lead_s', ranges.LEAD) if lead else None,
        output.flag('stamped') if kind == 'twist' else False,
        output.within('max_effort', ranges.EFFORT) if kind == 'gripper_command' else None,
    )
