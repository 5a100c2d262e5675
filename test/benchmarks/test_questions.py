"""The graph of the questions: a camera as the policy knows it, and nobody who moves an arm."""

import pytest

pytest.importorskip('rclpy', reason='the nodes need ROS 2')

from robomamba_ros.benchmarks.questions import POLICY, graph
from robomamba_ros.policies.outline import read_outline
from robomamba_ros.robots.arm import load_arm


def test_the_camera_is_the_policys_and_nobody_commands(tmp_path):
    robot, policy = graph(tmp_path, POLICY, 'none')
    assert (robot.executable, policy.executable) == ('fake_arm_node', 'policy_node')
    assert policy.parameters['cache'] == 'none'
    seen = read_outline(POLICY).cameras[0]
    camera = load_arm(policy.parameters['arm']).cameras[0]
    assert camera.name == seen.name
    assert camera.depth_topic is not None or not seen.depth
    size = (robot.parameters['camera_height'], robot.parameters['camera_width'])
    assert size == (seen.height, seen.width)
