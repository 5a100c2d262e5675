"""A person who takes over from a policy: the arm holds, and the recording says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger
from support.made_arms import MADE
from support.made_robot import GRIPPER, JOINTS, TRAJECTORY
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.bags.episodes import EpisodeRecording
from robomamba_ros.bags.reader import Bag
from robomamba_ros.nodes.clients.episode_control import EpisodeControl
from robomamba_ros.nodes.clients.take_over import TakeOver
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import joint_trajectory
from robomamba_ros.types import NANOSECONDS, ActionSpace

BUTTON = 2


def marks(folder: Path) -> list[bool]:
    with Bag(folder) as bag:
        return [each.content.data for each in bag.messages(['/take_over'])]


def joy(pressed: bool) -> Joy:
    return Joy(buttons=[0, 0, int(pressed)])


@pytest.fixture
def recorder(peer, tmp_path):
    node = Node('robomamba_record')
    episodes = EpisodeRecording(tmp_path / 'drawer', 'mcap', 1 << 20)
    said: list[str] = []
    taking = TakeOver(node, episodes, said.append, ('joy', BUTTON))
    peer.also_spin(node)
    yield taking, episodes, said
    node.destroy_node()


def test_a_button_stops_the_policy_and_marks_what_follows(start, peer, recorder) -> None:
    taking, episodes, said = recorder
    robot = start([TRAJECTORY, GRIPPER])
    button = peer.node.create_publisher(Joy, 'joy', qos.STATE)
    peer.wait_for(lambda: button.get_subscription_count() == 1, 'the recorder')
    robot.ready()
    robot.send(0.02 * np.ones((400, 1)), ('joint1',), ActionSpace.JOINT_DELTA)
    robot.wait_for('state', 'tracking')
    folder = episodes.begin()
    peer.wait_for(lambda: (button.publish(joy(True)), taking.taken)[1], 'the take-over')
    # Braked and disabled: what the policy sends now moves nothing, and nothing enables it again.
    robot.wait_for('state', 'disabled')
    peer.wait_for(lambda: (button.publish(joy(False)), not taking.taken)[1], 'the hand-back')
    said_before = len(robot.diagnostics)
    peer.wait_for(lambda: len(robot.diagnostics) > said_before + 1, 'more diagnostics')
    assert robot.values()['state'] == 'disabled'
    episodes.keep()
    assert marks(folder) == [False, True, False]
    assert said == ['\aTAKEN OVER: what follows is a correction', '\ahanded back']


def test_another_program_takes_over_until_the_arm_is_enabled(start, peer, recorder) -> None:
    taking, episodes, _ = recorder
    robot = start([{**TRAJECTORY, 'publishers': 2}, GRIPPER])
    other = peer.node.create_publisher(JointTrajectory, 'joint_trajectory', qos.COMMAND)
    peer.wait_for(lambda: other.get_subscription_count() == 1, 'the controller to read along')
    robot.ready()
    folder = episodes.begin()
    away = np.array([[JOINTS + 0.3, np.zeros(6), np.zeros(6)]])
    other.publish(joint_trajectory(MADE['six'].names, [NANOSECONDS], away))
    peer.wait_for(lambda: taking.taken, 'the take-over')
    robot.wait_for('state', 'holding')
    peer.node.destroy_publisher(other)
    robot.enable()
    peer.wait_for(lambda: not taking.taken, 'the hand-back')
    episodes.keep()
    assert marks(folder) == [False, True, False]


def test_a_service_and_a_key_do_the_same_and_an_episode_begins_with_how_it_is(
    peer, recorder
) -> None:
    taking, episodes, said = recorder
    client = peer.node.create_client(Trigger, '/robomamba_record/take_over')
    peer.wait_for(client.service_is_ready, 'the service')
    future = client.call_async(Trigger.Request())
    peer.wait_for(future.done, 'the answer')
    assert future.result().message == 'TAKEN OVER: what follows is a correction'
    # Nobody was there to be disabled.
    assert said[0] == '\athere is no /controller_node/enable: nothing was disabled'
    control = EpisodeControl(peer.node, episodes, said.append, {'t': taking.toggle})
    first = episodes.begin()
    control.press('t')
    episodes.keep()
    second = episodes.begin()
    episodes.keep()
    assert (marks(first), marks(second)) == ([True, False], [False])
