"""A URDF is found, cut to the chain, and held against the contract with every difference."""

from __future__ import annotations

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
    chain = chain_urdf(arm, read_urdf(arm))
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
    chain = joints_of(chain_urdf(arm, without))
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
        ({'file': 'made.urdf.xacro'}, r'expand it with `xacro made.urdf.xacro > made.urdf`'),
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
