"""The links and joints of a URDF: ways through its tree, and which joint moves by which."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import NoReturn
from xml.etree import ElementTree

from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.urdf_text import Element, number, numbers, parse

# A planar base as three joints: along x, along y, about z.
_BASE_AXES = (('prismatic', '1 0 0'), ('prismatic', '0 1 0'), ('revolute', '0 0 1'))


@dataclass(frozen=True)
class Followed:
    """The joint that tells where one is, itself or the one it mimics: offset + multiplier * it."""

    joint: str
    multiplier: float = 1.0
    offset: float = 0.0


class UrdfTree:
    """The links and joints of a URDF by name."""

    def __init__(self, urdf: str, arm: str) -> None:
        root = parse(urdf, arm)
        self._arm = arm
        self.links = {str(link.get('name')) for link in root.findall('link')}
        joints = root.findall('joint')
        self.joints = {name_of(joint): joint for joint in joints}
        self._above = {link_of(joint, 'child'): joint for joint in joints}
        if not self.links:
            raise ConfigError(f"the URDF of arm '{arm}' has no links; is it a URDF?")
        self._names = Counter(map(name_of, joints))
        self._children = Counter(link_of(joint, 'child') for joint in joints)

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
            ElementTree.SubElement(joint, 'limit', lower='-inf', upper='inf')
            self.joints[name] = self._above[child] = joint
        self.links.update(links)

    def path(self, link: str) -> list[Element]:
        """Return the joints from the root of the tree down to `link`; ConfigError where none is."""
        joints: list[Element] = []
        passed = {link}
        while link in self._above:
            joint = self._above[link]
            joints.append(joint)
            if self._children[link] > 1:
                self._refuse(f"the link '{link}' hangs from {self._children[link]} joints")
            if self._names[name_of(joint)] > 1:
                self._refuse(f"{self._names[name_of(joint)]} joints are named '{name_of(joint)}'")
            link = link_of(joint, 'parent')
            if link in passed:
                self._refuse(f"the joint '{name_of(joint)}' closes a loop at the link '{link}'")
            passed.add(link)
        return joints[::-1]

    def follow(self, joint: Element) -> Followed:
        """Return what tells where a joint is: the joint at the end of those that it mimics."""
        multiplier, offset, passed = 1.0, 0.0, {name_of(joint)}
        while (mimic := joint.find('mimic')) is not None:
            [factor] = numbers(joint, 'mimic', 'multiplier', '1', 1)
            [shift] = numbers(joint, 'mimic', 'offset', '0', 1)
            multiplier, offset = multiplier * factor, offset + multiplier * shift
            name = str(mimic.get('joint'))
            if name not in self.joints:
                self._refuse(f"the joint '{name_of(joint)}' mimics '{name}', which is not there")
            if name in passed:
                self._refuse(f"the joint '{name}' mimics itself, by way of others")
            passed.add(name)
            joint = self.joints[name]
        return Followed(name_of(joint), multiplier, offset)

    def _refuse(self, reason: str) -> NoReturn:
        raise ConfigError(f"the URDF of arm '{self._arm}' is no tree: {reason}; correct the URDF")

    def between(self, one: str, other: str) -> tuple[list[Element], list[Element]]:
        """Return the joints on both ways down from where they part; ConfigError for no way."""
        ways = self.path(one), self.path(other)
        roots = [
            link_of(way[0], 'parent') if way else link
            for way, link in zip(ways, (one, other), strict=True)
        ]
        if roots[0] != roots[1]:
            self._refuse(
                f"no joints lead from '{one}' to '{other}': they hang from '{roots[0]}' and from "
                f"'{roots[1]}', which nothing connects"
            )
        while all(ways) and ways[0][0] is ways[1][0]:
            del ways[0][0], ways[1][0]
        return ways


def moves(joint: Element) -> bool:
    """Tell whether a joint moves: one whose limits leave no room is a sensor's or a mount's."""
    limits = limits_of(joint) if joint.get('type') in ('revolute', 'prismatic') else {}
    given = bool(limits.keys() & {'lower', 'upper'})
    closed = given and limits.get('lower', 0.0) == limits.get('upper', 0.0)
    return joint.get('type') != 'fixed' and not closed


def limits_of(joint: Element) -> dict[str, float]:
    """Return lower, upper and velocity of a joint, as far as they are given; ConfigError."""
    found = joint.find('limit')
    if found is None:
        return {}
    read = {key: found.get(key) for key in ('lower', 'upper', 'velocity')}
    limits = {key: number(text) for key, text in read.items() if text is not None}
    bad = [f'{key} {read[key]!r:.40}' for key, value in limits.items() if math.isnan(value)]
    if bad:
        raise ConfigError(
            f"the limits of the joint '{name_of(joint)}' in the URDF are no numbers: {bad[0]}; "
            'correct the URDF, or expand it if it is xacro'
        )
    return limits


def link_of(joint: Element, end: str) -> str:
    """Return the link at an end of a joint, `parent` or `child`."""
    found = joint.find(end)
    return '' if found is None else str(found.get('link'))


def name_of(joint: Element) -> str:
    """Return the name of a joint."""
    return str(joint.get('name'))
