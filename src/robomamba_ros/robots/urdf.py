"""Finds a URDF and cuts out the chain of joints between the two frames of an arm contract.

What is off the chain (shapes, inertia, other joints) plays no part in kinematics and need not be
valid. Knows nothing about ROS nodes: the text of a `robot_description` topic is handed in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Joint
from robomamba_ros.sections import refuse

Element = ElementTree.Element

_PACKAGE = 'package://'
_MOVABLE = ('revolute', 'continuous', 'prismatic')
# A planar base as three joints: along x, along y, about z.
_BASE_AXES = (('prismatic', '1 0 0'), ('prismatic', '0 1 0'), ('revolute', '0 0 1'))
# Limits are written in data sheets with 3 to 6 digits and in URDFs with others.
_ROUNDING = 1e-2


def read_urdf(arm: ArmContract) -> str:
    """Return the text of the URDF file that the contract names.

    Raises ConfigError where it names none (a topic is for a node to read) or it cannot be read.
    """
    if arm.urdf is None or arm.urdf.file is None:
        found = 'no urdf' if arm.urdf is None else f'the topic {arm.urdf.topic}'
        raise ConfigError(
            f"the contract of arm '{arm.name}' names {found}; give `urdf: {{file: ..}}`, or pass "
            'the text that the robot_description topic carries'
        )
    path = _find(arm.urdf.file, arm.name)
    if path.suffix == '.xacro':
        raise ConfigError(
            f'{path} is a xacro file; expand it with `xacro {path.name} > {path.stem}` and name '
            'that file, or take the URDF from the robot_description topic'
        )
    try:
        return path.read_text(encoding='utf-8')
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


def chain_urdf(arm: ArmContract, urdf: str) -> str:
    """Return a URDF of the chain between the arm's base and end-effector frames, and no more.

    Its movable joints are those of the parts `base` and `arm`. A mobile base that the URDF leaves
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
    if not errors:
        chain, errors = _check_chain(arm, tree)
    refuse(f"arm '{arm.name}' does not fit its URDF: it", errors)
    return _written(chain)


@dataclass(frozen=True)
class Followed:
    """The joint that tells where one is, itself or the one it mimics: offset + multiplier * it."""

    joint: str
    multiplier: float = 1.0
    offset: float = 0.0


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
    followed = {str(joint.get('name')): _followed(joint) for joint in branch if _moves(joint)}
    known = [joint.name for joint in arm.joints]
    errors += [
        f"joint '{each.joint}' is not among the contract's joints; add it, with the part head if "
        'it does not move the end effector'
        for each in followed.values()
        if each.joint not in known
    ]
    refuse(f"the URDF of arm '{arm.name}' does not say where the link '{link}' is: it", errors)
    return _written(branch), followed


def _followed(joint: Element) -> Followed:
    mimic = joint.find('mimic')
    if mimic is None:
        return Followed(str(joint.get('name')))
    multiplier, offset = (float(mimic.get(key, d)) for key, d in (('multiplier', 1), ('offset', 0)))
    return Followed(str(mimic.get('joint')), multiplier, offset)


def _read_tree(arm: ArmContract, urdf: str) -> _Tree:
    tree = _Tree(urdf, arm.name)
    base = [joint.name for joint in arm.joints_of('base')]
    if base and arm.base_frame not in tree.links and not any(b in tree.joints for b in base):
        tree.add_planar_base(arm.base_frame, base)
    return tree


class _Tree:
    """The links and joints of a URDF by name."""

    def __init__(self, urdf: str, arm: str) -> None:
        try:
            root = ElementTree.fromstring(urdf.encode())
        except ElementTree.ParseError as error:
            raise ConfigError(f"the URDF of arm '{arm}' is not XML: {error}") from error
        self.links = {str(link.get('name')) for link in root.findall('link')}
        self.joints = {str(joint.get('name')): joint for joint in root.findall('joint')}
        self._above = {_link(joint, 'child'): joint for joint in self.joints.values()}
        if not self.links:
            raise ConfigError(f"the URDF of arm '{arm}' has no links; is it a URDF?")

    def add_planar_base(self, frame: str, names: list[str]) -> None:
        """Put three joints between `frame` and the root of the URDF."""
        root = next(link for link in sorted(self.links) if link not in self._above)
        links = [frame, *(f'{name}_link' for name in names[:2]), root]
        for name, (kind, axis), parent, child in zip(
            names, _BASE_AXES, links, links[1:], strict=False
        ):
            joint = ElementTree.Element('joint', name=name, type=kind)
            ElementTree.SubElement(joint, 'parent', link=parent)
            ElementTree.SubElement(joint, 'child', link=child)
            ElementTree.SubElement(joint, 'axis', xyz=axis)
            self.joints[name] = self._above[child] = joint
        self.links.update(links)

    def path(self, link: str) -> list[Element]:
        """Return the joints from the root of the tree down to `link`."""
        joints: list[Element] = []
        while link in self._above and len(joints) < len(self.joints):
            joints.append(self._above[link])
            link = _link(joints[-1], 'parent')
        return joints[::-1]

    def between(self, one: str, other: str) -> tuple[list[Element], list[Element]]:
        """Return the joints on both ways down from where they part."""
        ways = self.path(one), self.path(other)
        while all(ways) and ways[0][0] is ways[1][0]:
            del ways[0][0], ways[1][0]
        return ways


def _check_chain(arm: ArmContract, tree: _Tree) -> tuple[list[Element], list[str]]:
    """Return the joints on both ways down from where they part, and what is wrong with them."""
    to_base, to_tip = tree.between(arm.base_frame, arm.ee_frame)
    known = {joint.name: joint for joint in arm.joints_of('base', 'arm')}
    moving = {str(joint.get('name')) for joint in (*to_base, *to_tip) if _moves(joint)}
    errors = [
        f"joints: '{name}' moves between the two frames and is not among the contract's joints of "
        'the parts base and arm; add it'
        for name in sorted(moving - set(known))
    ]
    errors += [
        f"joints: '{name}' does not move the end effector in the base frame; give it another part"
        for name in known
        if name not in moving
    ]
    errors += [
        f"joints: '{joint.get('name')}' lies between the base frame and the root of the arm, "
        'where nothing may move; choose another base frame'
        for joint in to_base
        if _moves(joint)
    ]
    for joint in to_tip:
        if _moves(joint) and joint.get('name') in known:
            errors += _differences(known[str(joint.get('name'))], joint)
    return [*to_base, *to_tip], errors


def _differences(joint: Joint, element: Element) -> Iterator[str]:
    if element.get('type') not in _MOVABLE:
        yield (
            f"joints: '{joint.name}' is {element.get('type')} in the URDF, allowed: "
            f'{", ".join(_MOVABLE)}'
        )
    if element.find('mimic') is not None:
        yield f"joints: '{joint.name}' only mimics another joint in the URDF; it cannot be moved"
    limits = _limits(element)
    velocity = limits.get('velocity', joint.velocity)
    if joint.velocity > velocity * (1.0 + _ROUNDING):
        yield (
            f"joints: '{joint.name}' has the velocity {joint.velocity}, more than the "
            f"URDF's {velocity}"
        )
    if element.get('type') == 'continuous' or not limits:
        return
    lower, upper = limits.get('lower', 0.0), limits.get('upper', 0.0)
    if joint.position[0] < lower - _ROUNDING or joint.position[1] > upper + _ROUNDING:
        yield (
            f"joints: '{joint.name}' has the positions {list(joint.position)}, beyond the URDF's "
            f'{[lower, upper]}'
        )


def _moves(joint: Element) -> bool:
    """Tell whether a joint moves: one whose limits leave no room is a sensor's or a mount's."""
    limits = _limits(joint) if joint.get('type') in ('revolute', 'prismatic') else {}
    closed = limits and limits.get('lower', 0.0) == limits.get('upper', 0.0)
    return joint.get('type') != 'fixed' and not closed


def _limits(joint: Element) -> dict[str, float]:
    found = joint.find('limit')
    if found is None:
        return {}
    try:
        return {key: float(value) for key, value in found.attrib.items()}
    except ValueError as error:
        raise ConfigError(
            f"the limits of the joint '{joint.get('name')}' in the URDF are no numbers: {error}"
        ) from error


def _written(chain: list[Element]) -> str:
    robot = ElementTree.Element('robot', name='chain')
    links = {_link(joint, end) for joint in chain for end in ('parent', 'child')}
    for link in sorted(links):
        ElementTree.SubElement(robot, 'link', name=link)
    for joint in chain:
        # A turn without end becomes a plain angle, so that one number is one joint; limits are
        # the contract's, and these stand here because the format asks for some.
        kind = (
            str(joint.get('type')).replace('continuous', 'revolute') if _moves(joint) else 'fixed'
        )
        written = ElementTree.SubElement(robot, 'joint', name=str(joint.get('name')), type=kind)
        ElementTree.SubElement(written, 'limit', lower='-1', upper='1', velocity='1', effort='1')
        written.extend(
            part for tag in ('origin', 'axis', 'parent', 'child') for part in joint.findall(tag)
        )
    return ElementTree.tostring(robot, encoding='unicode')


def _link(joint: Element, end: str) -> str:
    found = joint.find(end)
    return '' if found is None else str(found.get('link'))
