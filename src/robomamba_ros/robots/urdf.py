"""Finds a URDF and cuts out the chain of joints between the two frames of an arm contract.

What is off the chain (shapes, inertia, other joints) plays no part in kinematics and need not be
valid.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from robomamba_ros.common.config_file import refuse
from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Joint
from robomamba_ros.robots.urdf_text import MAX_DISTANCE, Element, numbers, read_text
from robomamba_ros.robots.urdf_tree import (
    Followed,
    UrdfTree,
    limits_of,
    link_of,
    moves,
    name_of,
)

_PACKAGE = 'package://'
_MOVABLE = ('revolute', 'continuous', 'prismatic')
# Limits are written in data sheets with 3 to 6 digits and in URDFs with others.
_ROUNDING = 1e-2
_LEAST_AXIS = 1e-6


def read_urdf(arm: ArmContract) -> str:
    """Return the text of the URDF file that the contract names, a .xacro expanded.

    Raises ConfigError where it names none (a topic is for a node to read) or it cannot be read.
    """
    if arm.urdf is None or arm.urdf.file is None:
        found = 'no urdf' if arm.urdf is None else f'the topic {arm.urdf.topic}'
        raise ConfigError(
            f"the contract of arm '{arm.name}' names {found}; give `urdf: {{file: ..}}`, or pass "
            'the text that the robot_description topic carries'
        )
    path = _find(arm.urdf.file, arm.name)
    try:
        return read_text(path)
    except OSError as error:
        raise ConfigError(f"the URDF of arm '{arm.name}' cannot be read: {error}") from error


def _find(address: str, arm: str) -> Path:
    if not address.startswith(_PACKAGE):
        return Path(address)
    package, _, inside = address.removeprefix(_PACKAGE).partition('/')
    # The share folders of the ament index, found without a ROS installation.
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for prefix in prefixes:
        share = Path(prefix, 'share', package)
        if share.is_dir():
            return share / inside
    raise ConfigError(
        f"the URDF of arm '{arm}' lies in the package '{package}', which is not in "
        f'AMENT_PREFIX_PATH ({os.pathsep.join(prefixes) or "empty"}); source the workspace that '
        'has it'
    )


def chain_urdf(arm: ArmContract, urdf: str) -> tuple[str, dict[str, Followed]]:
    """Return a URDF of the chain between the arm's base and end-effector frames, and no more.

    With it, by movable joint, the joint of the contract that it follows: those of the parts `base`
    and `arm`, and others that mimic them, as in a parallelogram. A mobile base that the URDF leaves
    out is added as three joints between the base frame and the URDF's root. Raises ConfigError
    with every difference between the contract and the URDF at once.
    """
    tree = _read_tree(arm, urdf)
    errors = [
        f'{key}: {unknown_name("link", frame, tree.links)}'
        for key, frame in (('frames.base', arm.base_frame), ('frames.end_effector', arm.ee_frame))
        if frame not in tree.links
    ]
    errors += [
        f'joints: {unknown_name("joint", joint.name, tree.joints)}'
        for joint in arm.joints
        if joint.name not in tree.joints
    ]
    chain: list[Element] = []
    followed: dict[str, Followed] = {}
    if not errors:
        to_base, to_tip = tree.between(arm.base_frame, arm.ee_frame)
        chain = [*to_base, *to_tip]
        followed = {name_of(joint): tree.follow(joint) for joint in chain if moves(joint)}
        errors = list(_chain_errors(arm, tree, to_base, to_tip, followed))
    refuse(f"arm '{arm.name}' does not fit its URDF: it", errors)
    return _written(chain), followed


def branch_urdf(arm: ArmContract, urdf: str, link: str) -> tuple[str, dict[str, Followed]]:
    """Return a URDF of what lies between the arm's base frame and `link`, and no more.

    With it, by movable joint, the joint of the contract that it follows. Raises ConfigError where
    the link is not there, or moves by joints that the contract does not have.
    """
    tree = _read_tree(arm, urdf)
    frames = (arm.base_frame, link)
    missing = [frame for frame in frames if frame not in tree.links]
    errors = [
        f'{unknown_name("link", frame, tree.links)} Correct the link of the camera, or leave it out'
        for frame in missing
    ]
    branch = [] if missing else [joint for way in tree.between(*frames) for joint in way]
    followed = {name_of(joint): tree.follow(joint) for joint in branch if moves(joint)}
    known = [joint.name for joint in arm.joints]
    errors += [
        f"joint '{each.joint}' is not among the contract's joints; add it, with the part head if "
        'it does not move the end effector'
        for each in followed.values()
        if each.joint not in known
    ]
    refuse(f"the URDF of arm '{arm.name}' does not say where the link '{link}' is: it", errors)
    return _written(branch), followed


def _read_tree(arm: ArmContract, urdf: str) -> UrdfTree:
    tree = UrdfTree(urdf, arm.name)
    base = [joint.name for joint in arm.joints_of('base')]
    if base and arm.base_frame not in tree.links and not any(b in tree.joints for b in base):
        tree.add_planar_base(arm.base_frame, base)
    return tree


def _chain_errors(
    arm: ArmContract,
    tree: UrdfTree,
    to_base: list[Element],
    to_tip: list[Element],
    followed: dict[str, Followed],
) -> Iterator[str]:
    """Yield what is wrong with the joints on both ways down from where they part."""
    known = {joint.name: joint for joint in arm.joints_of('base', 'arm')}
    driving = {each.joint for each in followed.values()}
    for name in sorted(driving - set(known)):
        by = [each for each, source in followed.items() if source.joint == name and each != name]
        where = f"moves '{by[0]}'" if name not in followed and by else 'moves'
        yield (
            f"joints: '{name}' {where} between the two frames and is not among the contract's "
            'joints of the parts base and arm; add it'
        )
    for name in set(known) - driving:
        joint = tree.joints[name]
        if joint.find('mimic') is not None:
            yield (
                f"joints: '{name}' only mimics another joint, '{tree.follow(joint).joint}', in the "
                'URDF; it cannot be moved. Leave it out of the contract: it is moved with that one'
            )
        else:
            yield (
                f"joints: '{name}' does not move the end effector in the base frame; give it "
                'another part'
            )
    for joint in to_base:
        if moves(joint):
            yield (
                f"joints: '{name_of(joint)}' lies between the base frame and the root of the arm, "
                'where nothing may move; choose another base frame'
            )
    for joint in to_tip:
        if moves(joint) and name_of(joint) in known and name_of(joint) in driving:
            yield from _differences(known[name_of(joint)], joint)


def _differences(joint: Joint, element: Element) -> Iterator[str]:
    if element.get('type') not in _MOVABLE:
        yield (
            f"joints: '{joint.name}' is {element.get('type')} in the URDF, allowed: "
            f'{", ".join(_MOVABLE)}'
        )
    limits = limits_of(element)
    # Some makers write 0 for what they do not say.
    velocity = limits.get('velocity', 0.0) or joint.velocity
    if joint.velocity > velocity * (1.0 + _ROUNDING):
        yield (
            f"joints: '{joint.name}' has the velocity {joint.velocity}, more than the "
            f"URDF's {velocity}"
        )
    if element.get('type') not in ('revolute', 'prismatic'):
        return
    if not limits.keys() & {'lower', 'upper'}:
        yield (
            f"joints: '{joint.name}' is {element.get('type')} in the URDF and has no limits lower "
            'and upper there; give it some, or make it continuous'
        )
        return
    lower, upper = limits.get('lower', 0.0), limits.get('upper', 0.0)
    if joint.position[0] < lower - _ROUNDING or joint.position[1] > upper + _ROUNDING:
        yield (
            f"joints: '{joint.name}' has the positions {list(joint.position)}, beyond the URDF's "
            f'{[lower, upper]}'
        )


def _written(chain: list[Element]) -> str:
    robot = ElementTree.Element('robot', name='chain')
    links = {link_of(joint, end) for joint in chain for end in ('parent', 'child')}
    for link in sorted(links):
        ElementTree.SubElement(robot, 'link', name=link)
    for joint in chain:
        # A turn without end becomes a plain angle, so that one number is one joint; limits are
        # the contract's, and these stand here because the format asks for some.
        kind = str(joint.get('type')).replace('continuous', 'revolute') if moves(joint) else 'fixed'
        written = ElementTree.SubElement(robot, 'joint', name=name_of(joint), type=kind)
        ElementTree.SubElement(written, 'limit', lower='-1', upper='1', velocity='1', effort='1')
        written.extend(part for tag in ('parent', 'child') for part in joint.findall(tag))
        xyz, rpy = (numbers(joint, 'origin', key, '0 0 0') for key in ('xyz', 'rpy'))
        if max(map(abs, xyz)) > MAX_DISTANCE:
            raise ConfigError(
                f"the joint '{name_of(joint)}' of the URDF is {max(map(abs, xyz)):g} m from the "
                f'one before, more than {MAX_DISTANCE:g}; a URDF is in metres'
            )
        ElementTree.SubElement(written, 'origin', xyz=_text(xyz), rpy=_text(rpy))
        if kind != 'fixed':
            axis = numbers(joint, 'axis', 'xyz', '1 0 0')
            if math.hypot(*axis) < _LEAST_AXIS:
                raise ConfigError(
                    f"the joint '{name_of(joint)}' of the URDF has the axis {_text(axis)}, which "
                    'has no direction; correct the URDF'
                )
            ElementTree.SubElement(written, 'axis', xyz=_text(axis))
    return ElementTree.tostring(robot, encoding='unicode')


def _text(values: list[float]) -> str:
    return ' '.join(map(repr, values))
