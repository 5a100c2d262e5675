"""A second commander of a fake arm, through the controller that we command too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.joint_trajectory import JointTrajectory, TrajectoryPoint
from robomamba_ros.spatial.transforms import move_in_base
from robomamba_ros.types import NANOSECONDS


def command_elsewhere(
    fake: FakeArm, arm: ArmContract, way: Mapping[str, float], seconds: float
) -> None:
    """Send the arm by a way of each joint [rad or m]: a trajectory that takes some seconds.

    Controllers of positions get where that ends, once. Those of poses are sent up by 0.1 m, those
    of twists with 0.1 m/s. Raises ActionError where the controller takes no commands.
    """
    fake.check_active('arm')
    names = arm.names_of('arm')
    here = np.array([fake.positions[name] for name in names])
    there = here + [way.get(name, 0.0) for name in names]
    if 'arm' in fake.trajectories:
        still = np.zeros(len(names))
        end = TrajectoryPoint(round(seconds * NANOSECONDS), there, still, still)
        fake.accept('arm', JointTrajectory(0, names, (end,)), fake.now_ns)
    elif 'arm' in fake.streams:
        fake.streams['arm'].command(there)
    elif 'arm' in fake.poses:
        up = np.array([0.0, 0.0, 0.1])
        controller = fake.poses['arm']
        controller.command(move_in_base(controller.pose, up, np.zeros(3)))
    elif 'arm' in fake.twists:
        fake.twists['arm'].drive(np.array([0.0, 0.0, 0.1]), np.zeros(3), fake.now_ns)
