"""A URDF is found, cut to the chain, and held against the contract with every difference."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.urdf import chain_urdf, read_urdf


@pytest.fixture
def six(made_arms):
    return made_arms['six']


def joints_of(chain: str) -> dict[str, str]:
    return {j.get('name'): j.get('type') for j in ElementTree.fromstring(chain).findall('joint')}


def test_the_chain_leaves_out_what_does_not_move_the_end_effector(six, write_arm):
    arm = write_arm(six.document(), six.urdf())
    chain, _ = chain_urdf(arm, read_urdf(arm))
    assert joints_of(chain) == {
        'base_mount': 'fixed',
        **dict.fromkeys(six.names, 'revolute'),
        'tool_mount': 'fixed',
    }
    assert 'mesh' not in chain


def test_every_difference_from_the_contract_is_reported_at_once(six, write_arm):
    document = six.document()
    document['joints'][1]['name'] = 'joint_2'
    document['joints'][4]['name'] = 'elbow'
    document['frames']['end_effector'] = 'tol'
    with pytest.raises(ConfigError) as caught:
        Kinematics(write_arm(document, six.urdf()))
    message = str(caught.value)
    assert "arm 'made' does not fit its URDF: it has 3 error(s)" in message
    assert "frames.end_effector: unknown link 'tol'. Did you mean 'tool'?" in message
    assert "joints: unknown joint 'joint_2'. Did you mean 'joint2'?" in message
    assert "joints: unknown joint 'elbow'." in message


def test_every_difference_along_the_chain_is_reported_at_once(six, write_arm):
    document = six.document()
    del document['joints'][5]
    document['joints'][0] |= {'velocity': 9.0, 'position': [-7.0, 7.0]}
    document['joints'].append(
        {'name': 'finger', 'position': [0.0, 0.04], 'velocity': 1.0, 'acceleration': 1.0}
    )
    urdf = six.urdf().replace(
        '<joint name="joint3" type="revolute">',
        '<joint name="joint3" type="revolute"><mimic joint="joint2"/>',
    )
    with pytest.raises(ConfigError) as caught:
        Kinematics(write_arm(document, urdf))
    message = str(caught.value)
    assert 'has 5 error(s)' in message
    for expected in (
        "'joint6' moves between the two frames and is not among the contract's joints",
        "'finger' does not move the end effector in the base frame; give it another part",
        "'joint1' has the velocity 9.0, more than the URDF's 2.0",
        "'joint1' has the positions [-7.0, 7.0], beyond the URDF's [-6.28, 6.28]",
        "'joint3' only mimics another joint",
    ):
        assert expected in message


def test_a_base_frame_behind_a_moving_joint_is_refused(six, write_arm):
    document = six.document()
    document['frames'] = {'base': 'joint3_link', 'end_effector': 'camera'}
    with pytest.raises(ConfigError, match="'joint3' lies between the base frame and the root"):
        Kinematics(write_arm(document, six.urdf()))


def test_a_joint_whose_limits_leave_no_room_counts_as_fixed(six, write_arm):
    urdf = six.urdf().replace(
        '<joint name="tool_mount" type="fixed">',
        '<joint name="tool_mount" type="revolute"><limit lower="0" upper="0" velocity="1" '
        'effort="1"/><axis xyz="1 0 0"/>',
    )
    arm = write_arm(six.document(), six.urdf())
    joints = np.linspace(-0.5, 0.5, 6)
    expected = Kinematics(arm).forward(joints)
    np.testing.assert_array_equal(Kinematics(arm, urdf).forward(joints).position, expected.position)


def test_a_joint_without_ends_is_one_angle_like_any_other(made_arms, write_arm):
    made = made_arms['seven']
    urdf = made.urdf().replace(
        '<joint name="joint7" type="revolute">', '<joint name="joint7" type="continuous">'
    )
    document = made.document()
    document['joints'][6]['position'] = [-np.inf, np.inf]
    arm = Kinematics(write_arm(document, urdf))
    joints = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 40.0])
    np.testing.assert_allclose(arm.forward(joints).position, made.matrix(joints)[:3, 3], atol=1e-12)
    # Unlimited in the contract alone, the limited joint of the first URDF is refused.
    with pytest.raises(ConfigError, match=r"'joint7' has the positions \[-inf, inf\]"):
        Kinematics(write_arm(document, made.urdf()))


def test_a_base_that_the_urdf_has_is_not_added_again(made_arms, write_arm):
    made = made_arms['mobile']
    arm = write_arm(made.document(), made.urdf())
    without = made.urdf()
    chain = joints_of(chain_urdf(arm, without)[0])
    assert list(chain)[:3] == ['odom_x', 'odom_y', 'odom_t']
    assert chain['odom_t'] == 'revolute'
    limit = '<limit velocity="1" effort="1" lower="-100" upper="100"/>'
    links = ['odom', 'odom_x_link', 'odom_y_link', 'root']
    moving = ''.join(
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<axis xyz="{axis}"/>{limit if kind == "prismatic" else ""}</joint>'
        f'<link name="{parent}"/>'
        for name, kind, axis, parent, child in zip(
            made.base,
            ('prismatic', 'prismatic', 'continuous'),
            ('1 0 0', '0 1 0', '0 0 1'),
            links,
            links[1:],
            strict=False,
        )
    )
    document = made.document()
    for joint in document['joints'][:2]:
        joint['position'] = [-100.0, 100.0]
    arm = write_arm(document, without.replace('</robot>', f'{moving}</robot>'))
    joints = np.array([1.0, -2.0, 0.7, 0.3, -0.8, 0.1, -0.7, 0.0])
    np.testing.assert_allclose(
        Kinematics(arm).forward(joints).position, made.matrix(joints)[:3, 3], atol=1e-12
    )


def test_a_package_is_found_as_ros_finds_it(six, write_arm, tmp_path, monkeypatch):
    document = six.document()
    document['urdf'] = {'file': 'package://made_description/urdf/made.urdf'}
    arm = write_arm(document, '')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'none'))
    with pytest.raises(
        ConfigError, match=r"package 'made_description', which is not in AMENT.*sour"
    ):
        read_urdf(arm)
    file = tmp_path / 'install' / 'share' / 'made_description' / 'urdf' / 'made.urdf'
    file.parent.mkdir(parents=True)
    file.write_text(six.urdf())
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path / "none"}:{tmp_path / "install"}')
    assert read_urdf(arm) == six.urdf()


@pytest.mark.parametrize(
    ('urdf', 'expected'),
    [
        (
            {'topic': 'robot_description'},
            'names the topic robot_description; give .*or pass the tex',
        ),
        ({'file': 'made.urdf.xacro'}, r'made\.urdf\.xacro cannot be read: there is no such'),
        ({'file': 'absent.urdf'}, 'cannot be read: .*absent.urdf'),
    ],
)
def test_a_urdf_that_cannot_be_read_is_refused(six, write_arm, urdf, expected):
    with pytest.raises(ConfigError, match=expected):
        read_urdf(write_arm({**six.document(), 'urdf': urdf}, ''))


@pytest.mark.parametrize(
    ('urdf', 'expected'),
    [
        ('not a urdf', 'is not XML'),
        ('<mujoco/>', 'has no links; is it a URDF'),
        (
            '<robot><link name="base"/><link name="tool"/><joint name="joint1" type="revolute">'
            '<parent link="base"/><child link="tool"/><limit lower="${low}"/></joint></robot>',
            "limits of the joint 'joint1' in the URDF are no numbers",
        ),
    ],
)
def test_text_that_is_no_urdf_is_refused(six, write_arm, urdf, expected):
    document = six.document()
    document['joints'] = document['joints'][:1]
    with pytest.raises(ConfigError, match=expected):
        Kinematics(write_arm(document, urdf))


def test_a_file_is_read_in_the_encoding_that_it_declares(six, write_arm, tmp_path):
    text = six.urdf().replace('<link name="base"/>', '<!-- 机械臂 --><link name="base"/>')
    assert '机' in text
    arm = write_arm(six.document(), six.urdf())
    expected = Kinematics(arm).forward(np.zeros(6)).position
    declared = '<?xml version="1.0" encoding="{}"?>'
    for encoding in ('GBK', 'UTF-16', 'utf-8-sig', 'Shift_JIS'):
        data = (declared.format(encoding) + text.replace('械', '')).encode(encoding)
        (tmp_path / arm.urdf.file).write_bytes(data)
        np.testing.assert_array_equal(Kinematics(arm).forward(np.zeros(6)).position, expected)
    for data in (text.encode('gbk'), declared.format('no-such').encode() + text.encode()):
        (tmp_path / arm.urdf.file).write_bytes(data)
        with pytest.raises(ConfigError, match=r'is not in .*; save it as UTF-8, or declare'):
            Kinematics(arm)


def test_a_joint_that_mimics_another_moves_with_it(six, write_arm):
    # A parallelogram: what joint2 turns, joint3 turns back, twice, and 0.1 rad further.
    mimic = '<mimic joint="joint2" multiplier="-2" offset="0.1"/>'
    joint = '<joint name="joint3" type="revolute">'
    assert joint in six.urdf()
    document = six.document()
    every = Kinematics(write_arm(document, six.urdf()))
    del document['joints'][2]
    arm = Kinematics(write_arm(document, six.urdf().replace(joint, joint + mimic)))
    assert arm.names == ('joint1', 'joint2', 'joint4', 'joint5', 'joint6')
    random = np.random.default_rng(0)
    for _ in range(5):
        one, two, *rest = joints = random.uniform(-1.0, 1.0, 5)
        all_joints = np.array([one, two, 0.1 - 2.0 * two, *rest])
        pose, expected = arm.forward(joints), every.forward(all_joints)
        np.testing.assert_array_equal(pose.position, expected.position)
        slope = [
            (arm.forward(joints + 1e-6 * d).position - arm.forward(joints - 1e-6 * d).position)
            / 2e-6
            for d in np.eye(5)
        ]
        np.testing.assert_allclose(arm.jacobian(joints)[:3].T, slope, atol=1e-8)
    goal = arm.forward(np.full(5, 0.2))
    assert arm.solve(goal, np.zeros(5)).reached


@pytest.mark.parametrize(
    ('old', 'new', 'expected'),
    [
        ('<axis xyz="', '<axis xyz="0 0 ', r"'joint1' .*axis xyz .*not 3 finite numbers"),
        ('<origin xyz="', '<origin xyz="nan ', 'not 3 finite numbers; correct the URDF'),
        (' rpy="', ' rpy="a ', "origin rpy 'a .*not 3 finite"),
        (' rpy="', ' rpy="1_0 ', 'not 3 finite numbers'),
        ('<robot', '<!DOCTYPE r [<!ENTITY a "b">]><robot', 'declares XML entities'),
        ('<robot name="', '<robot name="\ud800', 'is not XML: .*invalid token'),
        ('</robot>', '<xacro:a xmlns:xacro="http://wiki.ros.org/xacro"/></robot>', 'not expanded'),
        ('</robot>', '<joint name="joint1"><child link="base"/></joint></robot>', 'is no tree'),
        (
            '<joint name="joint1" type="revolute">',
            '<joint name="joint1" type="revolute"><mimic joint="joint2" multiplier="x"/>',
            "mimic multiplier 'x', which is not 1 finite number",
        ),
        (
            '<joint name="joint1" type="revolute">',
            '<joint name="joint1" type="revolute"><mimic joint="joint1"/>',
            "'joint1' mimics itself",
        ),
        (
            '<joint name="joint1" type="revolute">',
            '<joint name="joint1" type="revolute"><mimic joint="absent"/>',
            "mimics 'absent', which is not there",
        ),
    ],
)
def test_a_urdf_that_cannot_be_meant_is_refused_in_one_line(six, write_arm, old, new, expected):
    arm = write_arm(six.document(), six.urdf())
    urdf = six.urdf().replace(old, new, 1)
    assert urdf != six.urdf()
    with pytest.raises(ConfigError, match=expected) as caught:
        Kinematics(arm, urdf)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('axis', 'limit', 'expected'),
    [
        ('0 0 0', 'lower="-7" upper="7"', 'has the axis .*, which has no direction'),
        ('0 0 1', 'velocity="2" effort="1"', "'joint1' is revolute .* no limits lower and upper"),
        ('0 0 1', 'lower="nan" upper="3"', "limits of the joint 'joint1' .* no numbers: lower"),
    ],
)
def test_the_cause_is_named(six, write_arm, axis, limit, expected):
    urdf = re.sub(r'<axis xyz="[^"]*"', f'<axis xyz="{axis}"', six.urdf(), count=1)
    urdf = re.sub(r'<limit [^>]*/>', f'<limit {limit}/>', urdf, count=1)
    with pytest.raises(ConfigError, match=expected):
        Kinematics(write_arm(six.document(), urdf))


def test_a_velocity_of_0_says_nothing(six, write_arm):
    urdf = re.sub(r'velocity="[^"]*"', 'velocity="0"', six.urdf())
    assert urdf != six.urdf()
    Kinematics(write_arm(six.document(), urdf))


def test_a_leading_slash_of_a_frame_means_nothing(six, write_arm):
    document = six.document()
    document['frames'] = {key: f'/{value}' for key, value in document['frames'].items()}
    Kinematics(write_arm(document, six.urdf()))


def test_a_xacro_file_is_expanded_or_the_remedy_named(six, write_arm, tmp_path, monkeypatch):
    document = {**six.document(), 'urdf': {'file': 'made.urdf.xacro'}}
    path = tmp_path / 'made.urdf.xacro'
    path.write_text(
        six.urdf().replace(
            '>',
            ' xmlns:xacro="http://www.ros.org/wiki/xacro">'
            '<xacro:property name="half" value="${1/2}"/><!-- ${half} -->',
            1,
        )
    )
    arm = write_arm(document, six.urdf())
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'xacro', None)
        with pytest.raises(ConfigError, match=r'`pip install xacro` .*`xacro made\.urdf\.xacro > '):
            read_urdf(arm)
    pytest.importorskip('xacro', reason='the package xacro is not installed')
    Kinematics(arm)
    path.write_text(path.read_text().replace('${half}', '').replace('1/2', '1/0'))
    Kinematics(arm)
    path.write_text(path.read_text().replace('<!-- ', '<link name="${half}"/><!-- '))
    with pytest.raises(ConfigError, match=r'cannot be expanded: .*division by zero'):
        read_urdf(arm)


def grown(urdf: str, count: int, parents: str = 'root') -> str:
    """Return a URDF with `count` more links, all on one or each on the one before."""
    links = ''.join(f'<link name="k{number}"/>' for number in range(count))
    joints = ''.join(
        f'<joint name="kk{number}" type="fixed"><parent link="'
        f'{parents if parents else f"k{number - 1}" if number else "root"}"/>'
        f'<child link="k{number}"/></joint>'
        for number in range(count)
    )
    return urdf.replace('</robot>', f'{links}{joints}</robot>')


@pytest.mark.parametrize('parents', ['root', ''], ids=['a broom', 'a chain'])
def test_more_links_than_pinocchio_lives_through_are_refused(six, write_arm, parents) -> None:
    arm = write_arm(six.document(), six.urdf())
    Kinematics(arm, grown(six.urdf(), 900, parents), watch=True)
    with pytest.raises(ConfigError, match='has 20021 links and joints, more than 2000'):
        Kinematics(arm, grown(six.urdf(), 10_000, parents), watch=True)


def test_parts_that_are_nested_without_end_are_refused(six, write_arm) -> None:
    arm = write_arm(six.document(), six.urdf())
    deep = f'<link name="deep">{"<x>" * 100_000}{"</x>" * 100_000}</link>'
    with pytest.raises(ConfigError, match='nested deeper than 32'):
        Kinematics(arm, six.urdf().replace('</robot>', f'{deep}</robot>'), watch=True)


def test_frames_that_nothing_connects_are_refused(six, write_arm) -> None:
    arm = write_arm(six.document(), six.urdf())
    torn = re.sub(r'<joint name="base_mount".*?</joint>', '', six.urdf(), flags=re.DOTALL)
    assert torn != six.urdf()
    with pytest.raises(ConfigError, match=r"no joints lead from 'base' to 'tool': .*'root'"):
        Kinematics(arm, torn)


def test_a_urdf_that_is_no_file_is_refused(six, write_arm) -> None:
    arm = write_arm({**six.document(), 'urdf': {'file': '/dev/zero'}}, six.urdf())
    with pytest.raises(ConfigError, match='cannot be read: it is no regular file'):
        read_urdf(arm)
