"""Makes what moves the joints of a fake arm: drives, or an arm with masses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Joint
from robomamba_ros.simulation.disagreement.config import Disagreement
from robomamba_ros.simulation.disagreement.drive import Drive, Joints
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.simulation.physical_arm import SERVO_LAG_S, PhysicalArm
from robomamba_ros.types import Float64Array


def made_joints(arm: ArmContract, urdf: str | None, options: Disagreement) -> Joints:
    """Return the contract's joints and the gripper's, at rest and open.

    urdf: for an arm with masses; None for one made up. Raises BackendError where MuJoCo is needed
    and missing.
    """
    start = rest_positions(arm)
    base = arm.output('base')
    wheels = arm.names_of('base') if base is not None and base.kind == 'twist' else ()
    names = [*(joint.name for joint in arm.joints), *arm.names_of('gripper')]
    by_velocity = np.isin(names, wheels)
    flaws = options.flaws(arm.joints, others=len(names) - len(arm.joints))
    if options.physics == 'none':
        return Drive(start, flaws, by_velocity)
    drive = Drive(start, replace(flaws, lag_s=0.0), by_velocity)
    return PhysicalArm(
        arm.joints,
        made_up_urdf(arm) if urdf is None else urdf,
        arm.ee_frame,
        start,
        drive,
        by_velocity,
        lag_s=options.lag_s or SERVO_LAG_S,
        load_n=options.load_n,
    )


def rest_positions(arm: ArmContract) -> Float64Array:
    """Return where the contract's joints are at rest, and the gripper's open (n,)."""
    hand = [] if arm.gripper is None else [arm.gripper.open_position]
    return np.array([*(rest_position(joint) for joint in arm.joints), *hand])


def rest_position(joint: Joint) -> float:
    """Return where a joint is at rest: where the contract says, else where 0 is or is nearest."""
    if joint.rest is not None:
        return joint.rest
    return float(np.clip(0.0, *joint.position))
