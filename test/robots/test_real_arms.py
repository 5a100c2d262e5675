"""Shipped contracts on the URDFs of real arms, which the package example-robot-data carries."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from support.real_robots import real_urdf

from robomamba_ros.common.resources import share_directory
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.spatial.transforms import move_in_base, rotation_matrix


def urdf(name: str) -> str:
    return real_urdf(name).read_text()


# A UR5 has the joints and frames of a UR5e.
ARMS = {'franka_panda': 'panda.urdf', 'ur5e': 'ur5_robot.urdf', 'so101': 'so101.urdf'}
POSES = 150


@pytest.fixture(params=ARMS)
def kinematics(request) -> Kinematics:
    return Kinematics(load_arm(request.param), urdf(ARMS[request.param]))


def rest(name: str) -> np.ndarray:
    return np.array([joint.rest for joint in load_arm(name).joints])


@pytest.mark.parametrize(
    ('name', 'joints', 'position'),
    [
        # Flange at 0.107 m behind the wrist's 0.088 m offset, the hand's tip 0.1034 m further:
        # x = 0.088, z = 0.333 + 0.316 + 0.384 - 0.107 - 0.1034 (Franka's DH parameters).
        ('franka_panda', [0.0] * 7, [0.088, 0.0, 0.8226]),
        # x = -a2 - a3 = 0.425 + 0.39225, y = d4 + d6 = 0.10915 + 0.0823, z = d1 - d5 =
        # 0.089159 - 0.09465 (UR5's DH parameters); the frame `base` is turned by pi.
        ('ur5e', [0.0] * 6, [-0.81725, -0.19145, -0.005491]),
    ],
)
def test_real_arms_stand_where_their_makers_parameters_say(name, joints, position):
    arm = Kinematics(load_arm(name), urdf(ARMS[name]))
    np.testing.assert_allclose(arm.forward(np.array(joints)).position, position, atol=1e-5)


def test_reachable_poses_of_a_real_arm_are_reached(kinematics):
    random = np.random.default_rng(0)
    middle = np.clip(np.zeros(len(kinematics.names)), kinematics.lower, kinematics.upper)
    for _ in range(POSES):
        # Most of them with several joints near a limit, where solving takes the most tries.
        share = random.beta(0.5, 0.5, len(kinematics.names))
        target = kinematics.forward(
            kinematics.lower + share * (kinematics.upper - kinematics.lower)
        )
        found = kinematics.solve(target, middle).joints
        assert (kinematics.lower <= found).all()
        assert (found <= kinematics.upper).all()
        pose = kinematics.forward(found)
        turn = rotation_matrix(pose.quaternion).T @ rotation_matrix(target.quaternion)
        assert np.linalg.norm(pose.position - target.position) < 1e-5
        # The skew part of a small turn is its rotation vector.
        assert np.abs(turn - turn.T).max() / 2 < 1e-4
        assert np.trace(turn) > 2.9


@pytest.mark.parametrize('name', ['franka_panda', 'ur5e'])
def test_a_real_arm_follows_at_the_speed_of_its_contract(name):
    arm = load_arm(name)
    kinematics = Kinematics(arm, urdf(ARMS[name]))
    joints, period = rest(name), arm.period_ns / 1e9
    start = kinematics.forward(joints)
    for tick in range(1, 41):
        way = np.array([0.0, arm.cartesian.velocity, 0.0]) * period * tick
        step = kinematics.step(joints, move_in_base(start, way, np.zeros(3)), period)
        assert (np.abs(step.joints - joints) <= kinematics.velocity * period * (1 + 1e-9)).all()
        joints = step.joints
        assert step.position_error < 2e-3
        assert step.rotation_error < 0.02


def test_a_real_mobile_manipulator_needs_no_code(tmp_path):
    # TIAGo: its URDF begins at base_footprint; here it drives like an omnidirectional base.
    text = (share_directory() / 'config' / 'arms' / 'hsr.yaml').read_text()
    document = yaml.safe_load(text)
    limits = {
        'torso_lift_joint': (0.0, 0.35, 0.07),
        'arm_1_joint': (0.0, 2.748, 2.7),
        'arm_2_joint': (-1.57, 1.09, 3.66),
        'arm_3_joint': (-3.534, 1.57, 4.58),
        'arm_4_joint': (-0.392, 2.356, 4.58),
        'arm_5_joint': (-2.094, 2.094, 1.95),
        'arm_6_joint': (-1.413, 1.413, 1.76),
        'arm_7_joint': (-2.094, 2.094, 1.76),
    }
    document['joints'] = document['joints'][:3] + [
        {'name': name, 'position': [lower, upper], 'velocity': velocity, 'acceleration': 1.0}
        for name, (lower, upper, velocity) in limits.items()
    ]
    document['joints'] += [
        {
            'name': name,
            'part': 'head',
            'position': [-1.0, 0.7],
            'velocity': 1.0,
            'acceleration': 1.0,
        }
        for name in ('head_1_joint', 'head_2_joint')
    ]
    document['frames']['end_effector'] = 'arm_tool_link'
    document['cameras'][0]['link'] = 'xtion_rgb_optical_frame'
    path = tmp_path / 'tiago.yaml'
    path.write_text(yaml.safe_dump(document))
    arm = Kinematics(load_arm(str(path)), urdf('tiago_no_hand.urdf'))
    assert arm.names == ('odom_x', 'odom_y', 'odom_t', *limits)
    joints = np.array([0.0, 0.0, 0.0, 0.1, 1.0, 0.2, -1.0, 1.0, 0.1, 0.2, 0.3])
    start = arm.forward(joints)
    moved = arm.forward(joints + np.eye(11)[0])
    np.testing.assert_allclose(moved.position - start.position, [1.0, 0.0, 0.0], atol=1e-12)
    target = move_in_base(start, np.array([1.0, 2.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    assert arm.solve(target, joints).reached
    # The head turns with the base and looks ahead, its optical axis level and at eye height.
    level = dict.fromkeys((*arm.names, 'head_1_joint', 'head_2_joint'), 0.0)
    eye = arm.base_T_link('xtion_rgb_optical_frame', {**level, 'odom_t': np.pi / 2})
    np.testing.assert_allclose(rotation_matrix(eye.quaternion)[:, 2], [0.0, 1.0, 0.0], atol=1e-2)
    risen = arm.base_T_link('xtion_rgb_optical_frame', {**level, 'torso_lift_joint': 0.2})
    assert 0.9 < eye.position[2] < 1.2
    assert risen.position[2] - eye.position[2] == pytest.approx(0.2)
    down = arm.base_T_link('xtion_rgb_optical_frame', {**level, 'head_2_joint': -0.5})
    assert rotation_matrix(down.quaternion)[2, 2] == pytest.approx(-np.sin(0.5), abs=1e-2)
