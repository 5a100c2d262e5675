"""What stands where in an episode, and the words for it: drawn from a seed.

Left and right are those of the robot, which looks along x: left is where y is larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.simulation.robots.furniture import Fixture
from robomamba_ros.simulation.robots.things import KINDS, Thing
from robomamba_ros.types import Float64Array

# Where things are put [m], and how far their middles are apart, at least.
AREA_LOWER, AREA_UPPER, APART_M = np.array([0.40, -0.24]), np.array([0.60, 0.24]), 0.15
# How far what a hand moves along and what stands beside are apart, at least [m].
CLEAR_M = 0.13
# How far apart two things are that words of left and right tell apart, at least [m].
_BESIDE_M = 0.12
# The place of the end effector at the start, in base axes [m], and its turn about z [rad].
_START_LOWER, _START_UPPER = np.array([0.32, -0.15, 0.28]), np.array([0.48, 0.15, 0.42])
_START_TURN = 0.3
# Where a base begins [m], with its lift, and its turn about z [rad]: the table is out of reach.
_BASE_LOWER, _BASE_UPPER = np.array([-0.60, -0.25, 0.22]), np.array([-0.40, 0.25, 0.32])
_BASE_TURN = 0.25
_TRIES = 1000

GRIPPED = tuple(name for name, kind in KINDS.items() if kind.grip)


@dataclass(frozen=True)
class Arrangement:
    """A scene: things, at most one fixture, what the task is about, and where the hand begins.

    target: the body that the task is about, '' for the fixture. shift: the way that it is to be
    moved (3,) [m]. start: position (3,) of the end effector [m], which points down, and its turn
    about z [rad]; of a robot on a base, where that stands, x and y, how far its lift is up, and the
    base's turn. tint: brightness of the table, about 1.
    """

    instruction: str
    things: tuple[Thing, ...]
    start: Float64Array
    start_turn: float
    tint: float
    fixture: Fixture | None = None
    target: str = ''
    shift: Float64Array | None = None

    def thing(self, body: str) -> Thing:
        """Return the thing with a body's name."""
        return next(thing for thing in self.things if thing.body == body)


def draw_start(rng: np.random.Generator) -> tuple[Float64Array, float]:
    """Draw where the hand begins, and how it is turned about z."""
    turn = float(rng.uniform(-_START_TURN, _START_TURN))
    return rng.uniform(_START_LOWER, _START_UPPER), turn


def draw_base(rng: np.random.Generator) -> tuple[Float64Array, float]:
    """Draw where a base begins, with its lift, and how it is turned about z."""
    turn = float(rng.uniform(-_BASE_TURN, _BASE_TURN))
    return rng.uniform(_BASE_LOWER, _BASE_UPPER), turn


def draw_things(
    rng: np.random.Generator, kinds: Sequence[tuple[str, str]], taken: Sequence[Float64Array] = ()
) -> tuple[Thing, ...]:
    """Draw places for things of some kinds and colors, apart from one another and from `taken`."""
    while True:
        places: list[Float64Array] = []
        for _ in range(_TRIES):
            if len(places) == len(kinds):
                return tuple(
                    Thing(f'thing_{number}', *kinds[number], float(x), float(y), _turn(rng))
                    for number, (x, y) in enumerate(places)
                )
            place = rng.uniform(AREA_LOWER, AREA_UPPER)
            if all(np.linalg.norm(place - other[:2]) > APART_M for other in (*places, *taken)):
                places.append(place)


def _turn(rng: np.random.Generator) -> float:
    return float(rng.uniform(-0.5, 0.5))


def draw_kinds(rng: np.random.Generator, count: int) -> tuple[list[tuple[str, str]], str]:
    """Draw kinds and colors of things, the first to be gripped, and how it is told from the others.

    The way is 'kind', 'color' or 'side'; the second thing makes the word needed.
    """
    way = str(rng.choice(['kind', 'kind', 'color', 'side']))
    several = [name for name in GRIPPED if len(KINDS[name].colors) > 1]
    kind = str(rng.choice(several if way == 'color' else GRIPPED))
    color = str(rng.choice(KINDS[kind].colors))
    chosen = [(kind, color)]
    if way == 'side':
        chosen.append((kind, color))
    elif way == 'color':
        others = [each for each in KINDS[kind].colors if each != color]
        chosen.append((kind, str(rng.choice(others))))
    while len(chosen) < count:
        other = str(rng.choice([name for name in KINDS if name != kind]))
        chosen.append((other, str(rng.choice(KINDS[other].colors))))
    return chosen, way


def words_for(things: Sequence[Thing], way: str) -> str | None:
    """Return what the first of `things` is called beside the others; None where that is not clear.

    Things of one kind and color that are not well beside one another have no left and right.
    """
    first = things[0]
    if way == 'kind':
        return first.kind
    if way == 'color':
        return f'{first.color} {first.kind}'
    beside = first.y - things[1].y
    if abs(beside) < _BESIDE_M:
        return None
    return f'{first.kind} on the {"left" if beside > 0.0 else "right"}'


def clear_way(things: Sequence[Thing], shift: Float64Array) -> bool:
    """Tell whether the first thing can be moved by `shift` (3,), past all others, in the area."""
    begin, way = np.array([things[0].x, things[0].y]), shift[:2]
    end = begin + way
    if abs(end[1]) > AREA_UPPER[1] + 0.06:
        return False
    for other in things[1:]:
        to_other = np.array([other.x, other.y]) - begin
        share = np.clip(to_other @ way / (way @ way), 0.0, 1.0)
        if np.linalg.norm(to_other - share * way) < CLEAR_M:
            return False
    return True
