"""Scripted experts at a table: they see the scene's true places, and act as a policy does.

An expert gives chunks of end-effector displacements and openings, and goes from waypoint to
waypoint. So what it shows goes through the same controls, limits and motors as what a policy does
later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.simulation.robots.plans import Waypoint, plan
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.spatial.transforms import interpolate, turn_between
from robomamba_ros.types import NANOSECONDS, ActionChunk, Observation, Pose

DT_NS = NANOSECONDS // 10
HORIZON = 8
DT_S = DT_NS / NANOSECONDS
# How fast the hand turns, and how fast it gets faster [rad/s, m/s^2].
TURN_SPEED, _ACCELERATION = 0.4, 0.5
# A waypoint is reached where the command is there [m, rad].
_THERE_M, _THERE_RAD = 1e-4, 1e-3
# The hand has followed after this time [s]; where it misses by more [m], it is told so, some times.
_FOLLOWED_S, _MISS_M, _CORRECTIONS = 0.3, 0.002, 4


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
            state_names=self._sim.robot.state_names,
            action_space=self._sim.robot.actions,
            action_names=self._sim.robot.action_names,
            horizon=HORIZON,
            dt_ns=DT_NS,
            execute_steps=1,
        )

    def reset(self) -> None:
        """Plan the episode that the simulation is at."""
        state = self._sim.state(0)
        self._plan = plan(self._sim)
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
            space=self._sim.robot.actions,
            names=self._sim.robot.action_names,
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
            return replace(progress, speed=0.0, waited_s=progress.waited_s + DT_S)
        # As fast as it can still stop.
        braking = math.sqrt(2.0 * _ACCELERATION * distance)
        speed = min(goal.speed, progress.speed + _ACCELERATION * DT_S, max(braking, 0.01))
        share = min(1.0, speed * DT_S / distance) if distance > _THERE_M else 1.0
        share = min(share, TURN_SPEED * DT_S / turn) if turn > _THERE_RAD else share
        pose = interpolate(progress.pose, goal.pose, share)
        return replace(progress, pose=pose, speed=speed if distance > _THERE_M else 0.0)
