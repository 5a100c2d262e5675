"""A robot without hardware or physics: every arm contract, moved by the controllers that it names.

It is where it was commanded to be, one control period later. What it was commanded is kept beside
the contract's limits. Time comes in as an argument; knows nothing about ROS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import Joint, Output
from robomamba_ros.simulation.controllers import (
    BaseController,
    Controller,
    GripperController,
    PoseController,
    PositionController,
    TwistController,
)
from robomamba_ros.simulation.limit_record import JointRecord, Peak
from robomamba_ros.simulation.trajectory_controller import (
    JointTrajectory,
    TrajectoryController,
    TrajectoryPoint,
)
from robomamba_ros.types import NANOSECONDS, Float64Array, Pose

# Where the clock jumps further than this, there is nothing to catch up with: it was set.
_JUMP_NS = 10 * NANOSECONDS
# Where an arm without kinematics is at the start: in the middle of its workspace.
_UNTURNED = np.array([0.0, 0.0, 0.0, 1.0])


class FakeArm:
    """The joints of a contract, at rest at first; `advance` moves them, control period by period.

    kinematics: for the pose of the end effector. An arm that is commanded by poses or twists needs
    it to move its joints; without it only its pose moves. from_desired: see TrajectoryController.

    positions, velocities: where the robot is, by joint, the gripper's included [rad or m, per s].
    trajectories, streams, poses, twists: its controllers by part, as the contract's outputs say.
    """

    def __init__(
        self,
        arm: ArmContract,
        kinematics: Kinematics | None,
        now_ns: int,
        *,
        from_desired: bool = True,
    ) -> None:
        self._arm = arm
        self._kinematics = kinematics
        self._from_desired = from_desired
        self._period_s = arm.period_ns / NANOSECONDS
        self.reset(now_ns)

    def reset(self, now_ns: int) -> None:
        """Put every joint back to rest, and forget commands and peaks."""
        arm = self._arm
        self.now_ns = now_ns
        self._desired = {joint.name: rest_position(joint) for joint in arm.joints}
        if arm.gripper is not None:
            self._desired[arm.gripper.joint] = arm.gripper.open_position
        self.positions = dict(self._desired)
        self.velocities = dict.fromkeys(self._desired, 0.0)
        self._desired_velocities = dict(self.velocities)
        self.trajectories: dict[str, TrajectoryController] = {}
        self.streams: dict[str, PositionController | GripperController] = {}
        self.poses: dict[str, PoseController] = {}
        self.twists: dict[str, TwistController | BaseController] = {}
        self._controllers: dict[str, Controller] = {}
        for output in arm.outputs:
            self._controllers[output.part] = self._controller(output)

    @property
    def pose(self) -> Pose | None:
        """base_T_ee; None where neither kinematics nor a commanded pose gives it."""
        if self._kinematics is not None:
            return self._kinematics.forward(_values(self.positions, self._kinematics.names))
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

    def accept(self, part: str, trajectory: JointTrajectory, now_ns: int) -> None:
        """Follow a trajectory with the joints of a part; raises ActionError where rejected."""
        controller = self.trajectories[part]
        positions, velocities = (
            _values(values, controller.names) for values in (self.positions, self.velocities)
        )
        measured = TrajectoryPoint(self.now_ns, positions, velocities)
        controller.accept(trajectory, now_ns, measured)

    def advance(self, now_ns: int) -> bool:
        """Move by the control periods until now; tell whether there was one.

        Where the clock was set, back or far ahead, every controller holds.
        """
        if not 0 <= now_ns - self.now_ns <= _JUMP_NS:
            self.now_ns = now_ns - self._arm.period_ns
            for controller in self._controllers.values():
                controller.hold(self.now_ns, _values(self._desired, controller.names))
        begun_ns = self.now_ns
        while self.now_ns + self._arm.period_ns <= now_ns:
            self._step()
        return self.now_ns > begun_ns

    def _step(self) -> None:
        self.now_ns += self._arm.period_ns
        # The robot is where it was to be a period ago.
        self.positions, self.velocities = dict(self._desired), dict(self._desired_velocities)
        for controller in self._controllers.values():
            here = _values(self._desired, controller.names)
            there = controller.step(self.now_ns, here)
            speeds = (there - here) / self._period_s
            self._desired.update(zip(controller.names, there.tolist(), strict=True))
            self._desired_velocities.update(zip(controller.names, speeds.tolist(), strict=True))

    def _controller(self, output: Output) -> Controller:
        """Return the controller of an output, after adding it to those of its kind."""
        arm, part, period_s = self._arm, output.part, self._period_s
        joints = arm.joints_of(part)
        names = list(arm.names_of(part))
        start = _values(self._desired, names)
        if output.kind == 'joint_trajectory':
            record = JointRecord(joints, period_s, start) if joints else None
            follower = TrajectoryController(
                names, start, self.now_ns, from_desired=self._from_desired, record=record
            )
            return self.trajectories.setdefault(part, follower)
        if arm.gripper is not None and part == 'gripper':
            return self.streams.setdefault(part, GripperController(arm.gripper, period_s))
        if output.kind == 'forward_position':
            return self.streams.setdefault(part, PositionController(joints, period_s, start))
        if part == 'base':
            return self.twists.setdefault(part, BaseController(joints, period_s, start))
        pose = self.pose or Pose((arm.workspace.lower + arm.workspace.upper) / 2.0, _UNTURNED)
        if output.kind == 'twist':
            return self.twists.setdefault(part, TwistController(arm, self._kinematics, pose))
        return self.poses.setdefault(part, PoseController(arm, self._kinematics, pose))


def rest_position(joint: Joint) -> float:
    """Return where a joint is at rest: where the contract says, else where 0 is or is nearest."""
    if joint.rest is not None:
        return joint.rest
    return float(np.clip(0.0, *joint.position))


def _values(values: Mapping[str, float], names: Sequence[str]) -> Float64Array:
    return np.array([values[name] for name in names], dtype=np.float64)
