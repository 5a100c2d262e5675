"""The cameras of the FR3 see what stands there, at the place that the contract says."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('mujoco', reason='a physical robot needs MuJoCo: pip install mujoco')
pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import base_T_optical
from robomamba_ros.simulation.robots.table_sim import CAMERAS, TableSim
from robomamba_ros.spatial.transforms import rotation_matrix

SIZE = 96


@pytest.fixture(scope='module')
def sim():
    made = TableSim('fr3/push', 2, camera_size=(SIZE, SIZE))
    yield made
    made.close()


def test_the_contract_is_that_of_the_real_arm_but_for_its_cameras():
    ours, real = load_arm('fr3_sim'), load_arm('franka_fr3')
    for name in ('joints', 'gripper', 'outputs', 'inputs', 'cartesian', 'urdf', 'control_rate_hz'):
        assert getattr(ours, name) == getattr(real, name), name
    assert (ours.base_frame, ours.ee_frame) == (real.base_frame, real.ee_frame)
    np.testing.assert_array_equal(ours.workspace.lower, real.workspace.lower)
    np.testing.assert_array_equal(ours.workspace.upper, real.workspace.upper)
    assert tuple(camera.name for camera in ours.cameras) == CAMERAS


@pytest.mark.parametrize('name', CAMERAS)
def test_a_camera_is_where_the_contract_has_it(sim, name):
    state = sim.state(0)
    camera = next(each for each in sim.arm.cameras if each.name == name)
    pose = base_T_optical(camera, state.pose, state.joints, None)
    seen = sim.world.data.cam(name)
    np.testing.assert_allclose(pose.position, seen.xpos, atol=1e-6)
    # MuJoCo looks along -z with y up, an optical frame along z with y down.
    axes = seen.xmat.reshape(3, 3) * [1.0, -1.0, -1.0]
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
    before = {name: sim.render(name).astype(int) for name in CAMERAS}
    sim.world.put(sim.world.positions + 0.3 * np.eye(8)[0], 0.05)
    for name in CAMERAS:
        assert np.abs(sim.render(name) - before[name]).max() > 50
