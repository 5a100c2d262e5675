"""Targets of localisation: what demonstrations say by themselves, without a simulator."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.made_arms import MADE, write_arm
from support.made_demonstrations import META, small_run

from robomamba_ros.common.resources import find_file
from robomamba_ros.datasets.demonstrations import sample_dtype, write_shard
from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.training.anolevla.localization import View, demonstrated, find_targets
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.anolevla.samples import Samples
from robomamba_ros.training.anolevla.waypoints import changes_of

HAND = ('ee_x', 'ee_y', 'ee_z', 'gripper')
VIEW = {'front': 60.0}


def grasp(folder, *, steps=range(0, 30, 3), names=HAND, states=None):
    """Write an episode that moves along x, closes the gripper at step 10 and opens it at 20."""
    meta = replace(META, state_names=names)
    samples = np.zeros(len(steps), sample_dtype(meta))
    grip = np.where((np.arange(60) >= 10) & (np.arange(60) < 20), 0.3, 0.5)
    for sample, step in zip(samples, steps, strict=True):
        sample['state'] = [0.01 * step, 0.6, 0.1, 1.0] if states is None else states[step]
        sample['previous_state'] = sample['state']
        sample['actions'][:, 1] = grip[step : step + 8]
        sample['valid'] = step + np.arange(8) < 30
        sample['step'] = step
    # What only a simulator knows is not there.
    samples['points'] = samples['pixels'] = np.nan
    meta.save(folder)
    # The order of rows says nothing.
    write_shard(folder, 'a', samples[np.random.default_rng(0).permutation(len(samples))])
    return folder


def run_of(data, output, **changes):
    settings = {'localization_weight': 0.2, 'localization': 'demonstrations'}
    return small_run(data, output, **{**settings, **changes})


def test_a_demonstration_says_where_the_gripper_changes_and_where_it_ends(tmp_path):
    data = grasp(tmp_path / 'data')
    samples = Samples.load(data)
    points = find_targets(run_of(data, tmp_path), samples).points
    order = np.argsort(samples.step)
    x = points[order, :, 0]
    steps = np.arange(0, 30, 3)
    np.testing.assert_allclose(x[:, 2], 0.01 * steps, atol=1e-6)
    np.testing.assert_allclose(x[:, 1], 0.27, atol=1e-6)
    expected = np.where(steps < 10, 0.10, np.where(steps < 20, 0.20, 0.27))
    np.testing.assert_allclose(x[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(points[:, :, 1:], np.array([0.6, 0.1]) * np.ones((10, 3, 1)))


@pytest.mark.parametrize(
    ('commands', 'expected'),
    [
        ([0.5] * 9, []),
        ([0.5, 0.52, 0.5, 0.48, 0.5], []),
        ([1, 1, 0, 0, 0, 1], [2, 5]),
        ([1.0, 0.7, 0.52, 0.48, 0.51, 0.2, 0.0], [5]),
        ([0.02, 0.9, 1.0, 0.98], [1]),
    ],
)
def test_noise_about_the_middle_is_no_change_of_the_gripper(commands, expected):
    assert changes_of(np.array(commands), 0.1).tolist() == expected


def test_points_are_where_the_camera_of_the_contract_shows_them():
    """Points and pixels as MuJoCo gives them for the camera `corner2` of the simulated Sawyer."""
    hands = np.array([[0.00453, 0.40031, 0.19569], [0.01724, 0.70022, 0.41723]])
    expected = np.array([[-0.47963, 0.15145], [0.13635, -0.55581]])
    place = load_arm('sawyer_sim').cameras[0].base_T_camera
    pixels = View.of(224, 224, 60.0).project(hands, place)
    np.testing.assert_allclose(2 * (pixels - [48, 32]) / 160 - 1, expected, atol=1e-4)
    behind = place.position[None] + np.array([0.3, -0.3, 0.5])
    assert np.isnan(View.of(224, 224, 60.0).project(behind, place)).all()


def test_what_a_camera_does_not_show_is_not_looked_for(tmp_path):
    data = grasp(tmp_path / 'data')
    text = find_file('arms', 'sawyer_sim').read_text()
    arm = tmp_path / 'arm.yaml'
    arm.write_text(text.replace('name: corner2', 'name: front'))
    samples = Samples.load(data)
    pixels = demonstrated(run_of(data, tmp_path, arm=str(arm), field_of_view=VIEW), samples).pixels
    assert np.isfinite(pixels).all()
    narrow = run_of(data, tmp_path, arm=str(arm), field_of_view={'front': 10.0})
    assert np.isnan(demonstrated(narrow, samples).pixels).any()
    assert np.isnan(demonstrated(run_of(data, tmp_path), samples).pixels).all()
    losses = next(iter(Trainer(replace(narrow, heat_weight=0.02)).run())).losses
    for name in ('localization', 'heat'):
        assert np.isfinite(losses[name])
        assert losses[name] > 0.0


def test_joint_states_say_it_by_the_arms_kinematics(tmp_path):
    made = MADE['six']
    arm = write_arm(tmp_path, made.document(), made.urdf())
    kinematics = Kinematics(arm)
    joints = np.random.default_rng(0).uniform(-0.5, 0.5, (60, len(kinematics.names)))
    data = grasp(tmp_path / 'data', names=kinematics.names, states=joints)
    samples = Samples.load(data)
    config = run_of(data, tmp_path / 'run', arm=str(tmp_path / 'made.yaml'))
    points = find_targets(config, samples).points
    for step, point in zip(samples.step, points[:, 2], strict=True):
        np.testing.assert_allclose(point, kinematics.forward(joints[step]).position, atol=1e-6)
    with pytest.raises(ConfigError, match='does not say where the hand is; set arm'):
        find_targets(replace(config, arm=''), samples)
    with pytest.raises(ConfigError, match='which the kinematics'):
        find_targets(config, Samples.load(grasp(tmp_path / 'b', names=('a', 'b', 'c', 'd'))))


def test_a_camera_without_a_place_is_refused_by_name(tmp_path):
    data = grasp(tmp_path / 'data')
    samples = Samples.load(data)
    for changes, words in (
        ({'field_of_view': VIEW}, 'whose place no contract says'),
        ({'field_of_view': {'head': 60.0}, 'arm': 'sawyer_sim'}, "'head'"),
        ({'field_of_view': VIEW, 'arm': 'sawyer_sim'}, "unknown camera 'front'"),
    ):
        with pytest.raises(ConfigError, match=words):
            find_targets(run_of(data, tmp_path, **changes), samples)


def test_the_simulators_points_are_not_read(tmp_path):
    """The same run from a store with its points and from one in which they are deleted."""
    data = grasp(tmp_path / 'data')
    known = tmp_path / 'known'
    samples = np.load(data / 'a.npy')
    samples['points'], samples['pixels'] = 0.3, 0.1
    replace(META, state_names=HAND).save(known)
    write_shard(known, 'a', samples)
    one, other = (
        Trainer(run_of(folder, tmp_path / f'run_{folder.name}')) for folder in (data, known)
    )
    list(one.run(until=2))
    list(other.run(until=2))
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name
