"""An arm with masses: servos follow, gravity is compensated, a load is not."""

from __future__ import annotations

import numpy as np
import pytest
from support.bench import Bench
from support.real_robots import real_urdf

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.disagreement import Disagreement, read_disagreement
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.types import NANOSECONDS

pytest.importorskip('mujoco', reason='an arm with masses needs MuJoCo: pip install mujoco')
pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

NOW = 50 * NANOSECONDS
PHYSICAL = Disagreement(physics='mujoco')


def run(fake: FakeArm, seconds: float) -> None:
    fake.advance(fake.now_ns + round(seconds * NANOSECONDS))


@pytest.mark.parametrize('name', ['ur5e', 'franka_fr3', 'franka_panda', 'hsr', 'so101'])
def test_an_arm_left_alone_stays_where_it_is(name):
    fake = FakeArm(load_arm(name), None, NOW, disagreement=PHYSICAL)
    before = fake.positions
    run(fake, 0.5)
    assert fake.positions == pytest.approx(before, abs=1e-9)


def test_it_is_where_the_urdf_says():
    arm = load_arm('franka_fr3')
    kinematics = Kinematics(arm, made_up_urdf(arm))
    fake = FakeArm(arm, kinematics, NOW, disagreement=PHYSICAL)
    run(fake, 0.1)
    joints = fake._joints
    body = joints._mujoco.mj_name2id(joints._model, joints._mujoco.mjtObj.mjOBJ_BODY, arm.ee_frame)
    np.testing.assert_allclose(joints._data.xpos[body], fake.pose.position, atol=1e-6)


def test_a_load_that_is_not_compensated_pulls_it_down():
    arm = load_arm('ur5e')
    kinematics = Kinematics(arm, made_up_urdf(arm))
    loaded = read_disagreement('physics=mujoco,load_n=20')
    fake = FakeArm(arm, kinematics, NOW, disagreement=loaded)
    before = fake.pose.position
    run(fake, 1.0)
    sunk = before - fake.pose.position
    assert 1e-4 < sunk[2] < 0.05
    assert np.abs(sunk[:2]).max() < sunk[2]
    # At rest, there.
    run(fake, 0.5)
    assert max(abs(v) for v in fake.velocities.values()) < 1e-3


def test_a_real_urdf_has_its_own_masses():
    urdf = real_urdf('ur5_robot.urdf').read_text()
    fake = FakeArm(load_arm('ur5e'), None, NOW, disagreement=PHYSICAL, urdf=urdf)
    run(fake, 0.2)
    # The UR5 weighs 18.4 kg.
    assert fake._joints._model.body_mass.sum() == pytest.approx(18.4, abs=3.0)


@pytest.mark.parametrize('name', ['franka_fr3', 'hsr'])
def test_a_loop_moves_it_and_it_comes_to_rest_where_it_was_told(name):
    bench = Bench(load_arm(name), PHYSICAL)
    # Until it was measured often enough.
    bench.run(0.2)
    begin = bench.joints
    speeds = np.array([0.2 * joint.velocity for joint in bench.arm.joints])
    inward = np.array(
        [-1.0 if sum(j.position) < 2.0 * (j.rest or 0.0) else 1.0 for j in bench.arm.joints]
    )
    bench.add(np.tile(inward * speeds * 0.02, (25, 1)))
    bench.run(3.0)
    told = bench.loop.command().setpoint.joints
    np.testing.assert_allclose(bench.joints, [told[name] for name in bench.names], atol=5e-3)
    moved = np.abs(bench.joints - begin)
    assert (moved > 0.5 * 0.5 * speeds).all()
    assert bench.exceeded == {}
    assert bench.speed < 1e-3


def test_a_stop_holds_its_masses_and_a_hand_moves_them():
    fake = FakeArm(load_arm('franka_fr3'), None, NOW, disagreement=PHYSICAL)
    fake.stop('emergency_stop')
    run(fake, 0.1)
    fake.move_by_hand({'fr3_joint2': 0.2}, 0.2)
    run(fake, 0.5)
    assert fake.positions['fr3_joint2'] == pytest.approx(-0.7854 + 0.2)
    fake.release()
    run(fake, 0.5)
    assert fake.positions['fr3_joint2'] == pytest.approx(-0.7854 + 0.2, abs=1e-6)
