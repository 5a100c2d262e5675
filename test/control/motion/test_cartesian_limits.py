"""The Cartesian limits of shipped contracts are such that the arm's joints can follow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from support.real_robots import real_urdf

from robomamba_ros.common.resources import share_directory
from robomamba_ros.control.motion.joint_motion import JointMotion
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.made_joints import rest_position
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.spatial.transforms import move_in_base, rotation_matrix

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

# Those whose end effector the controller moves by joints.
ARMS = sorted(
    path.stem
    for path in (share_directory() / 'config' / 'arms').glob('*.yaml')
    if load_arm(path.stem).output('arm').kind in ('joint_trajectory', 'forward_position')
)
# A UR5 has the joints and frames of a UR5e, a Panda the dimensions of an FR3.
REAL = {
    'franka_fr3': 'panda.urdf',
    'franka_panda': 'panda.urdf',
    'ur5e': 'ur5_robot.urdf',
    'so101': 'so101.urdf',
}
# A joint must have limits in a URDF.
WIDE = '<limit lower="-10" upper="10" velocity="100" effort="1000"/>'


def urdf_of(name: str) -> str:
    text = real_urdf(REAL[name]).read_text()
    if name == 'franka_fr3':
        # Its own limits are those of the contract.
        text = re.sub(r'<limit[^>]*/>', WIDE, text.replace('panda_', 'fr3_'))
    return text


def targets(arm, home, joints):
    """Yield straight ways and turns that are long enough for full speed, within the workspace."""
    axes = np.vstack([np.eye(3), -np.eye(3)])
    way, turn = (0.1, 0.5) if joints > 5 else (0.06, 0.4)
    for axis in axes:
        there = arm.workspace.clip(home.position + way * axis)
        yield move_in_base(home, there - home.position, np.zeros(3))
    if joints <= 5:
        # With five joints it nods and rolls.
        roll = rotation_matrix(home.quaternion)[:, 2]
        axes = np.array([[0, 1, 0], [0, -1, 0], roll, -roll])
    for axis in axes:
        yield move_in_base(home, np.zeros(3), turn * axis)


def fastest(motion) -> float:
    """Return the speed of the fastest joint [rad/s]."""
    return max(abs(speed) for speed in motion.setpoint(0, 0.0).joint_velocities.values())


def troubles(arm, urdf: str) -> Iterator[str]:
    """Yield what stops the arm on fast ways from rest, each driven until the arm rests again."""
    kinematics = Kinematics(arm, urdf)
    rest = {joint.name: rest_position(joint) for joint in arm.joints}
    home = kinematics.forward(np.array([rest[name] for name in kinematics.names]))
    for target in targets(arm, home, len(kinematics.names)):
        motion = JointMotion(arm, kinematics, np.array(list(rest.values())))
        for tick in range(1, round(5 * arm.control_rate_hz)):
            motion.follow(target)
            # Looked at five times a second: the first time it is on its way.
            looks = tick % round(arm.control_rate_hz / 5) == 0
            if motion.problem or (looks and fastest(motion) < 1e-5):
                break
        if motion.problem:
            yield motion.problem
        else:
            arrived = motion.setpoint(0, 0.0).pose
            if len(kinematics.names) > 5:
                assert np.linalg.norm(arrived.position - target.position) < 1e-3


@pytest.mark.parametrize('name', REAL)
def test_a_real_arm_moves_at_its_cartesian_limits_from_rest(name):
    assert list(troubles(load_arm(name), urdf_of(name))) == []


@pytest.mark.parametrize('name', ARMS)
def test_a_made_up_arm_moves_at_its_cartesian_limits_from_rest(name):
    arm = load_arm(name)
    assert list(troubles(arm, made_up_urdf(arm))) == []


@pytest.mark.parametrize('name', REAL)
def test_three_times_of_them_would_be_too_much(name):
    arm = load_arm(name)
    limits = {key: 3.0 * value for key, value in vars(arm.cartesian).items()}
    arm = replace(arm, cartesian=replace(arm.cartesian, **limits))
    assert any('lower the Cartesian limits' in each for each in troubles(arm, urdf_of(name)))
