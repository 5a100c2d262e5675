"""The arm contract: what the shipped file says; a wrong file is refused with every error."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.arm import load_arm

ARMS = share_directory() / 'config' / 'arms'
PLACE = {'position': [0, 0, 0], 'quaternion': [0, 0, 0, 1]}
GUIDE = Path(__file__).parents[2] / 'docs' / 'adding_an_arm.md'


def write(folder: Path, change, arm: str = 'sawyer_sim') -> str:
    document = yaml.safe_load((ARMS / f'{arm}.yaml').read_text())
    change(document)
    path = folder / 'arm.yaml'
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return str(path)


@pytest.mark.parametrize('path', sorted(ARMS.glob('*.yaml')), ids=lambda path: path.stem)
def test_every_shipped_contract_loads(path):
    assert load_arm(str(path)).name == path.stem


def test_the_example_of_the_guide_loads_and_has_every_key(tmp_path):
    examples = re.findall(r'```yaml\n(.*?)```', GUIDE.read_text(), re.DOTALL)
    path = tmp_path / 'my_arm.yaml'
    path.write_text(examples[0])
    arm = load_arm(str(path))
    assert arm.urdf.topic == 'robot_description'
    assert [joint.name for joint in arm.joints_of('arm')] == ['joint1', 'joint2']
    assert (arm.joints[0].jerk, arm.joints[0].rest, arm.joints[2].jerk) == (50.0, 0.0, None)
    assert arm.cameras[0].base_T_camera.position.tolist() == [1.2, 0.0, 0.6]
    assert arm.cameras[0].info_topic == 'front/camera_info'
    assert (arm.cartesian.jerk, arm.cartesian.rotation_jerk) == (20.0, 40.0)
    assert arm.output('arm').lead_s == 0.06
    assert arm.output('gripper').max_effort == 20.0
    assert arm.output('base') is None


def test_the_second_example_of_the_guide_adds_a_base_to_the_first(tmp_path):
    first, second = (
        yaml.safe_load(text)
        for text in re.findall(r'```yaml\n(.*?)```', GUIDE.read_text(), re.DOTALL)
    )
    document = {**first, 'frames': second['frames']}
    document['inputs'] |= second['inputs']
    for key in ('joints', 'outputs'):
        document[key] += second[key]
    path = tmp_path / 'mobile.yaml'
    path.write_text(yaml.safe_dump(document))
    arm = load_arm(str(path))
    assert [joint.name for joint in arm.joints_of('base')] == ['odom_x', 'odom_y', 'odom_t']
    assert arm.inputs['odometry'] == 'omni_base_controller/wheel_odom'


@pytest.mark.parametrize(
    'name', [path.stem for path in sorted(ARMS.glob('*.yaml')) if path.stem != 'sawyer_sim']
)
def test_contracts_for_hardware_limit_jerk_and_move_slowly(name):
    arm = load_arm(name)
    assert all(joint.jerk is not None for joint in arm.joints)
    assert arm.cartesian.jerk is not None
    assert arm.cartesian.rotation_jerk is not None
    assert arm.cartesian.velocity <= 0.5


def test_the_hsr_has_the_eleven_joints_of_anolevla():
    arm = load_arm('hsr')
    assert [len(arm.joints_of(part)) for part in ('base', 'arm', 'head')] == [3, 5, 2]
    assert arm.gripper.joint == 'hand_motor_joint'
    assert arm.joints[0].position == (-np.inf, np.inf)
    assert arm.joints[0].rest is None
    assert arm.joints[3].rest == 0.2
    assert {out.part: (out.kind, out.topic) for out in arm.outputs} == {
        'arm': ('joint_trajectory', 'arm_trajectory_controller/joint_trajectory'),
        'head': ('joint_trajectory', 'head_trajectory_controller/joint_trajectory'),
        'gripper': ('joint_trajectory', 'gripper_controller/joint_trajectory'),
        'base': ('twist', 'omni_base_controller/cmd_vel'),
    }
    assert not arm.output('base').stamped


def test_the_pose_is_computed_from_the_joints_where_the_arm_gives_none():
    arm, sim = load_arm('ur5e'), load_arm('sawyer_sim')
    assert arm.budgets_s == {'joint_states': 0.1}
    assert (arm.takes_poses, arm.has_kinematics) == (False, True)
    assert sim.budgets_s == {'joint_states': 0.25, 'ee_pose': 0.25}
    assert (sim.takes_poses, sim.has_kinematics) == (True, False)


def test_a_urdf_beside_the_contract_is_found_from_anywhere(tmp_path):
    path = write(tmp_path, lambda document: document.update(urdf={'file': 'urdf/sawyer.urdf'}))
    assert load_arm(path).urdf.file == str(tmp_path / 'urdf/sawyer.urdf')
    path = write(tmp_path, lambda document: document.update(urdf={'file': 'package://a/b.urdf'}))
    assert load_arm(path).urdf.file == 'package://a/b.urdf'


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
        'control_rate_hz: found -80, allowed: a number from 1 to 2000 [Hz]',
        "joints[2].velocity: found 'fast', allowed: a number from 0.001 to 100 [rad/s or m/s]",
        'joints[3].position: found [2.0, -2.0], allowed: [lower, upper] with lower < upper',
        "cameras[0].encoding: found 'rgb', allowed: rgb8, bgr8, rgba8, bgra8, mono8",
        'cartesian.velocity: found nothing, allowed: a number from 0.001 to 100',
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
        ('cartesian', 'acceleration', True, 'found True, allowed: a number from'),
        ('cartesian', 'rotation_stop_deceleration', 99.0, 'at most rotation_acceleration'),
        ('gripper', 'closed_position', 1.0, 'other than closed_position'),
        ('workspace', 'upper', [0.5, 0.2, 0.5], r'above \[-0.5, 0.4, 0.05\] on every axis'),
        ('frames', 'base', 'the base', "found 'the base', allowed: a frame"),
        ('inputs', 'ee_pose', {'topic': 'ee pose', 'budget_s': 0.1}, 'the name of a topic'),
        ('inputs', 'ee_pose', {'topic': 'p', 'budget_s': 0}, r'ee_pose.budget_s: found 0'),
    ],
)
def test_a_wrong_value_is_refused(tmp_path, section, key, value, expected):
    path = write(tmp_path, lambda document: document[section].update({key: value}))
    with pytest.raises(ConfigError, match=expected):
        load_arm(path)


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (
            lambda d: d['outputs'].pop(3),
            'outputs: found none for the part base, allowed: one for each part with joints',
        ),
        (
            lambda d: [joint.pop('part', None) for joint in d['joints'][-2:]],
            'outputs: found one for the part head, allowed: parts that have joints',
        ),
        (
            lambda d: d['joints'].pop(0),
            'joints: found 2 of the part base, allowed: 3: along x, along y, about z',
        ),
        (
            lambda d: d['inputs'].pop('odometry'),
            r'inputs.odometry: found nothing, with joints of the part base',
        ),
        (
            lambda d: d.pop('urdf'),
            'inputs.ee_pose: found nothing, allowed: a topic, or else `urdf`',
        ),
        (
            lambda d: d['urdf'].update(file='hsr.urdf'),
            'urdf: found both or neither, allowed: either file or topic',
        ),
        (
            lambda d: d['joints'][0].update(part='bas'),
            "joints.0..part: found 'bas', allowed: arm, base, head; did you mean 'base'?",
        ),
        (
            lambda d: d['joints'][3].update(rest=0.7),
            r'joints.3..rest: found 0.7, allowed: within position \[0.0, 0.69\]',
        ),
        (
            lambda d: d['joints'][3].update(position=[0.0, float('nan')]),
            r'joints.3..position: found \[0.0, nan\], allowed: a list of 2 numbers, -.inf or .inf',
        ),
        (
            lambda d: d['joints'][3].update(jerk=-1.0),
            r'joints.3..jerk: found -1.0, allowed: a number from 0.1 to 1e\+07 \[rad/s\^3',
        ),
        (
            lambda d: d['outputs'][0].update(stamped=True),
            'outputs.0..stamped: found it with the kind joint_trajectory, allowed: only with the k',
        ),
        (
            lambda d: d['outputs'][3].pop('stamped'),
            'outputs.3..stamped: found nothing, allowed: true or false',
        ),
        (
            lambda d: d['outputs'][2].update(kind='gripper_comand'),
            "did you mean 'gripper_command'?",
        ),
        (
            lambda d: d['outputs'][2].update(kind='gripper_command', lead_s=0.1),
            r'outputs.2..lead_s: found it with the kind gripper_command.*\n.*max_effort: found not',
        ),
        (
            lambda d: d['outputs'].append({**d['outputs'][0], 'topic': 'other'}),
            "outputs: found 'arm' more than once",
        ),
        (
            lambda d: d['cameras'][0].update(
                base_T_camera={'position': [0, 0, 0], 'quaternion': [0, 0, 0, 2]}
            ),
            r'base_T_camera.quaternion: found \[0.0, 0.0, 0.0, 2.0\], allowed: x, y, z, w of leng',
        ),
        (
            lambda d: d['cameras'][0].update(base_T_camera=PLACE, ee_T_camera=PLACE),
            'ee_T_camera: found it beside base_T_camera, allowed: one of base_T_camera, ee_T_',
        ),
        (
            lambda d: d.pop('urdf'),
            "urdf: found nothing, with a link for the camera 'head', allowed: `urdf`",
        ),
        (
            lambda d: d['cameras'][0].update(depth_topic='a b'),
            "cameras.0..depth_topic: found 'a b', allowed: the name of a topic",
        ),
    ],
)
def test_a_part_that_does_not_fit_the_others_is_refused(tmp_path, change, expected):
    with pytest.raises(ConfigError, match=expected):
        load_arm(write(tmp_path, change, 'hsr'))


INTERLOCK = {
    'name': 'mode',
    'topic': 'robot_state',
    'type': 'franka_msgs/msg/FrankaRobotState',
    'field': 'robot_mode',
    'allowed': [2],
    'budget_s': 0.2,
}


def test_interlocks_and_what_else_the_robot_says_are_read(tmp_path):
    latched = {**INTERLOCK, 'name': 'dead_man', 'field': 'a.buttons[4]', 'allowed': [True, 'on']}
    latched |= {'latched': True, 'optional': True}
    del latched['budget_s']

    def change(document):
        document['interlocks'] = [INTERLOCK, latched]
        document['speed_scaling'] = {'topic': 'speed_scaling', 'budget_s': 0.1}
        document['outputs'][0] |= {'publishers': 2, 'controller_settings': 'assume'}
        document['inputs']['joint_states'] = [
            {'topic': 'joint_states', 'budget_s': 0.1, 'publishers': 2},
            {'topic': 'hand', 'budget_s': 0.2},
        ]

    arm = load_arm(write(tmp_path, change, 'hsr'))
    mode, dead_man = arm.interlocks
    assert (mode.field, mode.allowed, mode.budget_s) == ('robot_mode', (2,), 0.2)
    assert (mode.latched, mode.optional) == (False, False)
    assert (dead_man.field, dead_man.allowed) == ('a.buttons[4]', (True, 'on'))
    assert (dead_man.latched, dead_man.optional, dead_man.budget_s) == (True, True, None)
    assert arm.speed_scaling is not None
    assert (arm.speed_scaling.topic, arm.speed_scaling.budget_s) == ('speed_scaling', 0.1)
    assert [(o.publishers, o.assume_settings) for o in arm.outputs[:2]] == [(2, True), (1, False)]
    assert arm.publishers == {'joint_states': 2, 'joint_states_2': 1, 'odometry': 1}
    assert arm.budgets_s['joint_states_2'] == 0.2


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        ({'budget_s': None}, 'budget_s: found nothing, allowed: a number'),
        ({'type': 'std_msgs/Bool'}, "type: found 'std_msgs/Bool', allowed: a message type such as"),
        ({'field': 'buttons[x]'}, r"field: found 'buttons\[x\]', allowed: a field such as data"),
        ({'allowed': []}, 'allowed: found .., allowed: a list of true, false, numbers or texts'),
        ({'allowed': [None]}, 'allowed: a list of true, false, numbers or texts'),
        ({'fields': 'data'}, "fields: found an unknown key, .*did you mean 'field'"),
    ],
)
def test_an_interlock_that_says_nothing_is_refused(tmp_path, change, expected):
    path = write(tmp_path, lambda d: d.update(interlocks=[{**INTERLOCK, **change}]))
    with pytest.raises(ConfigError, match=expected):
        load_arm(path)


def test_an_interlock_needs_a_budget_unless_it_is_latched(tmp_path):
    silent = {key: value for key, value in INTERLOCK.items() if key != 'budget_s'}
    path = write(tmp_path, lambda d: d.update(interlocks=[silent, silent]))
    with pytest.raises(ConfigError, match=r'interlocks\[0\].budget_s: found nothing') as raised:
        load_arm(path)
    assert "interlocks: found 'mode' more than once" in str(raised.value)


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (lambda d: d['outputs'][0].update(publishers=0), 'publishers: found 0, allowed: a whole'),
        (
            lambda d: d['outputs'][1].update(controller_settings='read'),
            'controller_settings: found it with the kind joint_state',
        ),
        (lambda d: d.pop('gripper'), 'outputs: found one for the part gripper'),
        (
            lambda d: d['inputs'].update(joint_states=[d['inputs']['joint_states']] * 2),
            "inputs: found 'joint_states' more than once",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, change, expected):
    with pytest.raises(ConfigError, match=expected):
        load_arm(write(tmp_path, change))


def test_a_name_given_twice_is_refused(tmp_path):
    path = write(tmp_path, lambda document: document['joints'][1].update(name='right_j0'))
    with pytest.raises(ConfigError, match="joints: found 'right_j0' more than once"):
        load_arm(path)


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / 'arm.yaml'
    path.write_text((ARMS / 'sawyer_sim.yaml').read_text() + '\ncontrol_rate_hz: 8000.0\n')
    with pytest.raises(ConfigError, match='control_rate_hz: found twice in the mapping at line 5'):
        load_arm(str(path))


@pytest.mark.parametrize(
    ('old', 'new', 'expected'),
    [
        (
            'control_rate_hz: 100.0',
            'control_rate_hz: 1.0e+9',
            'control_rate_hz: found 1000000000.0',
        ),
        ('control_rate_hz: 100.0', 'control_rate_hz: 1.0e-300', 'control_rate_hz: found 1e-300'),
        (
            'control_rate_hz: 100.0',
            'control_rate_hz: 0100',
            "found '0100' .a text: a number has no",
        ),
        (
            'control_rate_hz: 100.0',
            'control_rate_hz: 1:40',
            "found '1:40' .a text: a number has no",
        ),
        ('control_rate_hz: 100.0', 'control_rate_hz: yes', "control_rate_hz: found 'yes'"),
        ('control_rate_hz: 100.0', 'control_rate_hz: 2001-99-99', "found '2001-99-99'"),
        ('velocity: 2.0', 'velocity: 1.0e+300', r'joints\[0\].velocity: found 1e\+300'),
        ('acceleration: 9.99', 'acceleration: 0.02', 'from which a stop would take 100 s'),
        (
            'jerk: 4995.0',
            'jerk: 1.0e-9',
            r'joints\[0\].jerk: found 1e-09, allowed: a number from 0',
        ),
        ('[-2.3476, 2.3476]', '[-1.0e+308, 1.0e+308]', r'joints\[0\].position: found \[-1e\+308'),
        (
            'states, budget_s: 0.1}',
            'states, budget_s: 1.0e+12}',
            'moves on for as long without its',
        ),
        (
            'lead_s: 0.06',
            'lead_s: 1000',
            r'outputs\[0\].lead_s: found 1000, allowed: a number from',
        ),
        ('max_effort: 30.0', 'max_effort: 1.0e+300', r'outputs\[1\].max_effort: found 1e\+300'),
        (
            'open_position: 0.039',
            'open_position: 1.0e-320',
            'other than closed_position, by 0.0001',
        ),
        ('lower: [0.2,', 'lower: [-1.0e+308,', r'workspace.lower: found \[-1e\+308'),
        (
            'topic: fr3_arm_controller/joint_trajectory',
            'topic: /franka/joint_states',
            'an input of the arm',
        ),
        (
            'topic: fr3_arm_controller/joint_trajectory',
            'topic: action_chunk',
            'a topic of the nodes',
        ),
        ('topic: fr3_arm_controller/joint_trajectory', 'topic: fr3_ärm/t', 'the name of a topic'),
        ('name: franka_fr3', f'name: {"a" * 9000}', r'name: found .a{100} .. \(9000 letters\)'),
    ],
    ids=range(19),
)
def test_numbers_and_names_without_sense_are_refused(tmp_path, old, new, expected):
    text = (ARMS / 'franka_fr3.yaml').read_text()
    assert old in text
    path = tmp_path / 'arm.yaml'
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=expected) as raised:
        load_arm(str(path))
    assert str(path) in str(raised.value)


def test_errors_without_number_are_cut_short(tmp_path):
    path = tmp_path / 'arm.yaml'
    extra = ''.join(f'extra{number}: 1\n' for number in range(5000))
    path.write_text(extra + (ARMS / 'sawyer_sim.yaml').read_text())
    with pytest.raises(ConfigError, match='4990 more unknown keys') as raised:
        load_arm(str(path))
    assert len(str(raised.value)) < 5000
    document = yaml.safe_load((ARMS / 'sawyer_sim.yaml').read_text())
    document['joints'] *= 1000
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match=r'joints: found \d+ entries, allowed: at most 200'):
        load_arm(str(path))


def test_an_unknown_arm_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r'known: .*sawyer_sim'):
        load_arm('sawer_sim')


@pytest.mark.parametrize('arm', ['franka_fr3', 'franka_panda', 'fr3_sim'])
def test_a_franka_gripper_is_told_half_of_its_width(arm):
    hand = load_arm(arm).gripper
    # franka_gripper doubles the position of a GripperCommand, and aborts beyond 0.08 m.
    assert 0.07 < 2 * hand.open_position < 0.08
    assert hand.closed_position == 0.0
