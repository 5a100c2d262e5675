from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from robomamba_ros.common.resources import share_directory
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import Joint
from robomamba_ros.simulation.made_joints import rest_position
from robomamba_ros.simulation.made_up_urdf import made_up_urdf, slides
from robomamba_ros.spatial.transforms import move_in_base

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

ARMS = sorted(path.stem for path in (share_directory() / 'config' / 'arms').glob('*.yaml'))


def at_rest(arm, kinematics) -> np.ndarray:
    rest = {joint.name: rest_position(joint) for joint in arm.joints}
    return np.array([rest[name] for name in kinematics.names])


@pytest.mark.parametrize('name', ARMS)
def test_every_contract_gets_a_chain_that_moves_freely_in_the_middle_of_its_workspace(name):
    arm = load_arm(name)
    kinematics = Kinematics(arm, made_up_urdf(arm))
    joints = at_rest(arm, kinematics)
    pose = kinematics.forward(joints)
    middle = (arm.workspace.lower + arm.workspace.upper) / 2.0
    np.testing.assert_allclose(pose.position, middle, atol=1e-9)
    np.testing.assert_allclose(np.abs(pose.quaternion), [0.0, 0.0, 0.0, 1.0], atol=1e-9)
    strengths = np.linalg.svd(kinematics.jacobian(joints))[1]
    assert len(strengths) == min(6, len(joints))
    assert strengths.min() > 0.15


@pytest.mark.parametrize('name', ARMS)
def test_the_tip_goes_a_few_centimetres_each_way(name):
    arm = load_arm(name)
    kinematics = Kinematics(arm, made_up_urdf(arm))
    start = at_rest(arm, kinematics)
    home = kinematics.forward(start)
    for way in 0.03 * np.vstack([np.eye(3), -np.eye(3)]):
        joints = start
        for share in np.linspace(0.0, 1.0, 50):
            target = move_in_base(home, share * way, np.zeros(3))
            step = kinematics.step(joints, target, 0.02)
            joints = step.joints
        # With five joints an arm that goes aside turns a little.
        assert step.position_error < (1e-4 if len(joints) >= 6 else 2e-3)


@pytest.mark.parametrize('count', range(1, 10))
@pytest.mark.parametrize('rest', [0.0, 0.7])
def test_any_number_of_joints_is_made_into_an_arm(count, rest):
    joints = tuple(Joint(f'j{i}', 'arm', (-2.0, 2.0), 1.0, 5.0, None, rest) for i in range(count))
    arm = replace(load_arm('franka_fr3'), joints=joints)
    kinematics = Kinematics(arm, made_up_urdf(arm))
    strengths = np.linalg.svd(kinematics.jacobian(at_rest(arm, kinematics)))[1]
    assert strengths[: min(6, count)].min() > 0.1


@pytest.mark.parametrize(
    ('joint', 'slide'),
    [
        # HSR's lift and TIAGo's torso; the smallest range of a joint that turns, SO-101's gripper.
        (Joint('arm_lift_joint', 'arm', (0.0, 0.69), 0.15, 0.15, None, None), True),
        (Joint('torso_lift_joint', 'arm', (0.0, 0.35), 0.07, 0.07, None, None), True),
        (Joint('wrist', 'arm', (-0.4, 0.4), 2.0, 5.0, None, None), False),
        (Joint('shoulder', 'arm', (-1.5, 1.5), 0.4, 5.0, None, None), False),
    ],
)
def test_a_joint_of_little_range_and_speed_slides(joint, slide):
    assert slides(joint) is slide


def test_slides_of_a_gantry_go_along_three_axes():
    joints = tuple(
        Joint(name, 'arm', (0.0, 0.8), 0.3, 1.0, None, 0.4) for name in ('up', 'ahead', 'aside')
    )
    arm = replace(load_arm('franka_fr3'), joints=joints)
    kinematics = Kinematics(arm, made_up_urdf(arm))
    jacobian = kinematics.jacobian(at_rest(arm, kinematics))
    assert sorted(map(tuple, jacobian[:3].T)) == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]


def test_the_whole_arm_can_be_drawn():
    robot = ElementTree.fromstring(made_up_urdf(load_arm('hsr')))
    links = {link.get('name') for link in robot.findall('link')}
    children = {joint.find('child').get('link') for joint in robot.findall('joint')}
    # One root, and what stands on it: bones, and a head beside the arm.
    assert links - children == {'after_odom_t'}
    assert len(robot.findall('.//visual')) >= 4
    assert {'head_pan_joint', 'head_tilt_joint'} <= {j.get('name') for j in robot.iter('joint')}
