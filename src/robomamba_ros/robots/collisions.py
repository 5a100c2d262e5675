"""Checks the distance of an arm to itself and to the keep-out boxes of its contract.

Built from the shapes of the whole URDF, on Pinocchio with coal.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.backend import import_coal, import_pinocchio
from robomamba_ros.robots.parts import Joint, KeepOut
from robomamba_ros.robots.shapes import capsule, thin
from robomamba_ros.robots.srdf import disabled_pairs
from robomamba_ros.robots.urdf_text import numbers, parse
from robomamba_ros.types import Float64Array

# Pairs that touch in nearly all of so many configurations are neighbours, whatever lies between.
_SAMPLES, _NEARLY_ALL = 100, 0.95


class Collisions:
    """Tells of a configuration what is too near to what.

    Two links are watched where no joint, or more than one, lies between them; but for those that
    touch at the arm's rest or nearly everywhere, and those that the contract's SRDF lists. Joints
    that the contract does not have stand at zero.
    Where self_collision is off the URDF's shapes are not read, and the links are taken for capsules
    between the joints.
    pairs: how many pairs of shapes are watched. ignored: the pairs of links that touch at rest.
    One object serves one thread.

    urdf: its text; shapes that are files are sought in the packages of AMENT_PREFIX_PATH and in
    `packages`. Raises ConfigError naming a file that is not there, and BackendError without
    Pinocchio.
    """

    def __init__(self, arm: ArmContract, urdf: str, packages: Sequence[Path] = ()) -> None:
        self._pin, self._coal = import_pinocchio(), import_coal()
        self._arm = arm
        root = parse(urdf, arm.name)
        self._model, self._shapes = self._read(
            ElementTree.tostring(root, encoding='unicode'), packages
        )
        self._data = self._model.createData()
        self._places = self._place_of_each_joint(root)
        self._neutral = np.array(self._pin.neutral(self._model))
        self._moved = [
            (joint.idx_q, joint.nq == 2, place)
            for joint, place in zip(tuple(self._model.joints)[1:], self._places, strict=True)
            if place is not None
        ]
        self._margin_m = arm.space.margin_m
        self._root_T_base = self._base_in_root()
        self._boxes: list[int] = []
        self.ignored: tuple[str, ...] = ()
        links = list(range(len(self._shapes.geometryObjects)))
        for index in links:
            thin(self._coal, self._shapes.geometryObjects[index])
        if arm.space.self_collision:
            self._watch_links(links)
        self._watch_boxes(links)
        self._results = self._requests()

    def _read(self, urdf: str, packages: Sequence[Path]) -> tuple[Any, Any]:
        """Return the model and its shapes; none where the arm is not kept out of itself."""
        kind = self._pin.GeometryType.COLLISION
        try:
            model = self._pin.buildModelFromXML(urdf)
            if not self._arm.space.self_collision:
                return model, self._pin.GeometryModel()
            return model, self._pin.buildGeomFromUrdfString(
                model, urdf, kind, package_dirs=_folders(packages)
            )
        except (ValueError, RuntimeError) as error:
            raise ConfigError(
                f"the shapes of arm '{self._arm.name}' cannot be read from its URDF: "
                f'{_line(error)}. Source the workspace of the package that has them, or write '
                '`space: {self_collision: off}` in the arm contract'
            ) from error

    @property
    def pairs(self) -> int:
        """How many pairs of shapes are watched."""
        return len(self._shapes.collisionPairs)

    def problem(self, joints: Float64Array) -> str:
        """Return what is too near to what with all joints (n,) at `joints`, '' where nothing is.

        joints: those of the contract, in its order [rad or m].
        """
        if not self.pairs:
            return ''
        q = self._configuration(joints)
        if self._boxes:
            self._place_boxes(joints)
        touching = self._pin.computeCollisions(
            self._model, self._data, self._shapes, self._results, q, True
        )
        return self._named() if touching else ''

    def clearance(self, joints: Float64Array) -> float:
        """Return the smallest distance of any watched pair at `joints` (n,) [m]; below 0: inside.

        Slower than `problem`.
        """
        if self._boxes:
            self._place_boxes(joints)
        q, results = self._configuration(joints), self._shapes.createData()
        self._pin.computeDistances(self._model, self._data, self._shapes, results, q)
        found = (result.min_distance for result in results.distanceResults)
        return float(min(found, default=np.inf))

    def _named(self) -> str:
        results = self._results.collisionResults
        index = next(i for i, result in enumerate(results) if result.isCollision())
        pair = self._shapes.collisionPairs[index]
        one, other = (self._name(i) for i in (pair.first, pair.second))
        if pair.second in self._boxes:
            return f'{one} is nearer than {self._margin_m:g} m to the keep-out box {other}'
        return f'{one} is nearer than {self._margin_m:g} m to {other}'

    def _name(self, index: int) -> str:
        shape = self._shapes.geometryObjects[index]
        if index in self._boxes or shape.parentFrame >= len(self._model.frames):
            return str(shape.name)
        return str(self._model.frames[shape.parentFrame].name)

    def _place_of_each_joint(
        self, root: ElementTree.Element
    ) -> list[tuple[int, float, float] | None]:
        """Return for each joint of the model which of the contract's it follows, and how."""
        order = {joint.name: i for i, joint in enumerate(self._arm.joints)}
        mimics = {}
        for element in root.iter('joint'):
            mimic = element.find('mimic')
            if mimic is not None:
                (factor,) = numbers(element, 'mimic', 'multiplier', '1', count=1)
                (offset,) = numbers(element, 'mimic', 'offset', '0', count=1)
                mimics[str(element.get('name'))] = (str(mimic.get('joint')), factor, offset)
        places: list[tuple[int, float, float] | None] = []
        for name in tuple(self._model.names)[1:]:
            source, factor, offset = mimics.get(name, (name, 1.0, 0.0))
            places.append((order[source], factor, offset) if source in order else None)
        return places

    def _configuration(self, joints: Float64Array) -> Float64Array:
        q, positions = self._neutral.tolist(), joints.tolist()
        for index, turns, (source, factor, offset) in self._moved:
            position = offset + factor * positions[source]
            if turns:
                q[index : index + 2] = math.cos(position), math.sin(position)
            else:
                q[index] = position
        return np.array(q)

    def _watch_links(self, links: Sequence[int]) -> None:
        pin, shapes = self._pin, self._shapes
        allowed = disabled_pairs(self._arm.space.srdf)
        for i in links:
            for j in links[i + 1 :]:
                names = frozenset((self._name(i), self._name(j)))
                if not self._adjacent(i, j) and names not in allowed:
                    shapes.addCollisionPair(pin.CollisionPair(i, j))
        if not self.pairs:
            return
        at_rest = self._touching(np.array([_rest(joint) for joint in self._arm.joints]))
        self.ignored = tuple(sorted(' and '.join(sorted(links)) for links in at_rest))
        random, counts = np.random.default_rng(0), Counter[frozenset[str]]()
        for _ in range(_SAMPLES):
            counts.update(self._touching(np.array([_drawn(random, j) for j in self._arm.joints])))
        everywhere = {links for links, count in counts.items() if count >= _NEARLY_ALL * _SAMPLES}
        # A pair of links is left out as a whole: its shapes overlap by design.
        for i, j in [(pair.first, pair.second) for pair in shapes.collisionPairs]:
            if frozenset((self._name(i), self._name(j))) in at_rest | everywhere:
                shapes.removeCollisionPair(pin.CollisionPair(i, j))

    def _adjacent(self, i: int, j: int) -> bool:
        """Tell whether one joint at most that moves lies between two shapes."""
        one, other = (self._carrier(self._shapes.geometryObjects[k].parentJoint) for k in (i, j))
        above = [self._carrier(self._model.parents[joint]) for joint in (one, other)]
        return one == other or above[0] == other or above[1] == one

    def _carrier(self, joint: int) -> int:
        """Return the nearest joint at or above one that moves with the contract's; 0 for none."""
        while joint and self._places[joint - 1] is None:
            joint = self._model.parents[joint]
        return joint

    def _touching(self, joints: Float64Array) -> set[frozenset[str]]:
        """Return the pairs of links that are too near to one another."""
        results = self._requests()
        q = self._configuration(joints)
        self._pin.computeCollisions(self._model, self._data, self._shapes, results, q, False)
        pairs = zip(self._shapes.collisionPairs, results.collisionResults, strict=True)
        return {
            frozenset((self._name(pair.first), self._name(pair.second)))
            for pair, result in pairs
            if result.isCollision()
        }

    def _requests(self) -> Any:
        results = self._shapes.createData()
        for request in results.collisionRequests:
            request.security_margin = self._margin_m
        return results

    def _watch_boxes(self, links: Sequence[int]) -> None:
        """Add the keep-out boxes, against every shape that moves."""
        boxes = self._arm.space.keep_out
        if not boxes:
            return
        moving = [i for i in links if self._shapes.geometryObjects[i].parentJoint]
        moving += self._bodies({self._shapes.geometryObjects[i].parentJoint for i in moving})
        for box in boxes:
            size = box.upper - box.lower
            index = self._add(box.name, 0, self._coal.Box(*size), self._pin.SE3.Identity())
            self._boxes.append(index)
            for i in moving:
                self._shapes.addCollisionPair(self._pin.CollisionPair(i, index))

    def _bodies(self, shaped: set[int]) -> list[int]:
        """Add a capsule for each link of the chain without a shape, from its joint to the next."""
        pin, model = self._pin, self._model
        tip = model.frames[model.getFrameId(self._arm.ee_frame)]
        chain = [*model.supports[tip.parentJoint]]
        ends = [model.jointPlacements[j].translation for j in chain[1:]] + [
            tip.placement.translation
        ]
        added = []
        for joint, end in zip(chain, ends, strict=True):
            if joint and joint not in shaped and (body := capsule(pin, self._coal, end)):
                added.append(self._add(f'the link of {model.names[joint]}', joint, *body))
        return added

    def _add(self, name: str, joint: int, shape: Any, place: Any) -> int:
        made = self._pin.GeometryObject(name, joint, place, shape)
        # No frame of the URDF: the shape is called by its own name.
        made.parentFrame = len(self._model.frames)
        return int(self._shapes.addGeometryObject(made))

    def _base_in_root(self) -> Any:
        """Return root_T_base where the URDF has the base frame, else None: the base moves."""
        model, frame = self._model, self._arm.base_frame
        if not model.existFrame(frame):
            return None
        self._pin.framesForwardKinematics(model, self._data, self._pin.neutral(model))
        return self._data.oMf[model.getFrameId(frame)].copy()

    def _place_boxes(self, joints: Float64Array) -> None:
        root_T_base = self._root_T_base
        if root_T_base is None:
            x, y, yaw = (joints[i] for i, j in enumerate(self._arm.joints) if j.part == 'base')
            turn = self._pin.utils.rotate('z', float(yaw))
            root_T_base = self._pin.SE3(turn, np.array([x, y, 0.0])).inverse()
        for index, box in zip(self._boxes, self._arm.space.keep_out, strict=True):
            centre = self._pin.SE3(np.eye(3), (box.lower + box.upper) / 2.0)
            self._shapes.geometryObjects[index].placement = root_T_base * centre


def point_clearance(boxes: Sequence[KeepOut], position: Float64Array) -> float:
    """Return how far a point (3,) [m] of the base frame is from the nearest box; inside below 0."""
    distances = [np.inf]
    for box in boxes:
        outside = np.maximum(box.lower - position, position - box.upper)
        inside = float(outside.max())
        distances.append(inside if inside < 0.0 else float(np.linalg.norm(outside.clip(0.0))))
    return min(distances)


def _rest(joint: Joint) -> float:
    return 0.0 if joint.rest is None else joint.rest


def _drawn(random: np.random.Generator, joint: Joint) -> float:
    lower, upper = np.clip(joint.position, -np.pi, np.pi)
    return float(random.uniform(lower, upper))


def _folders(packages: Sequence[Path]) -> list[str]:
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    return [*(str(path) for path in packages), *(str(Path(p, 'share')) for p in prefixes)]


def _line(error: Exception) -> str:
    return ' '.join(str(error).split())[:300]
