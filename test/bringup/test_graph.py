from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from robomamba_ros.bringup.graph import (
    STAND_IN_BUDGETS,
    BagOptions,
    PolicyOptions,
    SimOptions,
    fake_graph,
    policy_graph,
    replay_graph,
    rviz_spec,
    sim_graph,
)
from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import CheckpointError, ConfigError
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.location import checkpoint_directory


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    folder = tmp_path / 'tiny'
    folder.mkdir()
    (folder / 'config.yaml').write_text(
        yaml.safe_dump(
            {'execute_steps': 7, 'cameras': [{'name': 'corner2', 'height': 90, 'width': 120}]}
        )
    )
    return str(folder)


@pytest.fixture
def other_arm(tmp_path: Path) -> str:
    """The simulated arm under other topics, with a compressed camera."""
    document = yaml.safe_load((share_directory() / 'config/arms/sawyer_sim.yaml').read_text())
    document['inputs']['ee_pose']['topic'] = 'franka/pose'
    document['cameras'][0] |= {'topic': '/head/rgb/compressed', 'transport': 'compressed'}
    document['outputs'][0]['topic'] = '/cartesian/target_pose'
    path = tmp_path / 'other.yaml'
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_a_policy_graph_is_a_policy_and_a_controller(checkpoint: str) -> None:
    policy, controller = policy_graph(PolicyOptions(checkpoint, instruction='Open it'))
    assert (policy.executable, controller.executable) == ('policy_node', 'controller_node')
    assert policy.parameters == {
        'arm': 'sawyer_sim',
        'mode': 'realtime',
        'execute_steps': 7,
        'use_sim_time': False,
        'budget_factor': 1.0,
        'checkpoint': checkpoint,
        'device': 'cpu',
        'dtype': 'auto',
        'cache': 'auto',
        'threads': 1,
        'instructions': 'auto',
        'instruction': 'Open it',
        'follow_targets': True,
    }
    assert controller.parameters['enabled'] is False
    # sawyer_sim names its topics as the nodes do.
    assert policy.remappings == controller.remappings == {}


def test_topics_come_from_the_arm_contract(checkpoint: str, other_arm: str) -> None:
    policy, controller = policy_graph(PolicyOptions(checkpoint, arm=other_arm))
    inputs = {
        'ee_pose': 'franka/pose',
        'camera/corner2/image/compressed': '/head/rgb/compressed',
    }
    assert policy.remappings == inputs
    assert controller.remappings == {**inputs, 'target_pose': '/cartesian/target_pose'}


def test_a_sim_graph_fits_the_simulation_to_the_policy(checkpoint: str) -> None:
    options = PolicyOptions(checkpoint, mode='lockstep', enabled=True, namespace='left')
    sim, controller, policy = sim_graph(options, SimOptions('push', seed=4))
    assert {spec.namespace for spec in (sim, controller, policy)} == {'left'}
    assert sim.parameters['camera_size'] == 90
    assert sim.parameters['camera_steps'] == policy.parameters['execute_steps'] == 7
    assert (sim.parameters['task'], sim.parameters['seed']) == ('push', 4)
    assert controller.parameters['enabled'] is True
    assert controller.parameters['use_sim_time'] is policy.parameters['use_sim_time'] is True
    factors = {spec.parameters['budget_factor'] for spec in (controller, policy)}
    assert factors == {STAND_IN_BUDGETS}


def test_simulations_side_by_side_have_a_time_each() -> None:
    alone = sim_graph(PolicyOptions('hold'), SimOptions('push'))
    assert ['/clock' in spec.remappings for spec in alone] == [False] * 3
    left = sim_graph(PolicyOptions('hold', namespace='left'), SimOptions('push'))
    assert [spec.remappings['/clock'] for spec in left] == ['clock'] * 3


def test_a_dry_run_in_lockstep_would_wait_for_ever() -> None:
    options = PolicyOptions('hold', mode='lockstep', dry_run=True)
    with pytest.raises(ConfigError, match=r'a dry run sends no commands.*use mode realtime'):
        sim_graph(options, SimOptions('push'))


def test_every_topic_of_a_contract_is_mapped() -> None:
    policy, controller = policy_graph(PolicyOptions('hold', arm='hsr'))
    assert policy.remappings == {
        'odometry': 'omni_base_controller/wheel_odom',
        'camera/head/image': 'head_rgbd_sensor/rgb/image_rect_color',
        'camera/head/depth': 'head_rgbd_sensor/depth_registered/image_rect_raw',
        'camera/head/camera_info': 'head_rgbd_sensor/rgb/camera_info',
        'camera/hand/image': 'hand_camera/image_raw',
    }
    assert controller.remappings == {
        **policy.remappings,
        'joint_trajectory': 'arm_trajectory_controller/joint_trajectory',
        'head': 'head_trajectory_controller/joint_trajectory',
        'gripper': 'gripper_controller/joint_trajectory',
        'base': 'omni_base_controller/cmd_vel',
        'interlock/run_stop': 'runstop_button',
    }


@pytest.mark.parametrize(('arm', 'gripper'), [('franka_fr3', 'joint_state'), ('hsr', 'contract')])
def test_a_fake_arm_has_topics_for_everything(arm: str, gripper: str) -> None:
    fake, controller, policy = fake_graph(PolicyOptions('hold', arm=arm, namespace='left'))
    factors = {spec.parameters['budget_factor'] for spec in (controller, policy)}
    assert factors == {STAND_IN_BUDGETS}
    assert (fake.executable, fake.parameters['arm']) == ('fake_arm_node', arm)
    assert {spec.namespace for spec in (fake, controller, policy)} == {'left'}
    assert fake.remappings == controller.remappings
    assert controller.parameters['gripper_output'] == gripper


def test_a_fake_arm_shows_what_the_policy_sees(tmp_path: Path) -> None:
    folder = tmp_path / 'robomamba'
    folder.mkdir()
    camera = {'name': 'wrist', 'height': 336, 'width': 448}
    (folder / 'config.yaml').write_text(yaml.safe_dump({'vision': {'camera': camera}}))
    fake, _, policy = fake_graph(PolicyOptions(str(folder)))
    sizes = [fake.parameters[name] for name in ('camera_width', 'camera_height')]
    assert (sizes, policy.parameters['execute_steps']) == ([448, 336], 0)
    assert 'camera_width' not in fake_graph(PolicyOptions('hold'))[0].parameters


def test_rviz_looks_where_the_controller_does(other_arm: str) -> None:
    options = PolicyOptions('hold', arm=other_arm, use_sim_time=True, namespace='left')
    _, controller = policy_graph(options)
    rviz = rviz_spec(controller)
    assert rviz.remappings['camera/image'] == '/head/rgb/compressed'
    assert rviz.remappings['ee_pose'] == 'franka/pose'
    assert (rviz.namespace, rviz.parameters) == ('left', {'use_sim_time': True})
    assert rviz.arguments[2:] == ('-f', 'base')


@pytest.mark.parametrize(('instruction', 'announced'), [('', True), ('Push it', False)])
def test_the_simulation_gives_the_instruction_where_nobody_else_does(
    checkpoint: str, instruction: str, announced: bool
) -> None:
    options = PolicyOptions(checkpoint, instruction=instruction)
    sim, _, policy = sim_graph(options, SimOptions('push'))
    assert sim.parameters['announce_instruction'] is announced
    assert policy.parameters['instruction'] == instruction


def test_a_policy_without_cameras_leaves_the_simulated_one_as_it_is() -> None:
    sim, _, policy = sim_graph(PolicyOptions('hold'), SimOptions('push'))
    assert 'camera_size' not in sim.parameters
    assert policy.parameters['checkpoint'] == str(share_directory() / 'models/hold')


def test_how_a_policy_runs_reaches_its_node(checkpoint: str) -> None:
    load = LoadOptions('cuda:1', 'bfloat16', 'stream', 4)
    policy, _ = policy_graph(PolicyOptions(checkpoint, load=load))
    names = ('device', 'dtype', 'cache', 'threads')
    assert [policy.parameters[name] for name in names] == ['cuda:1', 'bfloat16', 'stream', 4]


def test_steps_given_by_the_user_win(checkpoint: str) -> None:
    options = PolicyOptions(checkpoint, execute_steps=25, mode='lockstep')
    sim, controller, policy = sim_graph(options, SimOptions('push'))
    assert sim.parameters['camera_steps'] == 25
    assert controller.parameters['execute_steps'] == policy.parameters['execute_steps'] == 25


def test_a_real_arm_cannot_run_in_lockstep(checkpoint: str) -> None:
    with pytest.raises(ConfigError, match='lockstep needs the simulation'):
        policy_graph(PolicyOptions(checkpoint, mode='lockstep'))


def test_an_unknown_mode_is_named(checkpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown mode 'lockstepp'. Did you mean 'lockstep'\?"):
        policy_graph(PolicyOptions(checkpoint, mode='lockstepp'))


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no directory 'drawer-opener', and models/ has"):
        checkpoint_directory('drawer-opener')
    with pytest.raises(CheckpointError, match=r'lacks config\.yaml; give the directory'):
        policy_graph(PolicyOptions(str(tmp_path)))


def test_the_saved_view_shows_topics_that_exist() -> None:
    _, controller = policy_graph(PolicyOptions('hold', arm='franka_fr3'))
    rviz = rviz_spec(controller)
    view = yaml.safe_load(Path(rviz.arguments[1]).read_text())['Visualization Manager']
    topics = {
        display['Class'].split('/')[1]: display[key]
        for display in view['Displays']
        for key in ('Topic', 'Description Topic')
        if key in display
    }
    assert {kind: topic['Value'] for kind, topic in topics.items()} == {
        'RobotModel': 'robot_description',
        'Path': 'predicted_path',
        'MarkerArray': 'markers',
        'Image': 'camera/image',
    }
    assert 'camera/image' in rviz.remappings
    # A reader that asks for more than a writer offers gets nothing.
    assert topics['Image']['Reliability Policy'] == 'Best Effort'
    assert topics['RobotModel']['Durability Policy'] == 'Transient Local'


def test_a_bag_is_played_without_what_the_nodes_publish_themselves(checkpoint: str) -> None:
    options = PolicyOptions(checkpoint, namespace='left')
    player, controller, policy = replay_graph(options, BagOptions('drawer', rate=2.0))
    assert (player.executable, player.parameters['bag'], player.parameters['rate']) == (
        'bag_player_node',
        'drawer',
        2.0,
    )
    left_out = player.parameters['exclude'].split()
    assert {'action_chunk', 'joint_chunk', 'target_pose', 'gripper', '/rosout'} <= set(left_out)
    assert not {'joint_states', 'instruction', 'camera/corner2/image'} & set(left_out)
    assert player.parameters['wait_for'] == 'joint_states ee_pose camera/corner2/image'
    assert {spec.namespace for spec in (player, controller, policy)} == {'left'}
    # An arm that listens is not where the recorded one was.
    assert (controller.parameters['dry_run'], controller.parameters['enabled']) == (True, True)
    assert controller.parameters['use_sim_time'] is policy.parameters['use_sim_time'] is True
    other, _, _ = replay_graph(replace(options, instruction='close it'), BagOptions('drawer'))
    assert 'instruction' in other.parameters['exclude'].split()


def test_the_fr3_is_its_own_arm_and_a_topic_tells_its_gripper(checkpoint: str) -> None:
    options = PolicyOptions(checkpoint, arm='fr3_sim', mode='lockstep')
    sim, controller, policy = sim_graph(options, SimOptions('fr3/open', width=640, height=480))
    assert sim.parameters['arm'] == policy.parameters['arm'] == 'fr3_sim'
    assert controller.parameters['gripper_output'] == 'joint_state'
    assert (sim.parameters['camera_width'], sim.parameters['camera_size']) == (640, 480)
    trajectories = 'fr3_arm_controller/joint_trajectory'
    assert sim.remappings['joint_trajectory'] == trajectories
    assert sim.remappings['camera/wrist/image'] == '/camera/camera/color/image_raw'
