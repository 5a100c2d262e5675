"""Makes the controller of a fake arm that an output of its contract names."""

from __future__ import annotations

import numpy as np

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
from robomamba_ros.simulation.limit_record import JointRecord
from robomamba_ros.simulation.trajectory_controller import TrajectoryController
from robomamba_ros.types import NANOSECONDS, Float64Array, Pose

# Where an arm without kinematics is at the start: in the middle of its workspace.
_UNTURNED = np.array([0.0, 0.0, 0.0, 1.0])


def made_controller(
    arm: ArmContract,
    output: Output,
    kinematics: Kinematics | None,
    start: Float64Array,
    pose: Pose | None,
    now_ns: int,
    options: Disagreement,
) -> Controller:
    """Return the controller of an output, its joints at rest at `start` (n,), the hand at `pose`.

    now_ns: the time of `start`.
    """
    part, joints = output.part, arm.joints_of(output.part)
    period_s, update_s = arm.period_ns / NANOSECONDS, options.update_ns(arm) / NANOSECONDS
    if output.kind == 'joint_trajectory':
        return TrajectoryController(
            arm.names_of(part),
            start,
            now_ns,
            from_desired=options.interpolate_from_desired_state,
            rules=options.rules,
            period_ns=options.update_ns(arm),
            tolerance=options.path_tolerance_rad,
            record=JointRecord(joints, update_s, start) if joints else None,
        )
    if arm.gripper is not None and part == 'gripper':
        return GripperController(arm.gripper, update_s)
    if output.kind == 'forward_position':
        return PositionController(joints, period_s, start)
    if part == 'base':
        return BaseController(joints, period_s, update_s, start)
    kind = TwistController if output.kind == 'twist' else PoseController
    middle = Pose((arm.workspace.lower + arm.workspace.upper) / 2.0, _UNTURNED)
    return kind(arm, kinematics, pose or middle, update_s)
