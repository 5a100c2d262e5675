"""The arm contract: what the shipped file says; a wrong file is refused with every error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from robomamba_ros.errors import ConfigError
from robomamba_ros.resources import share_directory
from robomamba_ros.robots.arm import load_arm

ARMS = share_directory() / 'config' / 'arms'


def write(folder: Path, change) -> str:
    document = yaml.safe_load((ARMS / 'sawyer_sim.yaml').read_text())
    change(document)
    path = folder / 'arm.yaml'
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return str(path)


@pytest.mark.parametrize('path', sorted(ARMS.glob('*.yaml')), ids=lambda path: path.stem)
def test_every_shipped_contract_loads(path):
    assert load_arm(str(path)).name == path.stem


def test_sawyer_sim_says_what_the_simulator_needs():
    arm = load_arm('sawyer_sim')
    assert (arm.base_frame, arm.ee_frame) == ('base', 'right_hand')
    assert arm.period_ns == 12_500_000
    assert [joint.name for joint in arm.joints] == [f'right_j{i}' for i in range(7)]
    assert arm.joints[1].position == (-3.8095, 2.2736)
    assert arm.joints[1].velocity == 1.328
    assert (arm.gripper.open_position, arm.gripper.closed_position) == (1.0, 0.0)
    assert [(camera.name, camera.encoding, camera.required) for camera in arm.cameras] == [
        ('corner2', 'rgb8', True)
    ]
    assert dict(arm.inputs) == {'joint_states': 'joint_states', 'ee_pose': 'ee_pose'}
    assert [(out.part, out.kind, out.topic) for out in arm.outputs] == [
        ('arm', 'target_pose', 'target_pose'),
        ('gripper', 'joint_state', 'gripper'),
    ]


def test_sawyer_sim_lets_a_full_reversal_of_the_mocap_pass():
    arm = load_arm('sawyer_sim')
    fastest = np.linalg.norm([0.01, 0.01, 0.01]) * arm.control_rate_hz
    assert arm.cartesian.velocity >= fastest
    assert arm.cartesian.acceleration >= 2 * fastest * arm.control_rate_hz
    # Also along one axis up to the wall of the box, where the limit is shared by the three axes.
    assert arm.cartesian.acceleration / np.sqrt(3) >= 0.01 * arm.control_rate_hz**2


def test_every_error_is_reported_at_once(tmp_path):
    def change(document):
        document['control_rate_hz'] = -80
        document['joints'][2]['velocity'] = 'fast'
        document['joints'][3]['position'] = [2.0, -2.0]
        document['cameras'][0]['encoding'] = 'rgb'
        document['cartesian']['velocty'] = document['cartesian'].pop('velocity')
        document['workspace']['lower'] = [0.6, 0.35, float('nan')]
        document['outputs'][0]['kind'] = 'joint_state'
        del document['frames']
        document['gripper'] = 3

    with pytest.raises(ConfigError) as raised:
        load_arm(write(tmp_path, change))
    message = str(raised.value)
    assert f'{tmp_path}/arm.yaml has 10 error(s)' in message
    for expected in (
        'control_rate_hz: found -80, allowed: a number above 0 [Hz]',
        "joints[2].velocity: found 'fast', allowed: a number above 0 [rad/s or m/s]",
        'joints[3].position: found [2.0, -2.0], allowed: [lower, upper] with lower < upper',
        "cameras[0].encoding: found 'rgb', allowed: rgb8, bgr8, rgba8, bgra8, mono8",
        'cartesian.velocity: found nothing, allowed: a number above 0 [m/s]',
        'workspace.lower: found [0.6, 0.35, nan], allowed: a list of 3 finite numbers',
        "outputs[0].kind: found 'joint_state', allowed: joint_trajectory, forward_position, "
        'target_pose, twist',
        'frames: found nothing, allowed: a mapping with the keys base, end_effector',
        'gripper: found 3, allowed: a mapping with the keys joint',
    ):
        assert f'  - {expected}' in message
    assert 'cartesian.velocty: found an unknown key' in message
    assert "did you mean 'velocity'?" in message


@pytest.mark.parametrize(
    ('section', 'key', 'value', 'expected'),
    [
        ('cartesian', 'stop_deceleration', 300.0, 'at most acceleration'),
        ('cartesian', 'acceleration', True, 'found True, allowed: a number above 0'),
        ('cartesian', 'rotation_stop_deceleration', 99.0, 'at most rotation_acceleration'),
        ('gripper', 'closed_position', 1.0, 'other than closed_position'),
        ('workspace', 'upper', [0.5, 0.2, 0.5], r'above \[-0.5, 0.4, 0.05\] on every axis'),
        ('frames', 'base', '/base', "found '/base', allowed: a frame without a leading /"),
        ('inputs', 'ee_pose', {'topic': 'ee pose', 'budget_s': 0.1}, 'the name of a topic'),
        ('inputs', 'ee_pose', {'topic': 'p', 'budget_s': 0}, r'ee_pose.budget_s: found 0'),
    ],
)
def test_a_wrong_value_is_refused(tmp_path, section, key, value, expected):
    path = write(tmp_path, lambda document: document[section].update({key: value}))
    with pytest.raises(ConfigError, match=expected):
        load_arm(path)


def test_a_name_given_twice_is_refused(tmp_path):
    path = write(tmp_path, lambda document: document['joints'][1].update(name='right_j0'))
    with pytest.raises(ConfigError, match="joints: found 'right_j0' more than once"):
        load_arm(path)


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / 'arm.yaml'
    path.write_text((ARMS / 'sawyer_sim.yaml').read_text() + '\ncontrol_rate_hz: 8000.0\n')
    with pytest.raises(ConfigError, match='control_rate_hz: found twice in the mapping at line 5'):
        load_arm(str(path))


def test_an_unknown_arm_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r'known: .*sawyer_sim'):
        load_arm('sawer_sim')
