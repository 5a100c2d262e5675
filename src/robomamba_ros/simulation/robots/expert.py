"""Scripted experts at a table: they see the scene's true places, and act as a policy does.

An expert gives chunks of end-effector displacements and openings, and goes from waypoint to
waypoint. So what it shows goes through the same controls, limits and motors as what a policy does
later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.simulation.robots.franka import ARM_JOINTS
from robomamba_ros.simulation.robots.furniture import CABINET, DRAWER_JOINT, PUMP_TRAVEL_M
from robomamba_ros.simulation.robots.scene import pointing_down
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.simulation.robots.tasks import LIFTED_M
from robomamba_ros.spatial.transforms import interpolate, turn_between
from robomamba_ros.types import (
    EE_DELTA_NAMES,
    EE_POSE_NAMES,
    GRIPPER_NAME,
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    Float64Array,
    Observation,
    Pose,
)

DT_NS = NANOSECONDS // 10
HORIZON = 8
# What it is shown as a state, and a policy that learns from it.
STATE_NAMES = (*EE_POSE_NAMES[:3], GRIPPER_NAME, *ARM_JOINTS)
ACTION_NAMES = (*EE_DELTA_NAMES, GRIPPER_NAME)
_DT_S = DT_NS / NANOSECONDS
# How fast the hand goes and turns, and how fast it gets faster [m/s, rad/s, m/s^2].
_SPEED, _TURN_SPEED, _ACCELERATION = 0.16, 0.4, 0.5
# How slowly it goes where it is near what it touches [m/s].
_CAREFUL = 0.08
# From over a thing, or before a handle [m].
_OVER_M, _BEFORE_M = 0.12, 0.05
# A waypoint is reached where the command is there [m, rad].
_THERE_M, _THERE_RAD = 1e-4, 1e-3
# The hand has followed after this time [s]; where it misses by more [m], it is told so, some times.
_FOLLOWED_S, _MISS_M, _CORRECTIONS = 0.3, 0.002, 4
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
    speed: float = _SPEED
    exact: bool = False


@dataclass(frozen=True)
class _Progress:
    """How far the expert is: the pose it commanded last, its speed [m/s], and what is to come."""

    pose: Pose
    speed: float
    index: int
    waited_s: float
    corrections: int = _CORRECTIONS


class Expert:
    """Does the task of a simulation's episode; `reset` plans it anew."""

    def __init__(self, sim: TableSim) -> None:
        self._sim = sim
        self._plan: list[Waypoint] = []
        self._progress: _Progress | None = None

    @property
    def spec(self) -> PolicySpec:
        """What it gives; it needs no image."""
        return PolicySpec(
            name='expert',
            cameras=(),
            state_names=STATE_NAMES,
            action_space=ActionSpace.EE_DELTA,
            action_names=ACTION_NAMES,
            horizon=HORIZON,
            dt_ns=DT_NS,
            execute_steps=1,
        )

    def reset(self) -> None:
        """Plan the episode that the simulation is at."""
        state = self._sim.state(0)
        self._plan = _PLANS[self._sim.task](self._sim)
        self._progress = _Progress(state.pose, 0.0, 0, 0.0)

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the next actions; the first one is taken for done."""
        assert self._progress is not None
        self._correct()
        progress, actions = self._progress, []
        for number in range(HORIZON):
            before = progress
            progress = self._next(progress)
            way = progress.pose.position - before.pose.position
            turn = turn_between(before.pose, progress.pose)
            actions.append([*way, *turn, self._waypoint(before).opening])
            if number == 0:
                self._progress = progress
        return ActionChunk(
            stamp_ns=observation.stamp_ns,
            dt_ns=DT_NS,
            actions=np.array(actions, dtype=np.float32),
            space=ActionSpace.EE_DELTA,
            names=ACTION_NAMES,
        )

    def _correct(self) -> None:
        """Begin from where the hand is, where it did not get to a waypoint that it was told to.

        Displacements add up to where the controls let the hand go.
        """
        progress = self._progress
        assert progress is not None
        goal = self._waypoint(progress)
        if not goal.exact or progress.waited_s < _FOLLOWED_S - 1e-9 or progress.corrections < 1:
            return
        here = self._sim.state(0).pose
        if np.linalg.norm(here.position - goal.pose.position) > _MISS_M:
            left = progress.corrections - 1
            self._progress = replace(progress, pose=here, waited_s=0.0, corrections=left)

    def _waypoint(self, progress: _Progress) -> Waypoint:
        return self._plan[min(progress.index, len(self._plan) - 1)]

    def _next(self, progress: _Progress) -> _Progress:
        """Return the progress one step on."""
        goal = self._waypoint(progress)
        way = goal.pose.position - progress.pose.position
        distance = float(np.linalg.norm(way))
        turn = float(np.linalg.norm(turn_between(progress.pose, goal.pose)))
        if distance < _THERE_M and turn < _THERE_RAD:
            if progress.waited_s >= goal.wait_s - 1e-9:
                return _Progress(progress.pose, 0.0, progress.index + 1, 0.0)
            return replace(progress, speed=0.0, waited_s=progress.waited_s + _DT_S)
        # As fast as it can still stop.
        braking = math.sqrt(2.0 * _ACCELERATION * distance)
        speed = min(goal.speed, progress.speed + _ACCELERATION * _DT_S, max(braking, 0.01))
        share = min(1.0, speed * _DT_S / distance) if distance > _THERE_M else 1.0
        share = min(share, _TURN_SPEED * _DT_S / turn) if turn > _THERE_RAD else share
        pose = interpolate(progress.pose, goal.pose, share)
        return replace(progress, pose=pose, speed=speed if distance > _THERE_M else 0.0)


def _grasp(sim: TableSim) -> tuple[list[Waypoint], Pose]:
    """Return how the hand grips what the task is about, and where it is then."""
    scene = sim.scene
    thing = scene.thing(scene.target)
    place = sim.look.position(thing.body)
    turn = thing.yaw if thing.kind in ('box', 'lemon') else 0.0
    at = np.array([place[0], place[1], thing.grip_height])
    grip = pointing_down(at, turn)
    over = _raised(grip, _OVER_M)
    ways = [
        Waypoint(over, 1.0, wait_s=0.3, exact=True),
        Waypoint(grip, 1.0, wait_s=0.3, speed=_CAREFUL * 1.5, exact=True),
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
        Waypoint(down, 1.0, wait_s=0.6),
        Waypoint(_raised(down, _OVER_M), 1.0, wait_s=1.0),
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
    grip = pointing_down(handle, turn)
    pulled = pointing_down(handle + 0.13 * out, turn)
    return [
        Waypoint(_raised(grip, _OVER_M), 1.0, wait_s=0.3, exact=True),
        Waypoint(grip, 1.0, wait_s=0.3, speed=_CAREFUL * 1.5, exact=True),
        Waypoint(grip, 0.0, wait_s=_GRIP_S),
        Waypoint(pulled, 0.0, speed=_CAREFUL, wait_s=0.5),
        Waypoint(pulled, 1.0, wait_s=0.5),
        Waypoint(_raised(pulled, _OVER_M), 1.0, wait_s=1.0),
    ]


def _close(sim: TableSim) -> list[Waypoint]:
    handle, out, turn = _handle(sim)
    moved = sim.look.moved(DRAWER_JOINT)
    before = pointing_down(handle + (_BEFORE_M + 0.01) * out, turn)
    shut = pointing_down(handle - (moved - 0.022) * out, turn)
    return [
        Waypoint(_raised(before, _OVER_M), 0.0, wait_s=0.3, exact=True),
        Waypoint(before, 0.0, wait_s=0.3, speed=_CAREFUL * 1.5, exact=True),
        Waypoint(shut, 0.0, speed=_CAREFUL, wait_s=1.0),
    ]


def _push(sim: TableSim) -> list[Waypoint]:
    fixture = sim.scene.fixture
    assert fixture is not None
    top = pointing_down(fixture.handle(0.0), 0.0)
    over = _raised(top, 0.08)
    # The tips of the fingers are 9 mm before the middle of the pads; a spring pushes back.
    pressed = _raised(top, 0.009 - PUMP_TRAVEL_M - 0.008)
    return [
        Waypoint(over, 0.0, wait_s=0.3, exact=True),
        Waypoint(pressed, 0.0, speed=_CAREFUL, wait_s=0.5),
        Waypoint(over, 0.0),
    ]


_PLANS: Mapping[str, Callable[[TableSim], list[Waypoint]]] = {
    'fr3/move': _move,
    'fr3/pick': _pick,
    'fr3/open': _open,
    'fr3/close': _close,
    'fr3/push': _push,
}
