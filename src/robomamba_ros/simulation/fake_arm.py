"""A robot without hardware: every arm contract, moved by the controllers that it names.

By default it is where it was commanded to be, one control period later; a Disagreement says how it
is not, and a person may stop it, move it or switch its controllers. What it was commanded and how
it moved is kept beside the contract's limits. Time comes in as an argument.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.errors import ActionError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import Output
from robomamba_ros.simulation.controllers import (
    BaseController,
    Controller,
    GripperController,
    PoseController,
    PositionController,
    TwistController,
)
from robomamba_ros.simulation.disagreement.config import Disagreement
from robomamba_ros.simulation.disagreement.drive import Joints
from robomamba_ros.simulation.disagreement.reports import Reports
from robomamba_ros.simulation.limit_record import JointRecord, Peak
from robomamba_ros.simulation.made_controllers import made_controller
from robomamba_ros.simulation.made_joints import made_joints
from robomamba_ros.simulation.trajectory_controller import (
    JointTrajectory,
    TrajectoryController,
    TrajectoryPoint,
)
from robomamba_ros.types import NANOSECONDS, Float64Array, Pose

# Where the clock jumps further than this, there is nothing to catch up with: it was set.
_JUMP_NS = 10 * NANOSECONDS
# Brakes of a stop are this many times as strong as the contract's accelerations.
_BRAKES = 5.0
STOPS = ('emergency_stop', 'protective_stop')


class FakeArm:
    """The joints of a contract, at rest at first; `advance` moves them, update by update.

    kinematics: for the pose of the end effector. An arm that is commanded by poses or twists needs
    it to move its joints; without it only its pose moves. disagreement: how it is not where it is
    told to be. urdf: of an arm with masses, None for one made up. make_joints: gives its joints at
    each reset, as those of a physical robot; they may be elsewhere than at rest.

    positions, velocities: where the robot is, by joint, the gripper's included [rad or m, per s].
    trajectories, streams, poses, twists: its controllers by part, as the contract's outputs say.
    reports: what it says about its joints. moved: how its joints moved, by part, looked at once a
    control period. stopped: which of STOPS holds it, '' for none. blocked: parts that something
    keeps where they are. speed_scaling: of the trajectories, 0..1.
    """

    def __init__(
        self,
        arm: ArmContract,
        kinematics: Kinematics | None,
        now_ns: int,
        *,
        disagreement: Disagreement | None = None,
        urdf: str | None = None,
        make_joints: Callable[[], Joints] | None = None,
    ) -> None:
        self._arm, self._kinematics = arm, kinematics
        self.disagreement = disagreement or Disagreement()
        self._make_joints = make_joints or partial(made_joints, arm, urdf, self.disagreement)
        self._update_ns = self.disagreement.update_ns(arm)
        hand = arm.names_of('gripper')
        self._names = [*(joint.name for joint in arm.joints), *hand]
        strong = [_BRAKES * joint.acceleration for joint in arm.joints]
        self._braking = np.array(strong + [np.inf] * len(hand))
        self.reset(now_ns)

    def reset(self, now_ns: int) -> None:
        """Put every joint back to rest, and forget commands, peaks and what happened to the arm."""
        arm, names = self._arm, self._names
        self.now_ns = now_ns
        self._joints = self._make_joints()
        start = self._joints.positions
        self._desired, self._speeds = start, np.zeros(len(names))
        self.stopped = ''
        self.blocked: set[str] = set()
        self.speed_scaling = self.disagreement.speed_scaling
        self._hand: Iterator[Float64Array] = iter(())
        self._inactive: set[str] = set()
        turning = [not np.isfinite(joint.position).any() for joint in arm.joints]
        endless = np.array(turning + [False] * (len(names) - len(turning)))
        self.reports = Reports(self.disagreement, names, endless, arm.period_ns, now_ns)
        self._controllers = {output.part: self._controller(output) for output in arm.outputs}
        self._columns = {
            part: self._columns_of(controller.names)
            for part, controller in self._controllers.items()
        }
        each = self._controllers.items()
        self.trajectories = {k: c for k, c in each if isinstance(c, TrajectoryController)}
        self.streams = {
            k: c for k, c in each if isinstance(c, (PositionController, GripperController))
        }
        self.poses = {k: c for k, c in each if isinstance(c, PoseController)}
        self.twists = {k: c for k, c in each if isinstance(c, (TwistController, BaseController))}
        self._own = {
            part: self._columns_of(arm.names_of(part))
            for part in self._controllers
            if arm.joints_of(part)
        }
        self.moved = {
            part: JointRecord(arm.joints_of(part), arm.period_ns / NANOSECONDS, start[columns])
            for part, columns in self._own.items()
        }
        self._looked_ns = now_ns

    @property
    def positions(self) -> dict[str, float]:
        """Where each joint is [rad or m]."""
        return dict(zip(self._names, self._joints.positions.tolist(), strict=True))

    @property
    def velocities(self) -> dict[str, float]:
        """How fast each joint moves [rad/s or m/s]."""
        return dict(zip(self._names, self._joints.velocities.tolist(), strict=True))

    @property
    def pose(self) -> Pose | None:
        """base_T_ee; None where neither kinematics nor a commanded pose gives it."""
        return self.pose_at(self.positions)

    def pose_at(self, positions: Mapping[str, float]) -> Pose | None:
        """Return base_T_ee at positions by joint; without kinematics the commanded one, or None."""
        if self._kinematics is not None:
            names = self._kinematics.names
            return self._kinematics.forward(np.array([positions[name] for name in names]))
        controller = self._controllers.get('arm')
        return controller.pose if isinstance(controller, PoseController) else None

    @property
    def peaks(self) -> dict[str, dict[str, Peak]]:
        """What each part was commanded, by part and quantity, since the last reset."""
        return {
            part: dict(controller.record.peaks)
            for part, controller in self._controllers.items()
            if controller.record is not None
        }

    @property
    def scaling(self) -> float:
        """What of a second passes in trajectories in one; none while a protective stop holds."""
        return 0.0 if self.stopped == 'protective_stop' else self.speed_scaling

    def forget_peaks(self) -> None:
        """Begin anew to look at what is commanded and how the joints move."""
        for controller in self._controllers.values():
            if controller.record is not None:
                controller.record.clear()
        for record in self.moved.values():
            record.clear()

    def accept(self, part: str, trajectory: JointTrajectory, now_ns: int) -> None:
        """Follow a trajectory with the joints of a part; raises ActionError where rejected."""
        self.check_active(part)
        self.trajectories[part].accept(trajectory, now_ns, self._measured(part))

    def check_active(self, part: str) -> None:
        """Raise ActionError where the controller of a part takes no commands."""
        if part in self._inactive:
            raise ActionError(f'the controller of the part {part} is not active')

    def stop(self, kind: str) -> None:
        """Close the brakes, as `kind` of STOPS says, until `release`."""
        self.stopped = kind
        if kind == 'emergency_stop' and self.disagreement.stop_deactivates:
            self.deactivate()

    def release(self) -> None:
        """Open the brakes; controllers that the stop deactivated begin where the arm is."""
        kind, self.stopped = self.stopped, ''
        if kind == 'emergency_stop' and self.disagreement.stop_deactivates:
            self.activate()

    def deactivate(self, *parts: str) -> None:
        """Switch off the controllers of parts, or all: the joints hold and commands are refused."""
        self._inactive.update(parts or self._controllers)

    def activate(self, *parts: str) -> None:
        """Switch on controllers that are off: each begins where its joints are measured."""
        for part in sorted(self._inactive.intersection(parts or self._controllers)):
            self._inactive.remove(part)
            self._start(part)

    def move_by_hand(self, way: Mapping[str, float], seconds: float) -> None:
        """Move joints by a way each [rad or m] in some seconds, whatever their drives do.

        Drives whose controllers are active bring them back afterwards.
        """
        count = max(round(seconds * NANOSECONDS / self._update_ns), 1)
        whole = np.array([way.get(name, 0.0) for name in self._names])
        # From rest to rest.
        shares = np.diff((1.0 - np.cos(np.pi * np.arange(count + 1) / count)) / 2.0)
        self._hand = iter(shares[:, None] * whole)

    def advance(self, now_ns: int) -> bool:
        """Move by the updates until now; tell whether there was one.

        Where the clock was set, back or far ahead, every controller holds.
        """
        if not 0 <= now_ns - self.now_ns <= _JUMP_NS:
            self.now_ns = now_ns - self._update_ns
            self._looked_ns = now_ns - self._arm.period_ns
            self.reports.restart(now_ns)
            for part, controller in self._controllers.items():
                controller.hold(self.now_ns, self._desired[self._columns[part]])
        begun_ns = self.now_ns
        while self.now_ns + self._update_ns <= now_ns:
            self._update()
        return self.now_ns > begun_ns

    def _update(self) -> None:
        self.now_ns += self._update_ns
        seconds = self._update_ns / NANOSECONDS
        self._move(seconds)
        joints = self._joints
        self.reports.take(self.now_ns, joints.positions, joints.velocities)
        if self.now_ns - self._looked_ns >= self._arm.period_ns:
            self._looked_ns += self._arm.period_ns
            for part, record in self.moved.items():
                record.add(joints.positions[self._own[part]])
        # What was handed on is not written to.
        self._desired, self._speeds = self._desired.copy(), np.zeros(len(self._names))
        for part, controller in self._controllers.items():
            columns = self._columns[part]
            measured = joints.positions[columns]
            if part in self._inactive:
                self._desired[columns] = measured
                continue
            if isinstance(controller, TrajectoryController):
                controller.observe(self._measured(part))
                controller.scaling = self.scaling
            # Wheels have no position to go to: they turn from where they are.
            here = measured if isinstance(controller, BaseController) else self._desired[columns]
            there = controller.step(self.now_ns, here)
            self._desired[columns], self._speeds[columns] = there, (there - here) / seconds

    def _move(self, seconds: float) -> None:
        """Move the joints to the end of an update, as they were commanded at its begin or not."""
        joints = self._joints
        by_hand = next(self._hand, None)
        if by_hand is not None:
            joints.put(joints.positions + by_hand, seconds)
        elif self.stopped:
            change = self._braking * seconds
            speeds = joints.velocities - np.clip(joints.velocities, -change, change)
            joints.put(joints.positions + speeds * seconds, seconds)
        else:
            joints.step(self._desired, self._speeds, seconds, self._blocked())

    def _blocked(self) -> NDArray[np.bool_] | None:
        if not self.blocked:
            return None
        stuck = (self._arm.names_of(part) for part in self.blocked)
        return np.isin(self._names, list(itertools.chain(*stuck)))

    def _start(self, part: str) -> None:
        columns = self._columns[part]
        self._desired[columns] = self._joints.positions[columns]
        self._controllers[part].hold(self.now_ns, self._desired[columns])

    def _measured(self, part: str) -> TrajectoryPoint:
        columns, joints = self._columns[part], self._joints
        return TrajectoryPoint(self.now_ns, joints.positions[columns], joints.velocities[columns])

    def _columns_of(self, names: Sequence[str]) -> NDArray[np.int_]:
        return np.array([self._names.index(name) for name in names], dtype=int)

    def _controller(self, output: Output) -> Controller:
        names = self._arm.names_of(output.part)
        return made_controller(
            self._arm,
            output,
            self._kinematics,
            self._desired[self._columns_of(names)],
            None if self._kinematics is None else self.pose,
            self.now_ns,
            self.disagreement,
        )
