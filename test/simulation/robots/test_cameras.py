"""The cameras of a robot see what stands there, at the place that the contract says."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='a physical robot needs MuJoCo: pip install mujoco')
pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics, base_T_optical
from robomamba_ros.simulation.robots.roster import FR3, HSR
from robomamba_ros.simulation.robots.table_sim import TableSim
from robomamba_ros.spatial.transforms import quaternion_from_rotation_matrix, rotation_matrix
from robomamba_ros.types import Pose

SIZE = 96
SAME = ('joints', 'gripper', 'outputs', 'inputs', 'cartesian', 'urdf', 'control_rate_hz')


@pytest.fixture(scope='module')
def sim():
    made = TableSim('fr3/push', 2, camera_size=(SIZE, SIZE))
    yield made
    made.close()


@pytest.mark.parametrize(('robot', 'real'), [(FR3, 'franka_fr3'), (HSR, 'hsr')])
def test_the_contract_is_that_of_the_real_arm_but_for_its_cameras(robot, real):
    ours, real = load_arm(robot.arm), load_arm(real)
    for name in SAME:
        assert getattr(ours, name) == getattr(real, name), name
    assert (ours.base_frame, ours.ee_frame) == (real.base_frame, real.ee_frame)
    np.testing.assert_array_equal(ours.workspace.lower, real.workspace.lower)
    np.testing.assert_array_equal(ours.workspace.upper, real.workspace.upper)
    assert tuple(camera.name for camera in ours.cameras) == robot.cameras


def test_the_hsr_keeps_the_cameras_and_the_stop_button_of_the_real_one():
    ours, real = load_arm('hsr_sim'), load_arm('hsr')
    assert ours.interlocks == real.interlocks
    assert ours.space == real.space
    for camera, same in zip(real.cameras, ours.cameras, strict=False):
        assert (camera.name, camera.topic, camera.link) == (same.name, same.topic, same.link)


@pytest.mark.parametrize(
    ('robot', 'name'), [('fr3', 'front'), ('fr3', 'wrist'), ('hsr', 'head'), ('hsr', 'hand')]
)
def test_a_camera_is_where_the_contract_has_it(sim, robot, name):
    sim = sim if robot == 'fr3' else TableSim(f'{robot}/push', 2)
    state = sim.state(0)
    camera = next(each for each in sim.arm.cameras if each.name == name)
    kinematics = Kinematics(sim.arm, sim.urdf)
    pose = base_T_optical(camera, state.pose, state.joints, kinematics)
    seen = sim.world.data.cam(name)
    # MuJoCo looks along -z with y up, an optical frame along z with y down.
    turn = quaternion_from_rotation_matrix(seen.xmat.reshape(3, 3) * [1.0, -1.0, -1.0])
    # Of an HSR the contract's base frame is where the odometry began.
    there = sim.as_seen(Pose(np.array(seen.xpos), turn))
    np.testing.assert_allclose(pose.position, there.position, atol=1e-6)
    axes = rotation_matrix(there.quaternion)
    np.testing.assert_allclose(rotation_matrix(pose.quaternion), axes, atol=1e-6)


def test_it_sees_the_pump_in_its_color_where_it_stands_at_its_distance(sim):
    name = 'front'
    place = sim.look.position('pump')
    seen = sim.world.data.cam(name)
    x, y, z = (place - seen.xpos) @ seen.xmat.reshape(3, 3)
    focal = 0.5 * SIZE / np.tan(0.5 * np.deg2rad(sim.world.model.cam(name).fovy[0]))
    column, row = round(SIZE / 2 - focal * x / z - 0.5), round(SIZE / 2 + focal * y / z - 0.5)
    red, _, blue = sim.render(name)[row, column].astype(int)
    assert blue > red + 40
    # The bottle's skin is 35 mm before its middle.
    assert sim.render_depth(name)[row, column] == pytest.approx(-z, abs=0.045)


def test_both_cameras_show_another_picture_once_the_arm_has_moved(sim):
    before = {name: sim.render(name).astype(int) for name in sim.cameras}
    sim.world.put(sim.world.positions + 0.3 * np.eye(8)[0], 0.05)
    for name in sim.cameras:
        assert np.abs(sim.render(name) - before[name]).max() > 50
