"""Generates a URDF for an arm contract, to try an arm without its own URDF.

Names, joints and limits are the contract's; where the joints lie and about what they turn is
invented.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Joint
from robomamba_ros.types import Float64Array

# An elbow arm that reaches ahead, with all its joints at rest: the axis of each joint that turns,
# and where it lies, in shares of the reach from the shoulder. Three axes place the wrist, three
# more turn it; a joint beyond those repeats them.
_SHOULDER, _ELBOW, _WRIST = (0.0, 0.0, 0.0), (0.3, 0.0, 0.4), (0.5, 0.0, 0.1)
_TIP = (0.6, 0.0, 0.0)
_TURNS = 'zyyyxz'
_PLACES = (_SHOULDER, _SHOULDER, _ELBOW, _WRIST)
# What joints that slide slide along.
_RAILS = 'zxy'
_AXES = {'x': (1.0, 0.0, 0.0), 'y': (0.0, 1.0, 0.0), 'z': (0.0, 0.0, 1.0)}
# The turn of an optical frame, of which z looks along x of the link that carries it.
_AHEAD = (-math.pi / 2.0, 0.0, -math.pi / 2.0)
# Where a head stands, from the root, and how thick bones are drawn [m].
_NECK = (0.0, 0.3, 1.0)
_BONE = '0.03'


def made_up_urdf(arm: ArmContract) -> str:
    """Return a URDF of the contract's joints, its tip in the middle of the workspace at rest.

    At rest every link has the axes of the base frame. The arm can reach across the workspace. A
    contract does not say which joints slide: see `slides`. A mobile base is left out, as in the
    URDFs of makers; joints of the part head stand beside the arm, and carry what has a link.
    """
    base = arm.joints_of('base')
    root = _link_after(base[-1]) if base else arm.base_frame
    robot = ElementTree.Element('robot', name=arm.name)
    ElementTree.SubElement(robot, 'link', name=root)
    box = arm.workspace
    # A base goes where the arm does not reach.
    width = (box.upper - box.lower) * ((0.0, 0.0, 1.0) if base else (1.0, 1.0, 1.0))
    reach = float(np.linalg.norm(width))
    shoulder = (box.lower + box.upper) / 2.0 - reach * np.array(_TIP)
    # A base that turns does what the first axis does.
    first = 1 if base else 0
    axes = itertools.chain(_TURNS[first:], itertools.cycle(_TURNS[3:]))
    places = itertools.chain(_PLACES[first:], itertools.repeat(_WRIST))
    rails = itertools.cycle(_RAILS)
    link, last, place = root, np.zeros(3), _SHOULDER
    for joint in arm.joints_of('arm'):
        place = place if slides(joint) else next(places)
        here = shoulder + reach * np.array(place)
        axis = next(rails) if slides(joint) else next(axes)
        link = _add_joint(robot, joint, link, axis, here - last)
        last = here
    tip = shoulder + reach * np.array(_TIP) - last
    _add(robot, 'end_effector_mount', 'fixed', link, arm.ee_frame, tip, (0.0, 0.0, 0.0))
    link, offset = root, np.array(_NECK)
    for joint, axis in zip(arm.joints_of('head'), itertools.cycle('zy'), strict=False):
        link = _add_joint(robot, joint, link, axis, offset)
        offset = np.zeros(3)
    for camera in arm.cameras:
        if camera.link is not None:
            mount = f'{camera.link}_mount'
            _add(robot, mount, 'fixed', link, camera.link, np.zeros(3), _AHEAD)
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding='unicode')


def slides(joint: Joint) -> bool:
    """Tell whether a joint is taken for one that slides.

    That is one with a range below 1 and a velocity of at most 0.5, too little for one that turns.
    """
    lower, upper = joint.position
    return upper - lower < 1.0 and joint.velocity <= 0.5


def _link_after(joint: Joint) -> str:
    return f'after_{joint.name}'


def _add_joint(
    robot: ElementTree.Element, joint: Joint, parent: str, axis: str, offset: Float64Array
) -> str:
    """Put a joint at `offset` (3,) from where the last one is, and return the link it moves.

    Its origin undoes what the joint does at rest, so that the link then has the axes of the base.
    """
    direction, child = np.array(_AXES[axis]), _link_after(joint)
    undone = -(joint.rest or 0.0) * direction
    kind = 'prismatic' if slides(joint) else 'revolute'
    origin, turn = (offset + undone, np.zeros(3)) if slides(joint) else (offset, undone)
    added = _add(robot, joint.name, kind, parent, child, origin, turn)
    ElementTree.SubElement(added, 'axis', xyz=_text(direction))
    lower, upper = (str(end) for end in np.nan_to_num(joint.position, posinf=1e3, neginf=-1e3))
    ElementTree.SubElement(
        added, 'limit', lower=lower, upper=upper, velocity=str(joint.velocity), effort='100'
    )
    return child


def _add(
    robot: ElementTree.Element,
    name: str,
    kind: str,
    parent: str,
    child: str,
    xyz: Float64Array,
    rpy: Sequence[float] | Float64Array,
) -> ElementTree.Element:
    """Add a joint and the link after it, and the bone that leads to it."""
    link = next(each for each in robot.iter('link') if each.get('name') == parent)
    length = float(np.linalg.norm(xyz))
    if length > 0.0:
        visual = ElementTree.SubElement(link, 'visual')
        slope = (0.0, math.acos(xyz[2] / length), math.atan2(xyz[1], xyz[0]))
        ElementTree.SubElement(visual, 'origin', xyz=_text(xyz / 2.0), rpy=_text(slope))
        geometry = ElementTree.SubElement(visual, 'geometry')
        ElementTree.SubElement(geometry, 'cylinder', length=f'{length:.12g}', radius=_BONE)
    joint = ElementTree.SubElement(robot, 'joint', name=name, type=kind)
    ElementTree.SubElement(joint, 'origin', xyz=_text(xyz), rpy=_text(rpy))
    ElementTree.SubElement(joint, 'parent', link=parent)
    ElementTree.SubElement(joint, 'child', link=child)
    ElementTree.SubElement(robot, 'link', name=child)
    return joint


def _text(values: Sequence[float] | Float64Array) -> str:
    return ' '.join(f'{value:.12g}' for value in values)
