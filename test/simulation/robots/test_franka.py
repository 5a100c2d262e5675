"""The FR3 in MuJoCo beside Pinocchio, beside the Panda's description, and beside what physics says.

The same URDF is read by two programs that know nothing of one another.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.real_robots import real_urdf

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.disagreement import read_disagreement
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.joint_trajectory import JointTrajectory, TrajectoryPoint
from robomamba_ros.simulation.made_joints import rest_positions
from robomamba_ros.simulation.robots.franka import (
    ARM_JOINTS,
    FINGER_JOINT,
    GRASP_N,
    MOTORS,
    TCP,
    fr3_spec,
    fr3_urdf,
)
from robomamba_ros.simulation.robots.world import World
from robomamba_ros.types import NANOSECONDS

mujoco = pytest.importorskip('mujoco', reason='a physical robot needs MuJoCo: pip install mujoco')
pin = pytest.importorskip('pinocchio', reason='the check needs Pinocchio: pip install pin')

NAMES = (*ARM_JOINTS, FINGER_JOINT)
ARM = load_arm('franka_fr3')
REST = dict(zip(NAMES, rest_positions(ARM).tolist(), strict=True))
EFFORTS = np.array([87.0] * 4 + [12.0] * 3)
SECOND = NANOSECONDS


def world(change=lambda spec: None, start=REST):
    spec = fr3_spec(mujoco)
    change(spec)
    return World(spec, MOTORS, NAMES, start)


@pytest.fixture(scope='module')
def robot():
    return world()


@pytest.fixture(scope='module')
def reference():
    return pin.buildModelFromXML(fr3_urdf())


def places(model, count=20):
    rng = np.random.default_rng(0)
    return rng.uniform(model.lowerPositionLimit, model.upperPositionLimit, (count, model.nq))


def look(robot, joints):
    robot.data.qpos[:] = joints
    robot.data.qvel[:] = 0.0
    mujoco.mj_forward(robot.model, robot.data)


def test_every_link_is_where_pinocchio_has_it(robot, reference):
    data = reference.createData()
    for joints in places(reference):
        look(robot, joints)
        pin.framesForwardKinematics(reference, data, joints)
        for name in ('fr3_link4', 'fr3_link7', TCP, 'fr3_leftfinger', 'fr3_rightfinger'):
            expected, body = data.oMf[reference.getFrameId(name)], robot.data.body(name)
            np.testing.assert_allclose(body.xpos, expected.translation, atol=1e-6)
            np.testing.assert_allclose(body.xmat.reshape(3, 3), expected.rotation, atol=1e-6)


def test_gravity_pulls_as_pinocchio_says(robot, reference):
    data = reference.createData()
    for joints in places(reference):
        look(robot, joints)
        expected = pin.computeGeneralizedGravity(reference, data, joints)
        np.testing.assert_allclose(robot.data.qfrc_bias, expected, atol=1e-6)
        # And the motors take it away, all of it.
        np.testing.assert_allclose(robot.data.qfrc_gravcomp, expected, atol=1e-6)


def test_its_bones_are_as_long_as_those_of_the_panda(reference):
    """Another file of another author: FR3 and Panda have the same kinematics."""
    panda = pin.buildModelFromUrdf(str(real_urdf('panda.urdf')))
    data, other = reference.createData(), panda.createData()
    assert panda.nq == reference.nq
    for joints in places(panda, 10):
        pin.framesForwardKinematics(reference, data, joints)
        pin.framesForwardKinematics(panda, other, joints)
        ours = data.oMf[reference.getFrameId('fr3_hand')]
        theirs = other.oMf[panda.getFrameId('panda_hand')]
        np.testing.assert_allclose(ours.homogeneous, theirs.homogeneous, atol=1e-6)


def test_a_free_arm_keeps_its_energy():
    """Without motors, friction and damping it swings, and what it has stays the same."""

    robot = world()
    model, data = robot.model, robot.data
    off = mujoco.mjtDisableBit
    model.opt.disableflags |= off.mjDSBL_ACTUATION | off.mjDSBL_CONSTRAINT
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_RK4
    model.dof_damping[:] = model.body_gravcomp[:] = 0.0
    # Springs keep the fingers in the hand.
    model.jnt_stiffness[7:] = 1e3
    energies, speeds = [], []
    for _ in range(500):
        mujoco.mj_step(model, data)
        energies.append(data.energy.sum())
        speeds.append(np.abs(data.qvel).max())
    # It falls, and half a second later nothing is lost [rad/s, J].
    assert max(speeds) > 2.0
    assert np.ptp(energies) < 1e-2


def test_left_alone_it_stands_still(robot):
    look(robot, [*REST.values(), REST[FINGER_JOINT]])
    wanted = np.array(list(REST.values()))
    for _ in range(300):
        robot.step(wanted, np.zeros(8), 1e-3, None)
    np.testing.assert_allclose(robot.positions, wanted, atol=1e-4)


def test_no_motor_does_more_than_it_can():
    robot = world()
    wanted = np.array(list(REST.values()))
    wanted[:7] += [1.0, -0.5, 1.0, 0.8, 1.0, 1.0, 1.0]
    most = np.zeros(9)
    for _ in range(200):
        robot.step(wanted, np.zeros(8), 1e-3, None)
        # What the motors do, and what they hold.
        most = np.maximum(most, np.abs(robot.data.qfrc_actuator))
    assert (most[:7] <= EFFORTS + 1e-9).all()
    # The limit was met.
    assert (most[:4] > 80.0).any()


def trajectory(joints, seconds):
    here = np.array([REST[name] for name in ARM_JOINTS])
    still = np.zeros(7)
    points = (TrajectoryPoint(round(seconds * SECOND), here + joints, still, still),)
    return JointTrajectory(0, ARM_JOINTS, points)


def physical():
    options = read_disagreement('controller_rate_hz=1000')
    return FakeArm(ARM, None, 0, disagreement=options, make_joints=world)


def test_it_follows_the_trajectories_of_its_controller():
    arm = physical()
    arm.advance(SECOND // 10)
    way = np.array([0.4, 0.2, -0.3, 0.2, 0.5, 0.3, -0.5])
    arm.accept('arm', trajectory(way, 1.0), arm.now_ns)
    worst = 0.0
    for _ in range(100):
        arm.advance(arm.now_ns + SECOND // 100)
        wanted, here = arm.trajectories['arm'].desired[0], arm.positions
        worst = max(worst, np.abs(wanted - [here[name] for name in ARM_JOINTS]).max())
    # It is never quite where it is to be, and never far.
    assert 1e-3 < worst < 0.05
    arm.advance(arm.now_ns + SECOND // 2)
    there = [arm.positions[name] - REST[name] for name in ARM_JOINTS]
    np.testing.assert_allclose(there, way, atol=5e-3)


def test_an_emergency_stop_holds_it_and_its_release_does_not_move_it():
    arm = physical()
    arm.accept('arm', trajectory(np.full(7, 0.3), 0.6), arm.now_ns)
    arm.advance(SECOND // 4)
    arm.stop('emergency_stop')
    arm.advance(arm.now_ns + SECOND // 2)
    stood = arm.positions
    assert max(map(abs, arm.velocities.values())) < 1e-6
    arm.release()
    arm.advance(arm.now_ns + SECOND // 4)
    assert arm.positions == pytest.approx(stood, abs=2e-3)


def gripped(friction, mass=0.3):
    """Return a world in which the hand has closed on a block, high over everything."""

    def block(spec):
        body = spec.worldbody.add_body(name='block', pos=[0.3068, 0.0, 0.4869])
        body.add_freejoint()
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02, 0.02, 0.03], mass=mass)
        for pad in ('leftfinger_1', 'rightfinger_1'):
            spec.geom(pad).friction[0] = friction
        # Held for as long as the fingers close.
        body.gravcomp = 1.0

    return world(block)


@pytest.mark.parametrize(('friction', 'holds'), [(1.0, True), (0.01, False)])
def test_it_grips_by_friction_alone(friction, holds):
    robot = gripped(friction)
    wanted = np.array(list(REST.values()))
    wanted[7] = 0.0
    for _ in range(300):
        robot.step(wanted, np.zeros(8), 1e-3, None)
    robot.model.body_gravcomp[robot.model.body('block').id] = 0.0
    width = robot.positions[7]
    assert width == pytest.approx(0.02, abs=1e-3)
    pressed = robot.data.joint(FINGER_JOINT).qfrc_actuator[0]
    assert 0.5 * GRASP_N < -pressed <= GRASP_N + 1e-9
    height = robot.data.body('block').xpos[2]
    for _ in range(300):
        robot.step(wanted, np.zeros(8), 1e-3, None)
    sunk = height - robot.data.body('block').xpos[2]
    assert sunk < 2e-3 if holds else sunk > 0.05
