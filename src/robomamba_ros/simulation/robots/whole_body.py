"""The expert of a robot on a base: it moves all joints at once so that its hand goes its way.

It looks where the hand is in every step, and where its goal is as seen from the robot: wheels slip,
so what the odometry says of a place is not true for long.
"""

from __future__ import annotations

import math

import numpy as np

from robomamba_ros.simulation.robots.expert import DT_NS, DT_S, HORIZON, TURN_SPEED, Expert
from robomamba_ros.simulation.robots.hsr import BASE_JOINTS
from robomamba_ros.simulation.robots.plans import Waypoint, plan
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.spatial.transforms import interpolate, turn_between
from robomamba_ros.types import (
    ActionChunk,
    ActionSpace,
    Float64Array,
    Observation,
    Pose,
)

# How fast the hand goes at most [m/s], below what the base can do in every direction, and how fast
# it gets faster [m/s^2].
_SPEED, _ACCELERATION = 0.15, 0.1
# The share of what is left of a way that it goes in a second: with the 0.25 s until it is measured
# the product stays below 1, where it does not overshoot.
_GAIN = 3.0
# A waypoint is reached this near to it [m, rad]: one that the hand is to be at, and others.
_EXACT, _NEAR = (0.004, 0.04), (0.012, 0.1)
# Where something is in its way, the hand does not come nearer than this [m] within this time [s].
_NEARER_M, _STUCK_S = 0.001, 1.0
# The head turns to what the task is about, this fast [rad/s]; its camera is so high over its joint
# [m], which lies where the URDF has torso_lift_joint.
_HEAD_SPEED, _CAMERA_M, _TORSO_M = 0.4, 0.215, 0.752


class WholeBodyExpert(Expert):
    """Does the task of a simulation's episode by displacements of all joints."""

    def __init__(self, sim: TableSim) -> None:
        super().__init__(sim)
        self._index = 0
        self._speed = self._waited_s = self._stuck_s = 0.0
        self._nearest_m = math.inf

    def reset(self) -> None:
        """Plan the episode that the simulation is at."""
        self._plan = plan(self._sim)
        self._index, self._speed = -1, 0.0
        self._go_on()

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the next actions, from where the robot is measured."""
        sim = self._sim
        self._arrive()
        goal = self._plan[self._index]
        there = sim.as_seen(goal.pose)
        state, kinematics = sim.state(0), sim.kinematics
        joints = np.array([state.joints[name] for name in sim.robot.joint_names])
        chain = [sim.robot.joint_names.index(name) for name in kinematics.names]
        pose, speed = state.pose, self._speed
        actions = []
        for number in range(HORIZON):
            wanted, speed = _step(pose, there, speed, goal)
            after = joints.copy()
            after[chain] = kinematics.toward(joints[chain], wanted, DT_S)
            self._turn_head(after)
            actions.append([*(after - joints), goal.opening])
            joints, pose = after, kinematics.forward(after[chain])
            if number == 0:
                self._speed = speed
        return ActionChunk(
            stamp_ns=observation.stamp_ns,
            dt_ns=DT_NS,
            actions=np.array(actions, dtype=np.float32),
            space=sim.robot.actions,
            names=sim.robot.action_names,
        )

    def _go_on(self) -> None:
        self._index = min(self._index + 1, len(self._plan) - 1)
        self._waited_s = self._stuck_s = 0.0
        self._nearest_m = math.inf

    def _arrive(self) -> None:
        """Go on to the next waypoint where this one is reached, and was waited at."""
        goal, here = self._plan[self._index], self._sim.state(0).pose
        there = self._sim.as_seen(goal.pose)
        distance = float(np.linalg.norm(there.position - here.position))
        turn = float(np.linalg.norm(turn_between(here, there)))
        if distance < self._nearest_m - _NEARER_M:
            self._nearest_m, self._stuck_s = distance, 0.0
        else:
            self._stuck_s += DT_S
        near_m, near_rad = _EXACT if goal.exact else _NEAR
        stuck = not goal.exact and self._stuck_s >= _STUCK_S
        if (distance < near_m and turn < near_rad) or self._waited_s > 0.0 or stuck:
            self._waited_s += DT_S
            if self._waited_s > goal.wait_s + 1e-9:
                self._go_on()

    def _turn_head(self, joints: Float64Array) -> None:
        """Turn the head of joints (n,) nearer to what the task is about."""
        sim = self._sim
        fixture = sim.scene.fixture
        # A fixture's body has the name of its kind.
        body = sim.scene.target if fixture is None else fixture.kind
        names = sim.robot.joint_names
        x, y, heading, lift = (joints[names.index(n)] for n in (*BASE_JOINTS, 'arm_lift_joint'))
        upright = np.array([0.0, 0.0, 0.0, 1.0])
        place = sim.as_seen(Pose(sim.look.position(body), upright)).position
        ahead = math.hypot(place[0] - x, place[1] - y)
        pan = math.remainder(math.atan2(place[1] - y, place[0] - x) - heading, math.tau)
        tilt = -math.atan2(_TORSO_M + 0.5 * lift + _CAMERA_M - place[2], ahead)
        for name, wanted in (('head_pan_joint', pan), ('head_tilt_joint', tilt)):
            column = names.index(name)
            most = _HEAD_SPEED * DT_S
            joints[column] += float(np.clip(wanted - joints[column], -most, most))


def expert_for(sim: TableSim) -> Expert:
    """Return the expert of the robot of a simulation."""
    return WholeBodyExpert(sim) if sim.robot.actions is ActionSpace.JOINT_DELTA else Expert(sim)


def _step(here: Pose, there: Pose, speed: float, goal: Waypoint) -> tuple[Pose, float]:
    """Return where the hand is to be one step on, and how fast it goes then [m/s]."""
    distance = float(np.linalg.norm(there.position - here.position))
    turn = float(np.linalg.norm(turn_between(here, there)))
    braking = min(math.sqrt(2.0 * _ACCELERATION * distance), _GAIN * distance)
    speed = min(goal.speed, _SPEED, speed + _ACCELERATION * DT_S, braking)
    share = speed * DT_S / distance if distance > 1e-6 else 1.0
    if turn > 1e-6:
        share = min(share, min(TURN_SPEED, _GAIN * turn) * DT_S / turn)
    return interpolate(here, there, min(share, 1.0)), speed
