"""The tasks at a table: how a scene is drawn, and when it is done.

A rule asks for what only the task brings about, held for a while: what is asked for stands, hangs
or is shut where it was not before, moved by the hand, and nothing else was thrown over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from robomamba_ros.simulation.robots.arrangement import (
    Arrangement,
    clear_way,
    draw_base,
    draw_kinds,
    draw_start,
    draw_things,
    words_for,
)
from robomamba_ros.simulation.robots.furniture import (
    CABINET,
    DRAWER,
    DRAWER_JOINT,
    PUMP,
    PUMP_HEAD,
    PUMP_JOINT,
    PUMP_TRAVEL_M,
    Fixture,
)
from robomamba_ros.simulation.robots.things import Thing
from robomamba_ros.types import Float64Array

# Move: how far to the side it is to be [m], what counts, and how far off the line it may be.
MOVE_M, MOVED_M, OFF_LINE_M = 0.14, 0.09, 0.06
# Pick: how far it is to be lifted [m].
LIFTED_M = 0.08
# Open and close: how far a drawer is open that is open, and one that is shut [m].
OPEN_M, SHUT_M = 0.11, 0.01
# Push: the share of the pump's travel.
PRESSED_SHARE = 0.8
# What else stands there may be touched, not moved away or thrown over [m, cosine].
DISTURBED_M, UPRIGHT = 0.05, 0.9
# What rests does not move faster [m/s].
_RESTS_M_S = 0.03


# Draws where a robot begins (see Arrangement).
Start = Callable[[np.random.Generator], tuple[Float64Array, float]]


class Look(Protocol):
    """What a rule sees of a scene."""

    def position(self, body: str) -> Float64Array:
        """Return where a body is (3,) [m]."""

    def began(self, body: str) -> Float64Array:
        """Return where it was when the episode began (3,) [m]."""

    def speed(self, body: str) -> float:
        """Return how fast it moves [m/s]."""

    def upright(self, body: str) -> float:
        """Return the cosine of how far its z axis is from where it pointed at the begin."""

    def touched(self, body: str) -> int:
        """Return how many fingers touch it."""

    def moved(self, joint: str) -> float:
        """Return where a joint is [m]."""


@dataclass(frozen=True)
class Task:
    """A task. draw: gives a scene. holds: the rule. hold_s: for how long it has to hold [s]."""

    name: str
    draw: Callable[[np.random.Generator], Arrangement]
    holds: Callable[[Arrangement, Look], bool]
    hold_s: float


def _draw_pick(rng: np.random.Generator, start: Start) -> Arrangement:
    while True:
        kinds, way = draw_kinds(rng, 3)
        things = draw_things(rng, kinds)
        words = words_for(things, way)
        if words is not None:
            text = f'Pick up the {words}'
            return Arrangement(text, things, *start(rng), _tint(rng), target=things[0].body)


def _draw_move(rng: np.random.Generator, start: Start) -> Arrangement:
    while True:
        kinds, way = draw_kinds(rng, 3)
        things = draw_things(rng, kinds)
        words = words_for(things, way)
        side = float(rng.choice([-1.0, 1.0]))
        shift = np.array([0.0, side * MOVE_M, 0.0])
        if words is not None and clear_way(things, shift):
            text = f'Move the {words} to the {"left" if side > 0.0 else "right"}'
            return Arrangement(
                text,
                things,
                *start(rng),
                _tint(rng),
                target=things[0].body,
                shift=shift,
            )


def _draw_drawer(
    rng: np.random.Generator, start: Start, text: str, moved: tuple[float, float]
) -> Arrangement:
    fixture = Fixture(
        CABINET,
        float(rng.uniform(0.70, 0.75)),
        float(rng.uniform(-0.12, 0.12)),
        float(rng.uniform(-0.2, 0.2)),
        float(rng.uniform(*moved)),
    )
    return Arrangement(text, (), *start(rng), _tint(rng), fixture)


def _draw_open(rng: np.random.Generator, start: Start) -> Arrangement:
    return _draw_drawer(rng, start, 'Open the drawer', (0.0, 0.005))


def _draw_close(rng: np.random.Generator, start: Start) -> Arrangement:
    return _draw_drawer(rng, start, 'Close the drawer', (0.09, 0.14))


def _draw_push(rng: np.random.Generator, start: Start) -> Arrangement:
    x, y = float(rng.uniform(0.42, 0.58)), float(rng.uniform(-0.2, 0.2))
    fixture = Fixture(PUMP, x, y, float(rng.uniform(-np.pi, np.pi)))
    kinds, _ = draw_kinds(rng, 2)
    things = draw_things(rng, kinds[1:], taken=[np.array([x, y])])
    return Arrangement('Push the pump down', things, *start(rng), _tint(rng), fixture)


def _tint(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.85, 1.15))


def _picked(scene: Arrangement, look: Look) -> bool:
    lifted = look.position(scene.target)[2] - look.began(scene.target)[2]
    return lifted > LIFTED_M and look.touched(scene.target) == 2 and _others_stand(scene, look)


def _moved(scene: Arrangement, look: Look) -> bool:
    assert scene.shift is not None
    target = scene.target
    way = look.position(target) - look.began(target)
    along = scene.shift / np.linalg.norm(scene.shift)
    done = way @ along
    off = way - done * along
    return bool(
        done > MOVED_M
        and np.linalg.norm(off[:2]) < OFF_LINE_M
        and abs(off[2]) < 0.01
        and look.speed(target) < _RESTS_M_S
        and look.touched(target) == 0
        and _stands(scene.thing(target), look)
        and _others_stand(scene, look)
    )


def _opened(scene: Arrangement, look: Look) -> bool:
    return look.moved(DRAWER_JOINT) > OPEN_M and look.speed(DRAWER) < _RESTS_M_S


def _closed(scene: Arrangement, look: Look) -> bool:
    return look.moved(DRAWER_JOINT) < SHUT_M and look.speed(DRAWER) < _RESTS_M_S


def _pushed(scene: Arrangement, look: Look) -> bool:
    pressed = look.moved(PUMP_JOINT) > PRESSED_SHARE * PUMP_TRAVEL_M
    stands = look.upright(PUMP) > UPRIGHT and _near(PUMP, look)
    return pressed and stands and look.touched(PUMP_HEAD) > 0 and _others_stand(scene, look)


def _others_stand(scene: Arrangement, look: Look) -> bool:
    others = [thing for thing in scene.things if thing.body != scene.target]
    return all(_near(thing.body, look) and _stands(thing, look) for thing in others)


def _near(body: str, look: Look) -> bool:
    way = look.position(body) - look.began(body)
    return bool(np.linalg.norm(way) < DISTURBED_M)


def _stands(thing: Thing, look: Look) -> bool:
    return not thing.stands or look.upright(thing.body) > UPRIGHT


def _tasks(robot: str, start: Start) -> tuple[Task, ...]:
    """Return the tasks of a robot that begins somewhere."""
    return (
        Task(f'{robot}/move', partial(_draw_move, start=start), _moved, 0.3),
        Task(f'{robot}/pick', partial(_draw_pick, start=start), _picked, 0.5),
        Task(f'{robot}/open', partial(_draw_open, start=start), _opened, 0.3),
        Task(f'{robot}/close', partial(_draw_close, start=start), _closed, 0.3),
        Task(f'{robot}/push', partial(_draw_push, start=start), _pushed, 0.1),
    )


TASKS: Mapping[str, Task] = {
    task.name: task for task in (*_tasks('fr3', draw_start), *_tasks('hsr', draw_base))
}
