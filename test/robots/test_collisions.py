"""An arm is kept out of itself and out of boxes, by the shapes of real arms' URDFs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.made_arms import MADE, write_arm
from support.real_robots import real_urdf, shapes_of

from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.collisions import Collisions, point_clearance
from robomamba_ros.robots.parts import KeepOut, SpaceRules
from robomamba_ros.simulation.made_up_urdf import made_up_urdf

TABLE = KeepOut('table', np.array([-1.0, -1.0, -0.5]), np.array([1.0, 1.0, -0.1]))


def found(name: str) -> tuple[str, list[Path]]:
    """Return a URDF of example-robot-data and where the package of its shapes lies."""
    path = real_urdf(name)
    return path.read_text(), [shapes_of(path)]


def rest(arm) -> np.ndarray:
    return np.array([joint.rest for joint in arm.joints])


@pytest.fixture(scope='module')
def ur5e() -> Collisions:
    return Collisions(load_arm('ur5e'), *found('ur5_robot.urdf'))


def test_an_arm_at_rest_is_clear_of_itself(ur5e):
    assert ur5e.pairs > 10
    assert ur5e.problem(rest(load_arm('ur5e'))) == ''


@pytest.mark.parametrize(
    ('joints', 'one', 'other'),
    [
        ([0.0, -1.4, 2.8, 1.2, 0.3, 0.0], 'wrist_1_link', 'upper_arm_link'),
        ([0.0, -2.6, 2.8, 1.1, 2.0, 0.0], 'wrist_3_link', 'shoulder_link'),
        ([0.0, -0.6, 2.8, -2.1, -0.1, 0.0], 'forearm_link', 'base_link'),
    ],
)
def test_links_that_are_too_near_are_named(ur5e, joints, one, other):
    problem = ur5e.problem(np.array(joints))
    assert one in problem
    assert other in problem
    assert 'nearer than 0.02 m' in problem


def test_a_wider_margin_stops_earlier():
    arm = load_arm('ur5e')
    urdf = found('ur5_robot.urdf')
    folding = [np.array([0.0, -1.57, elbow, -1.0, -1.57, 0.0]) for elbow in np.linspace(1.6, 3, 60)]

    def first(margin_m: float) -> int:
        space = Collisions(replace(arm, space=SpaceRules(margin_m=margin_m)), *urdf)
        return next(i for i, joints in enumerate(folding) if space.problem(joints))

    assert first(0.1) < first(0.02) <= first(0.0)


def test_a_contract_can_turn_it_off_and_an_srdf_leaves_pairs_out(tmp_path):
    arm, urdf = load_arm('ur5e'), found('ur5_robot.urdf')
    folded = np.array([0.0, -1.4, 2.8, 1.2, 0.3, 0.0])
    assert 'upper_arm_link' in Collisions(arm, *urdf).problem(folded)
    off = Collisions(replace(arm, space=SpaceRules(self_collision=False)), *urdf)
    assert off.pairs == 0
    assert off.problem(folded) == ''
    links = [f'wrist_{i}_link' for i in (1, 2, 3)] + ['forearm_link', 'ee_link']
    pairs = ''.join(
        f'<disable_collisions link1="{link}" link2="upper_arm_link" reason="a test"/>'
        for link in links
    )
    srdf = tmp_path / 'ur.srdf'
    srdf.write_text(f'<robot name="ur">{pairs}</robot>')
    listed = Collisions(replace(arm, space=SpaceRules(srdf=str(srdf))), *urdf)
    assert 'upper_arm_link' not in listed.problem(folded)
    srdf.write_text('<robot')
    with pytest.raises(ConfigError, match=r'space\.srdf: .*ur\.srdf cannot be read'):
        Collisions(replace(arm, space=SpaceRules(srdf=str(srdf))), *urdf)


def test_shapes_that_are_not_there_are_named_with_what_to_do():
    urdf, _ = found('ur5_robot.urdf')
    with pytest.raises(ConfigError) as raised:
        Collisions(load_arm('ur5e'), urdf, [])
    message = str(raised.value)
    assert message.count('\n') == 0
    assert 'base.stl' in message
    assert 'space: {self_collision: off}' in message


def test_every_part_of_an_arm_is_kept_out_of_a_box():
    arm, urdf = load_arm('ur5e'), found('ur5_robot.urdf')
    space = Collisions(replace(arm, space=SpaceRules(keep_out=(TABLE,))), *urdf)
    assert space.problem(rest(arm)) == ''
    # Stretched out and level: the tool is high enough, the elbow hangs below.
    low = np.array([0.0, 0.5, -1.2, -1.0, -1.57, 0.0])
    assert 'nearer than 0.02 m to the keep-out box table' in space.problem(low)


def test_an_arm_whose_urdf_has_no_shapes_is_kept_out_by_its_joints(tmp_path):
    made = MADE['six']
    arm = write_arm(tmp_path, made.document(), made.urdf())
    assert Collisions(arm, made.urdf()).pairs == 0
    # Between the second and the third joint, where no joint is.
    middle = np.array([0.21, 0.0, 0.14])
    high = KeepOut('shelf', middle - 0.02, middle + 0.02)
    space = Collisions(replace(arm, space=SpaceRules(keep_out=(high,))), made.urdf())
    assert 'keep-out box shelf' in space.problem(np.zeros(len(arm.joints)))


def test_boxes_stand_still_while_a_mobile_base_moves():
    arm = load_arm('hsr')
    wall = KeepOut('wall', np.array([2.0, -5.0, 0.0]), np.array([2.2, 5.0, 2.0]))
    urdf = made_up_urdf(arm)
    space = Collisions(replace(arm, space=SpaceRules(keep_out=(wall,))), urdf)
    joints = np.array([joint.rest or 0.0 for joint in arm.joints])
    base = [i for i, joint in enumerate(arm.joints) if joint.part == 'base']
    assert space.problem(joints) == ''
    joints[base[0]] = 2.0
    assert 'keep-out box wall' in space.problem(joints)


def test_a_point_is_so_far_from_the_nearest_box():
    assert point_clearance([], np.zeros(3)) == np.inf
    assert point_clearance([TABLE], np.array([0.0, 0.0, 0.05])) == pytest.approx(0.15)
    assert point_clearance([TABLE], np.array([1.3, 0.0, 0.3])) == pytest.approx(0.5)
    assert point_clearance([TABLE], np.array([0.0, 0.0, -0.13])) == pytest.approx(-0.03)


def test_a_contract_says_where_the_arm_must_not_be(tmp_path):
    path = tmp_path / 'arm.yaml'
    text = (share_directory() / 'config' / 'arms' / 'ur5e.yaml').read_text()
    space = (
        'space:\n  self_collision: off\n  margin_m: 0.03\n  srdf: ur.srdf\n  keep_out:\n'
        '    - {name: table, lower: [-1.0, -1.0, -0.5], upper: [1.0, 1.0, -0.1]}\n'
    )
    path.write_text(text + space)
    rules = load_arm(str(path)).space
    assert (rules.self_collision, rules.margin_m) == (False, 0.03)
    assert rules.srdf == str(tmp_path / 'ur.srdf')
    assert rules.keep_out[0].name == 'table'
    path.write_text(text + space.replace('upper: [1.0', 'upper: [-2.0').replace('off', 'maybe'))
    with pytest.raises(ConfigError) as raised:
        load_arm(str(path))
    assert "space.self_collision: found 'maybe'" in str(raised.value)
    assert 'space.keep_out[0].upper: found [-2.0, 1.0, -0.1]' in str(raised.value)


def test_the_fingers_of_a_hand_are_one_with_it():
    space = Collisions(load_arm('franka_panda'), *found('panda.urdf'))
    assert space.ignored == ()
    assert space.problem(rest(load_arm('franka_panda'))) == ''
    # The hand in the shoulder.
    folded = np.array([0.0, -0.5, 0.0, -3.0, 0.0, 0.3, 0.0])
    assert 'panda' in space.problem(folded)
