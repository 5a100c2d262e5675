"""Kinematics against transforms multiplied by hand, finite differences, and its own limits."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robomamba_ros.errors import ActionError, BackendError, ConfigError, ObservationError
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.spatial.transforms import interpolate, move_in_base, rotation_matrix
from robomamba_ros.types import Pose

ARMS = ('seven', 'six', 'mobile')
PERIOD = 0.01


@pytest.fixture(params=ARMS)
def made(request, made_arms):
    return made_arms[request.param]


@pytest.fixture
def kinematics(made, write_arm):
    return Kinematics(write_arm(made.document(), made.urdf()))


@pytest.fixture
def seven(made_arms, write_arm):
    return Kinematics(write_arm(made_arms['seven'].document(), made_arms['seven'].urdf()))


def random_joints(kinematics, random):
    return random.uniform(np.maximum(kinematics.lower, -2.0), np.minimum(kinematics.upper, 2.0))


def distance(pose: Pose, other: Pose) -> tuple[float, float]:
    turn = rotation_matrix(pose.quaternion).T @ rotation_matrix(other.quaternion)
    angle = np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))
    return float(np.linalg.norm(pose.position - other.position)), float(angle)


def test_the_forward_kinematics_multiplies_the_transforms_of_the_chain(made, kinematics):
    assert kinematics.names == (*made.base, *made.names)
    random = np.random.default_rng(0)
    for _ in range(20):
        joints = random_joints(kinematics, random)
        pose, matrix = kinematics.forward(joints), made.matrix(joints)
        np.testing.assert_allclose(pose.position, matrix[:3, 3], atol=1e-12)
        np.testing.assert_allclose(rotation_matrix(pose.quaternion), matrix[:3, :3], atol=1e-12)


def test_the_jacobian_is_the_slope_of_the_forward_kinematics(made, kinematics):
    random = np.random.default_rng(1)
    for _ in range(10):
        joints = random_joints(kinematics, random)
        jacobian = kinematics.jacobian(joints)
        for index in range(len(joints)):
            step = np.zeros(len(joints))
            step[index] = 1e-6
            ahead, behind = made.matrix(joints + step), made.matrix(joints - step)
            linear = (ahead[:3, 3] - behind[:3, 3]) / 2e-6
            # For a small turn R = 1 + [w]x, in base axes.
            turn = (ahead[:3, :3] @ behind[:3, :3].T - np.eye(3)) / 2e-6
            angular = [turn[2, 1], turn[0, 2], turn[1, 0]]
            np.testing.assert_allclose(jacobian[:, index], [*linear, *angular], atol=1e-5)


def test_reachable_poses_are_reached_within_the_limits(kinematics):
    random = np.random.default_rng(2)
    start = np.clip(np.zeros(len(kinematics.names)), kinematics.lower, kinematics.upper)
    for _ in range(300):
        target = kinematics.forward(random_joints(kinematics, random))
        found = kinematics.solve(target, start)
        assert (found.joints >= kinematics.lower).all()
        assert (found.joints <= kinematics.upper).all()
        way, turn = distance(kinematics.forward(found.joints), target)
        assert way < 1e-5
        assert turn < 1e-4


def test_a_solution_near_the_start_is_preferred_and_the_same_every_time(seven):
    random = np.random.default_rng(3)
    start = random_joints(seven, random)
    target = seven.forward(start + random.uniform(-0.05, 0.05, 7))
    found = seven.solve(target, start)
    assert np.abs(found.joints - start).max() < 0.15
    np.testing.assert_array_equal(found.joints, seven.solve(target, start).joints)


def test_what_cannot_be_reached_is_refused_with_what_is_left(seven):
    # The shoulder stands at 0.34 m; 0.4 + 0.4 + 0.1 + 0.1 m reach from there.
    above = Pose(np.array([0.0, 0.0, 0.34 + 1.0 + 0.25]), np.array([0.0, 0.0, 0.0, 1.0]))
    with pytest.raises(ActionError, match=r'cannot reach .* in base: the nearest found is 0\.25'):
        seven.solve(above, np.full(7, 0.1))


STEPS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
vectors = st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3).map(np.array)


@STEPS
@given(
    seed=st.integers(0, 2**32 - 1),
    way=vectors,
    turn=vectors,
    period=st.sampled_from([0.001, 0.01, 0.1, 1.0]),
)
def test_no_step_breaks_a_limit(kinematics, seed, way, turn, period):
    random = np.random.default_rng(seed)
    low, high = np.maximum(kinematics.lower, -3.0), np.minimum(kinematics.upper, 3.0)
    # Every other joint begins at one of its ends.
    joints = np.where(random.random(len(low)) < 0.5, random.uniform(low, high), low)
    target = move_in_base(kinematics.forward(joints), 2.0 * way, 3.0 * turn)
    for _ in range(10):
        after = kinematics.step(joints, target, period).joints
        assert (after >= kinematics.lower).all()
        assert (after <= kinematics.upper).all()
        assert (np.abs(after - joints) <= kinematics.velocity * period * (1 + 1e-9) + 1e-12).all()
        joints = after


def test_the_limits_have_an_effect(seven):
    # 0.3 m within 10 ms asks for far more than 2 rad/s.
    joints = np.full(7, 0.5)
    target = move_in_base(seven.forward(joints), np.array([0.0, 0.3, 0.0]), np.zeros(3))
    step = seven.step(joints, target, PERIOD)
    assert np.abs(step.joints - joints).max() == pytest.approx(2.0 * PERIOD, rel=1e-9)
    assert 0.0 < step.position_error < 0.3


def test_a_joint_beyond_its_end_only_comes_back(seven):
    joints = np.full(7, 0.5)
    joints[1] = seven.upper[1] + 0.1
    target = seven.forward(joints + np.array([0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0]))
    for _ in range(20):
        after = seven.step(joints, target, PERIOD).joints
        assert seven.lower[1] <= after[1] <= joints[1]
        joints = after


def test_a_joint_beyond_its_end_is_not_thrown_back(seven):
    joints = np.full(7, 0.5)
    joints[1] = seven.lower[1] - 0.1
    step = seven.step(joints, seven.forward(joints), PERIOD)
    assert np.abs(step.joints - joints).max() < 0.1 * 2.0 * PERIOD
    assert step.position_error < 1e-3


@pytest.mark.parametrize(
    ('name', 'joints'),
    [
        ('seven', [0.0, 0.6, 0.0, 0.9, 0.0, 0.3, 0.0]),
        ('six', [0.3, -1.0, 1.4, -0.5, 1.2, 0.2]),
        ('mobile', [0.0, 0.0, 0.0, 0.3, -0.8, 0.1, -0.7, 0.0]),
    ],
)
def test_a_moving_target_is_followed(made_arms, write_arm, name, joints):
    arm = Kinematics(write_arm(made_arms[name].document(), made_arms[name].urdf()))
    joints = np.array(joints)
    start = arm.forward(joints)
    for tick in range(1, 201):
        # 0.05 m/s and 0.1 rad/s.
        down, turn = np.array([0.0, 0.0, -0.0005 * tick]), np.array([0.001 * tick, 0.0, 0.0])
        target = move_in_base(start, down, turn)
        step = arm.step(joints, target, PERIOD)
        joints = step.joints
        assert step.position_error < 1e-4
        assert step.rotation_error < 1e-3
        way, angle = distance(arm.forward(joints), target)
        assert step.position_error == pytest.approx(way, abs=1e-9)
        assert step.rotation_error == pytest.approx(angle, abs=1e-7)


def test_beyond_its_reach_the_arm_stretches_and_comes_to_rest(seven):
    joints = np.array([0.0, 0.6, 0.0, 0.9, 0.0, 0.3, 0.0])
    start = seven.forward(joints)
    for tick in range(800):
        # Half a metre further than the arm reaches, at 0.25 m/s.
        out = np.array([min(0.0025 * tick, 1.0), 0.0, 0.0])
        step = seven.step(joints, Pose(start.position + out, start.quaternion), PERIOD)
        moved, joints = np.abs(step.joints - joints).max(), step.joints
    assert moved < 1e-6
    assert 0.1 < step.position_error < 1.0
    for tick in range(800):
        out = np.array([max(1.0 - 0.0025 * tick, 0.0), 0.0, 0.0])
        step = seven.step(joints, Pose(start.position + out, start.quaternion), PERIOD)
        joints = step.joints
    assert step.position_error < 1e-6


def test_a_singular_wrist_is_crossed_without_racing(made_arms, write_arm):
    made = made_arms['six']
    arm = Kinematics(write_arm(made.document(), made.urdf()))
    joints = np.array([0.0, -1.2, 1.6, -2.0, -0.3, 0.0])
    mirrored = joints * [1, 1, 1, 1, -1, 1]
    start, end = arm.forward(joints), arm.forward(mirrored)
    fastest, least = 0.0, np.inf
    for share in np.linspace(0.0, 1.0, 600):
        step = arm.step(joints, interpolate(start, end, share), PERIOD)
        fastest = max(fastest, np.abs(step.joints - joints).max() / PERIOD)
        joints = step.joints
        least = min(least, np.linalg.svd(arm.jacobian(joints))[1][-1])
        assert step.position_error < 1e-3
        assert step.rotation_error < 0.05
    assert least < 1e-3
    # The way itself takes 0.1 rad/s; the joints may do 2 rad/s.
    assert fastest < 1.5
    np.testing.assert_allclose(joints, mirrored, atol=0.01)


def test_what_the_target_leaves_free_drifts_to_rest(seven):
    # By symmetry the elbow of this pose is nearest to rest, all joints at 0, in the middle.
    nearest = np.array([0.0, 0.5, 0.0, 1.2, 0.0, -0.8, 0.0])
    target = seven.forward(nearest)
    joints = seven.solve(target, np.array([1.2, 0.8, -1.2, 1.2, 1.2, -1.0, -0.5])).joints
    away = [np.linalg.norm(joints)]
    assert np.abs(joints - nearest).max() > 0.2
    for _ in range(800):
        step = seven.step(joints, target, PERIOD)
        joints = step.joints
        away.append(np.linalg.norm(joints))
        assert step.position_error < 1e-5
        assert step.rotation_error < 1e-4
    assert (np.diff(away) < 1e-9).all()
    np.testing.assert_allclose(joints, nearest, atol=1e-3)


def test_a_mobile_base_takes_the_hand_where_the_arm_cannot(made_arms, write_arm):
    made = made_arms['mobile']
    arm = Kinematics(write_arm(made.document(), made.urdf()))
    joints = np.array([0.0, 0.0, 0.0, 0.3, -0.8, 0.0, -0.7, 0.0])
    start = arm.forward(joints)
    near = move_in_base(start, np.array([0.05, 0.0, 0.02]), np.zeros(3))
    for _ in range(100):
        step = arm.step(joints, near, PERIOD)
        joints = step.joints
    assert step.reached
    far = move_in_base(start, np.array([3.0, -2.0, 0.1]), np.array([0.0, 0.0, 1.5]))
    for _ in range(1500):
        step = arm.step(joints, far, PERIOD)
        joints = step.joints
    assert step.reached
    # Nothing pulls the base back to where it came from.
    for _ in range(300):
        joints = arm.step(joints, far, PERIOD).joints
    assert np.linalg.norm(joints[:2]) > 2.0


def with_a_head(made, multiplier=0.5):
    """Return a contract and a URDF with a camera on a neck that rises with joint1, and pans."""
    document = made.document()
    limits = {'part': 'head', 'position': [-2.0, 2.0], 'velocity': 1.0, 'acceleration': 5.0}
    document['joints'].append({'name': 'pan', **limits})
    head = {'part': 'head', 'kind': 'joint_trajectory', 'topic': 'head/joint_trajectory'}
    document['outputs'].append(head)
    document['cameras'][0]['link'] = 'eye'
    parts = [
        ('rise', 'prismatic', 'root', 'neck', '0.2 0 1', '0 0 1'),
        ('pan', 'revolute', 'neck', 'face', '0 0 0.3', '0 0 1'),
        ('eye_mount', 'fixed', 'face', 'eye', '0.1 0 0', '0 0 1'),
    ]
    mimic = f'<mimic joint="joint1" multiplier="{multiplier}" offset="0.05"/>'
    head = ''.join(
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{xyz}"/><axis xyz="{axis}"/>{mimic if name == "rise" else ""}'
        f'<limit lower="-2" upper="2" velocity="1" effort="1"/></joint><link name="{child}"/>'
        for name, kind, parent, child, xyz, axis in parts
    )
    return document, made.urdf().replace('</robot>', f'{head}</robot>')


def test_a_camera_on_a_head_is_where_all_joints_before_it_put_it(made_arms, write_arm):
    arm = Kinematics(write_arm(*with_a_head(made_arms['mobile'])))
    joints = dict.fromkeys(arm.names, 0.0)
    joints |= {'odom_x': 2.0, 'odom_y': 1.0, 'odom_t': np.pi / 2, 'joint1': 0.4, 'pan': np.pi / 2}
    pose = arm.base_T_link('eye', joints)
    # A quarter of a turn by the base and one by the neck; the neck is 0.2 ahead of the root and
    # risen by half of joint1, the eye 0.1 ahead of the face.
    np.testing.assert_allclose(pose.position, [1.9, 1.2, 1.3 + 0.05 + 0.2], atol=1e-12)
    np.testing.assert_allclose(np.abs(pose.quaternion), [0.0, 0.0, 1.0, 0.0], atol=1e-12)
    # It does not move with the arm.
    assert distance(pose, arm.base_T_link('eye', {**joints, 'joint3': 1.0})) == (0.0, 0.0)


def test_a_camera_whose_place_does_not_follow_is_refused(made_arms, write_arm):
    document, urdf = with_a_head(made_arms['mobile'])
    document['joints'].pop()
    document['outputs'].pop()
    with pytest.raises(ConfigError, match=r"link 'eye' is:.*\n.*joint 'pan' is not among the cont"):
        Kinematics(write_arm(document, urdf))
    document['cameras'][0]['link'] = 'eyes'
    with pytest.raises(ConfigError, match=r"unknown link 'eyes'\. Did you mean 'eye'"):
        Kinematics(write_arm(document, urdf))


@pytest.mark.parametrize('joints', [np.zeros(6), np.array([0.0] * 6 + [np.nan])])
def test_other_joints_than_the_chain_has_are_refused(seven, joints):
    with pytest.raises(ObservationError, match=r'needs 7 finite joint positions \(joint1'):
        seven.forward(joints)


def test_without_pinocchio_the_error_says_how_to_install_it(made_arms, write_arm, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pinocchio', None)
    made = made_arms['six']
    with pytest.raises(BackendError, match=r"pip install 'robomamba_ros\[kinematics\]'"):
        Kinematics(write_arm(made.document(), made.urdf()))
