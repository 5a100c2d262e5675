"""A policy of chunks in the graph: what it follows, and what it says of itself, over DDS."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from support.scripted_policies import CAMERA_SIZE, GoTo
from trajectory_msgs.msg import MultiDOFJointTrajectory

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import pose_to_stamped, rgb_to_image, time_message
from robomamba_ros.nodes.policy.policy_node import PolicyNode
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import Pose

ARM = load_arm('sawyer_sim')
HERE = Pose(np.array([0.1, 0.6, 0.2]), np.array([0.0, 0.0, 0.0, 1.0]))
IMAGE = np.zeros((CAMERA_SIZE, CAMERA_SIZE, 3), np.uint8)


class Robot:
    """An arm that stands still and a camera that sees nothing, whenever the peer waits."""

    def __init__(self, peer) -> None:
        self._peer = peer
        self.sees = True
        node = peer.node
        self._image = node.create_publisher(Image, 'camera/corner2/image', qos.COMMAND)
        self._joints = node.create_publisher(JointState, 'joint_states', qos.COMMAND)
        self._pose = node.create_publisher(PoseStamped, 'ee_pose', qos.COMMAND)
        self._instruction = node.create_publisher(String, 'instruction', qos.LATCHED)
        self._question = node.create_publisher(String, 'question', qos.LATCHED)
        self.chunks = peer.record(MultiDOFJointTrajectory, 'action_chunk', qos.COMMAND)
        self.diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        node.create_timer(0.05, self._observe)

    def _observe(self) -> None:
        stamp_ns = self._peer.node.get_clock().now().nanoseconds
        if self.sees:
            self._image.publish(rgb_to_image(IMAGE, stamp_ns, 'corner2'))
        joints = [joint.name for joint in ARM.joints] + ['gripper']
        state = JointState(name=joints, position=[0.0] * len(joints))
        state.header.stamp = time_message(stamp_ns)
        self._joints.publish(state)
        self._pose.publish(pose_to_stamped(HERE, stamp_ns, 'base'))

    def instruct(self, text: str) -> None:
        self._instruction.publish(String(data=text))

    def question(self, text: str) -> None:
        self._question.publish(String(data=text))

    def wait_for_chunk(self, letters: int) -> None:
        """Wait for a chunk that follows an instruction of so many letters: GoTo rises by them."""

        def came() -> bool:
            whole = [message for message in self.chunks if message.points]
            ends = (message.points[-1].transforms[0] for message in whole)
            return letters in [round(end.translation.z / 50e-6) for end in ends]

        self._peer.wait_for(came, f'a chunk for {letters} letters')

    def values(self, text: str) -> dict[str, str]:
        """Wait for a status with a text in its message; return its values."""
        found: list[DiagnosticStatus] = []

        def look() -> bool:
            statuses = [status for message in self.diagnostics for status in message.status]
            found[:] = [status for status in statuses if text in status.message]
            return bool(found)

        self._peer.wait_for(look, f'{text!r} on /diagnostics')
        return {each.key: each.value for each in found[-1].values} | {'level': found[-1].level}


@pytest.fixture
def robot(host, peer, tmp_path) -> Robot:
    """An arm that a policy looks at, which would go nowhere."""
    made = Robot(peer)
    policy_node = partial(PolicyNode, load=lambda *_: GoTo(HERE.position))
    host((policy_node, {'checkpoint': str(tmp_path), 'execute_steps': 1}))
    return made


def test_a_new_instruction_changes_the_chunks_of_a_running_policy(robot, peer) -> None:
    active = peer.record(String, 'active_instruction', qos.LATCHED)
    for text in ('open', 'close it', 'open'):
        robot.chunks.clear()
        robot.instruct(text)
        robot.wait_for_chunk(len(text))
        said = lambda text=text: bool(active) and active[-1].data == text  # noqa: E731
        peer.wait_for(said, 'the instruction that is followed')


def test_what_is_no_instruction_takes_the_last_one_away(robot, peer) -> None:
    active = peer.record(String, 'active_instruction', qos.LATCHED)
    for refused, reason in (
        (' \n', 'waiting: the instruction is blank; say it in words'),
        ('lift ' * 300, 'waiting: the instruction has 1,500 characters'),
    ):
        robot.instruct('open')
        robot.wait_for_chunk(4)
        robot.chunks.clear()
        robot.instruct(refused)
        values = robot.values(reason)
        assert values['instruction'] == ''
        assert active[-1].data == ''


def test_chunks_stop_while_it_is_disabled_and_come_after_a_reset(robot, peer) -> None:
    robot.instruct('open')
    robot.wait_for_chunk(4)
    assert peer.call(SetBool, 'policy_node/enable', SetBool.Request(data=False)).success
    # What was on its way when the service answered.
    robot.values('disabled')
    robot.chunks.clear()
    robot.instruct('close it')
    seen = peer.record(JointState, 'joint_states', qos.STATE)
    peer.wait_for(lambda: len(seen) > 5, 'more states')
    assert robot.chunks == []
    assert peer.call(Trigger, 'policy_node/reset', Trigger.Request()).success
    assert peer.call(SetBool, 'policy_node/enable', SetBool.Request(data=True)).success
    robot.wait_for_chunk(8)


def test_it_says_what_it_does_and_how_fast(robot, peer) -> None:
    robot.values('waiting: instruction: nothing received yet')
    robot.instruct('open')
    robot.wait_for_chunk(4)
    robot.diagnostics.clear()
    values = robot.values('inferring')
    assert values['level'] == DiagnosticStatus.OK
    assert (values['policy'], values['instruction']) == ('double', 'open')
    assert int(values['chunks_sent']) >= 1
    for stream in ('corner2', 'state', 'chunk'):
        assert float(values[f'{stream}_rate_hz']) > 0.0
    for stream in ('corner2', 'joint_states', 'ee_pose'):
        assert 0.0 <= float(values[f'{stream}_age_s']) < 0.5
    for latency in ('inference', 'image_to_chunk'):
        assert 0.0 < float(values[f'{latency}_p50_ms']) <= float(values[f'{latency}_p99_ms'])
    robot.sees = False
    values = robot.values('waiting: corner2 is late')
    assert values['level'] == DiagnosticStatus.WARN
    assert float(values['corner2_age_s']) > 0.5


def test_a_policy_that_cannot_answer_says_so(robot) -> None:
    robot.question('what is there?')
    assert robot.values("policy 'double' cannot answer questions")['level'] == DiagnosticStatus.WARN
