"""The HSR in MuJoCo beside Pinocchio, beside what is published of it, and beside what physics says.

The same URDF is read by two programs that know nothing of one another.
"""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.disagreement import read_disagreement
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.made_joints import rest_positions
from robomamba_ros.simulation.robots.hsr import (
    BASE,
    BASE_JOINTS,
    JOINTS,
    MOTORS,
    TIP,
    finger_turn,
    hsr_spec,
    hsr_urdf,
    pads_ahead,
    tips_ahead,
)
from robomamba_ros.simulation.robots.world import World
from robomamba_ros.types import NANOSECONDS

mujoco = pytest.importorskip('mujoco', reason='a physical robot needs MuJoCo: pip install mujoco')
pin = pytest.importorskip('pinocchio', reason='the check needs Pinocchio: pip install pin')

ARM = load_arm('hsr_sim')
REST = dict(zip(JOINTS, rest_positions(ARM).tolist(), strict=True))
SECOND = NANOSECONDS
SLIP = 0.1


def world(change=lambda spec: None, slip=0.0):
    spec = hsr_spec(mujoco)
    change(spec)
    return World(spec, MOTORS, JOINTS, REST, dict.fromkeys(BASE_JOINTS, slip))


@pytest.fixture(scope='module')
def robot():
    return world()


@pytest.fixture(scope='module')
def reference():
    return pin.buildModelFromXML(hsr_urdf())


def places(reference, count=10):
    """Yield positions of the reference, as its joints are named, and of the base."""
    rng = np.random.default_rng(0)
    lower, upper = reference.lowerPositionLimit, reference.upperPositionLimit
    for _ in range(count):
        yield rng.uniform(lower, upper), rng.uniform(-2.0, 2.0, 3)


def look(robot, reference, joints, base):
    """Put a robot there, and return its columns in the order of the reference."""
    names = list(reference.names)[1:]
    for name, value in zip([*names, *BASE_JOINTS], [*joints, *base], strict=True):
        robot.data.joint(name).qpos[0] = value
    robot.data.qvel[:] = 0.0
    mujoco.mj_forward(robot.model, robot.data)
    return [int(robot.model.joint(name).dofadr[0]) for name in names]


def test_every_link_is_where_pinocchio_has_it(robot, reference):
    data = reference.createData()
    links = (TIP, 'head_rgbd_sensor_link', 'hand_l_finger_tip_frame', 'hand_r_finger_tip_frame')
    for joints, (x, y, turn) in places(reference):
        look(robot, reference, joints, (x, y, turn))
        pin.framesForwardKinematics(reference, data, joints)
        floor = pin.SE3(pin.utils.rotate('z', turn), np.array([x, y, 0.0]))
        for name in ('arm_flex_link', *links):
            expected, body = floor * data.oMf[reference.getFrameId(name)], robot.data.body(name)
            np.testing.assert_allclose(body.xpos, expected.translation, atol=1e-6)
            np.testing.assert_allclose(body.xmat.reshape(3, 3), expected.rotation, atol=1e-6)


def test_gravity_pulls_as_pinocchio_says(robot, reference):
    data = reference.createData()
    for joints, base in places(reference):
        columns = look(robot, reference, joints, base)
        expected = pin.computeGeneralizedGravity(reference, data, joints)
        np.testing.assert_allclose(robot.data.qfrc_bias[columns], expected, atol=1e-6)
        np.testing.assert_allclose(robot.data.qfrc_gravcomp[columns], expected, atol=1e-6)


def test_torso_and_fingers_move_as_the_urdf_couples_them():
    robot, kinematics = world(), Kinematics(ARM, hsr_urdf())
    still, wanted = np.zeros(len(JOINTS)), np.array(list(REST.values()))
    wanted[JOINTS.index('arm_lift_joint')] += 0.03
    wanted[-1] = 0.5
    for _ in range(40):
        robot.step(wanted, still, 0.02, None)
    np.testing.assert_allclose(robot.positions, wanted, atol=2e-3)
    where = dict(zip(JOINTS, robot.positions.tolist(), strict=True))
    # The control loop reads the head's camera from the same coupling.
    seen = kinematics.base_T_link('head_rgbd_sensor_link', where).position
    body = robot.data.body('head_rgbd_sensor_link')
    np.testing.assert_allclose(body.xpos, seen, atol=1e-3)
    # Nothing is gripped: the pads are as far ahead, and apart, as the geometry of the hand says.
    pads = [robot.data.geom(f'hand_{side}_distal_1').xpos for side in 'lr']
    # Each is 8 mm thick, and the turn of the motor is that at its face.
    half = np.linalg.norm(pads[0] - pads[1]) / 2.0 - 0.004
    assert finger_turn(half) == pytest.approx(where[JOINTS[-1]], abs=5e-3)
    palm = robot.data.body(TIP)
    ahead = (pads[0] - palm.xpos) @ palm.xmat.reshape(3, 3)[:, 2]
    assert ahead == pytest.approx(pads_ahead(half), abs=1e-3)


@pytest.mark.parametrize('turn', [0.05, 0.4, 1.2])
def test_its_fingers_reach_as_far_as_their_frames_say(reference, turn):
    """The maker's frames of the tips, where the URDF has its mimic joints."""
    data, joints = reference.createData(), pin.neutral(reference)
    for side in 'lr':
        for name, place in (('proximal', turn), ('distal', -turn - 0.087)):
            joint = reference.getJointId(f'hand_{side}_{name}_joint')
            joints[reference.joints[joint].idx_q] = place
    pin.framesForwardKinematics(reference, data, joints)
    palm = data.oMf[reference.getFrameId(TIP)]
    tips = [
        palm.actInv(data.oMf[reference.getFrameId(f'hand_{side}_finger_tip_frame')])
        for side in 'lr'
    ]
    # Pads toe in: between the tips it is narrower than where they grip.
    half = 0.5 * (tips[1].translation[1] - tips[0].translation[1]) + (0.04289 - 0.0265) * 0.0869
    assert finger_turn(half) == pytest.approx(turn, abs=2e-3)
    for tip in tips:
        assert tip.translation[2] == pytest.approx(tips_ahead(half), abs=1e-4)


def driven(slip):
    """Return a fake arm on wheels that slip."""
    options = read_disagreement('controller_rate_hz=500')
    made = world(slip=slip)
    return made, FakeArm(ARM, None, 0, disagreement=options, make_joints=lambda: made)


def drive(arm, seconds, twist):
    for _ in range(round(seconds * 50)):
        if twist is not None:
            arm.twists['base'].drive(
                np.array([*twist[:2], 0.0]), twist[2] * np.eye(3)[2], arm.now_ns
            )
        arm.advance(arm.now_ns + SECOND // 50)


def test_its_base_takes_up_a_twist_and_stops_without_one():
    robot, arm = driven(SLIP)
    drive(arm, 0.1, (0.15, 0.0, 0.0))
    # Not at once: it has a mass.
    assert 0.5 * 0.15 * 0.1 < arm.positions['odom_x'] < 0.9 * 0.15 * 0.1
    drive(arm, 0.9, (0.15, 0.05, 0.0))
    assert arm.velocities['odom_x'] == pytest.approx(0.15, abs=1e-3)
    assert arm.velocities['odom_y'] == pytest.approx(0.05, abs=1e-3)
    # Half a second after the last twist.
    drive(arm, 0.4, None)
    assert arm.velocities['odom_x'] == pytest.approx(0.15, abs=1e-3)
    drive(arm, 0.4, None)
    assert abs(arm.velocities['odom_x']) < 1e-3
    # Wheels slip, and their odometry does not know it.
    told = np.array([arm.positions[name] for name in BASE_JOINTS])
    gone = robot.data.body(BASE).xpos[:2]
    assert told[0] > 0.2
    np.testing.assert_allclose(gone, (1.0 - SLIP) * told[:2], atol=1e-6)


def test_an_emergency_stop_holds_its_base_and_its_release_does_not_move_it():
    _, arm = driven(0.0)
    drive(arm, 0.5, (0.1, 0.0, 0.3))
    arm.stop('emergency_stop')
    drive(arm, 0.6, None)
    stood = arm.positions
    assert max(map(abs, arm.velocities.values())) < 1e-6
    arm.release()
    drive(arm, 0.2, None)
    assert arm.positions == pytest.approx(stood, abs=2e-3)


@pytest.mark.parametrize(('friction', 'holds'), [(1.2, True), (0.01, False)])
def test_it_grips_by_friction_alone(friction, holds):
    palm = Kinematics(ARM, hsr_urdf()).forward(np.array([REST[name] for name in JOINTS[:8]]))
    half = 0.025

    def block(spec):
        # The hand is level and ahead.
        x, y, z = (palm.position + np.array([pads_ahead(half), 0.0, 0.0])).tolist()
        body = spec.worldbody.add_body(name='block', pos=[x, y, z])
        body.add_freejoint()
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02, half, 0.03], mass=0.3)
        for side in 'lr':
            spec.geom(f'hand_{side}_distal_1').friction[0] = friction
        body.gravcomp = 1.0

    robot = world(block)
    wanted, still = np.array(list(REST.values())), np.zeros(len(JOINTS))
    wanted[-1] = 0.0
    robot.step(wanted, still, 0.5, None)
    # The motor is where it was told to be; the springs behind the fingers grip.
    assert robot.positions[-1] == pytest.approx(0.0, abs=0.01)
    assert robot.data.joint('hand_l_proximal_joint').qpos[0] > 0.2
    robot.model.body_gravcomp[robot.model.body('block').id] = 0.0
    height = robot.data.body('block').xpos[2]
    robot.step(wanted, still, 0.3, None)
    sunk = height - robot.data.body('block').xpos[2]
    assert sunk < 3e-3 if holds else sunk > 0.05
