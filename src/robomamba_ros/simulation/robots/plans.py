"""How experts do the tasks at a table: from waypoint to waypoint, by the scene's true places."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from robomamba_ros.simulation.robots.furniture import (
    BAR_HALF_M,
    CABINET,
    DRAWER_JOINT,
    PUMP_TRAVEL_M,
)
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.simulation.robots.tasks import LIFTED_M
from robomamba_ros.simulation.robots.things import KINDS
from robomamba_ros.types import Float64Array, Pose

# How fast the hand goes, and how slowly where it is near what it touches [m/s].
SPEED, _CAREFUL = 0.16, 0.08
# From over a thing, or before a handle [m].
_OVER_M, _BEFORE_M = 0.12, 0.05
# Fingers close and open within this time [s].
_GRIP_S = 0.8


@dataclass(frozen=True)
class Waypoint:
    """Where the hand goes: straight, with its fingers so far open; then it waits there.

    wait_s: at least [s]. speed: at most [m/s]. exact: whether the hand is to be there and not only
    told to, as where nothing is in its way.
    """

    pose: Pose
    opening: float
    wait_s: float = 0.0
    speed: float = SPEED
    exact: bool = False


def _grasp(sim: TableSim) -> tuple[list[Waypoint], Pose]:
    """Return how the hand grips what the task is about, and where it is then."""
    scene = sim.scene
    thing = scene.thing(scene.target)
    place = sim.look.position(thing.body)
    turn = thing.yaw if thing.kind in ('box', 'lemon') else 0.0
    at = np.array([place[0], place[1], thing.grip_height])
    hand = sim.robot.hand
    grip = hand.gripping(at, turn, KINDS[thing.kind].radius)
    over = _raised(grip, _OVER_M)
    ways = [
        Waypoint(over, hand.opening, wait_s=0.3, exact=True),
        Waypoint(grip, hand.opening, wait_s=0.3, speed=_CAREFUL * 1.5, exact=True),
        Waypoint(grip, 0.0, wait_s=_GRIP_S),
    ]
    return ways, grip


def _raised(pose: Pose, height: float) -> Pose:
    return Pose(pose.position + np.array([0.0, 0.0, height]), pose.quaternion)


def _pick(sim: TableSim) -> list[Waypoint]:
    ways, grip = _grasp(sim)
    return [*ways, Waypoint(_raised(grip, LIFTED_M + 0.07), 0.0, speed=0.15, wait_s=2.0)]


def _move(sim: TableSim) -> list[Waypoint]:
    ways, grip = _grasp(sim)
    shift = sim.scene.shift
    assert shift is not None
    up = _raised(grip, 0.04)
    beside = Pose(up.position + shift, up.quaternion)
    down = _raised(beside, -0.038)
    return [
        *ways,
        Waypoint(up, 0.0, speed=_CAREFUL),
        Waypoint(beside, 0.0, speed=0.12),
        Waypoint(down, 0.0, wait_s=0.2, speed=_CAREFUL),
        Waypoint(down, sim.robot.hand.opening, wait_s=0.6),
        Waypoint(_raised(down, _OVER_M), sim.robot.hand.opening, wait_s=1.0),
    ]


def _handle(sim: TableSim) -> tuple[Float64Array, Float64Array, float]:
    """Return the middle of the drawer's handle, the way out, and a turn that grips it."""
    fixture = sim.scene.fixture
    assert fixture is not None
    assert fixture.kind == CABINET
    here = fixture.handle(sim.look.moved(DRAWER_JOINT))
    return here, fixture.out, fixture.yaw + math.pi / 2.0


def _open(sim: TableSim) -> list[Waypoint]:
    handle, out, turn = _handle(sim)
    hand = sim.robot.hand
    grip = hand.gripping(handle, turn, BAR_HALF_M)
    pulled = hand.gripping(handle + 0.13 * out, turn, BAR_HALF_M)
    return [
        Waypoint(_raised(grip, _OVER_M), hand.opening, wait_s=0.3, exact=True),
        Waypoint(grip, hand.opening, wait_s=0.3, speed=_CAREFUL * 1.5, exact=True),
        Waypoint(grip, 0.0, wait_s=_GRIP_S),
        Waypoint(pulled, 0.0, speed=_CAREFUL, wait_s=0.5),
        Waypoint(pulled, hand.opening, wait_s=0.5),
        Waypoint(_raised(pulled, _OVER_M), hand.opening, wait_s=1.0),
    ]


def _close(sim: TableSim) -> list[Waypoint]:
    handle, out, turn = _handle(sim)
    moved = sim.look.moved(DRAWER_JOINT)

    def at(point: Float64Array) -> Pose:
        return sim.robot.hand.gripping(point, turn, BAR_HALF_M)

    before = at(handle + (_BEFORE_M + 0.01) * out)
    shut = at(handle - (moved - 0.022) * out)
    return [
        Waypoint(_raised(before, _OVER_M), 0.0, wait_s=0.3, exact=True),
        Waypoint(before, 0.0, wait_s=0.3, speed=_CAREFUL * 1.5, exact=True),
        Waypoint(shut, 0.0, speed=_CAREFUL, wait_s=1.0),
    ]


def _push(sim: TableSim) -> list[Waypoint]:
    fixture = sim.scene.fixture
    assert fixture is not None
    hand = sim.robot.hand
    top = hand.gripping(fixture.handle(0.0), 0.0, BAR_HALF_M)
    over = _raised(top, 0.08)
    # What reaches it are the tips of the fingers; a spring pushes back.
    pressed = _raised(top, hand.closed_tips - PUMP_TRAVEL_M - 0.008)
    return [
        Waypoint(over, 0.0, wait_s=0.3, exact=True),
        Waypoint(pressed, 0.0, speed=_CAREFUL, wait_s=0.5),
        Waypoint(over, 0.0),
    ]


_PLANS: Mapping[str, Callable[[TableSim], list[Waypoint]]] = {
    'move': _move,
    'pick': _pick,
    'open': _open,
    'close': _close,
    'push': _push,
}


def plan(sim: TableSim) -> list[Waypoint]:
    """Return the waypoints of the episode that a simulation is at."""
    return _PLANS[sim.task.partition('/')[2]](sim)
