"""RoboMamba in the graph: camera, depth and words in; a target, its approach and answers out."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from support.made_robomamba import write_robomamba
from support.patience import PATIENCE_S
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from robomamba_ros.common.resources import find_file
from robomamba_ros.messages.state import nanoseconds, pose_from_message
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.chunk_messages import is_withdrawal, messages_to_chunk
from robomamba_ros.nodes.common.conversions import pose_to_stamped, rgb_to_image, time_message
from robomamba_ros.nodes.policy.policy_node import PolicyNode, load_checkpoint
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.registry import load_policy
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.spatial.camera import express_in
from robomamba_ros.spatial.transforms import turn_between
from robomamba_ros.types import Observation, Pose

# Here and not when it is first used: it imports triton, which crashes a process that has rendered.
pytest.importorskip('transformers.models.clip', reason='CLIP: pip install transformers')

K = np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])
RNG = np.random.default_rng(3)
IMAGE = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
# A table below the camera with a ridge; no depth around the contact, the middle of the image.
DEPTH_MM = np.full((48, 64), 900, np.uint16)
DEPTH_MM[:, 40:] = 850
DEPTH_MM[23:26, 31:34] = 0
HERE = Pose(np.array([0.1, 0.6, 0.3]), np.array([0.0, 0.0, 0.0, 1.0]))
ABOVE = Pose(np.array([0.0, 0.7, 1.0]), np.array([1.0, 0.0, 0.0, 0.0]))
INSTRUCTION = 'Open a drawer'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('robomamba') / 'tiny'
    write_robomamba(folder)
    return folder


@pytest.fixture
def write_arm(tmp_path) -> Callable[..., str]:
    """Write the contract of an arm with a depth camera above its table; return its path."""

    def write(**changes: Any) -> str:
        document = yaml.safe_load(find_file('arms', 'sawyer_sim').read_text())
        camera = {
            'name': 'front',
            'topic': 'camera/front/image',
            'encoding': 'rgb8',
            'budget_s': 60.0,
            'required': True,
            'depth_topic': 'camera/front/depth',
            'info_topic': 'camera/front/camera_info',
            'base_T_camera': {'position': [0.0, 0.7, 1.0], 'quaternion': [1.0, 0.0, 0.0, 0.0]},
        }
        camera |= changes.pop('camera', {})
        document['cameras'] = [{key: value for key, value in camera.items() if value is not None}]
        for stream in document['inputs'].values():
            stream['budget_s'] = 60.0
        document['workspace'] = {'lower': [-5.0, -5.0, -5.0], 'upper': [5.0, 5.0, 5.0]}
        path = tmp_path / 'arm.yaml'
        path.write_text(yaml.safe_dump({**document, **changes}))
        return str(path)

    return write


class Robot:
    """Publishes one scene again and again, whenever the peer waits for something."""

    def __init__(self, peer, arm: str) -> None:
        self._peer = peer
        self.arm = load_arm(arm)
        self.depth_frame, self.info_size = 'optical', (48, 64)
        self.stamps: list[int] = []
        node = peer.node

        def publisher(kind: Any, topic: str) -> Any:
            return node.create_publisher(kind, topic, qos.COMMAND)

        self._image = publisher(Image, 'camera/front/image')
        self._depth = publisher(Image, 'camera/front/depth')
        self._info = publisher(CameraInfo, 'camera/front/camera_info')
        self._joints = publisher(JointState, 'joint_states')
        self._pose = publisher(PoseStamped, 'ee_pose')
        self._instruction = node.create_publisher(String, 'instruction', qos.LATCHED)
        self._question = node.create_publisher(String, 'question', qos.LATCHED)
        self.targets = peer.record(PoseStamped, 'pose_target', qos.COMMAND)
        self.chunks = peer.record(MultiDOFJointTrajectory, 'action_chunk', qos.COMMAND)
        self.joint_chunks = peer.record(JointTrajectory, 'joint_chunk', qos.COMMAND)
        self.answers = peer.record(String, 'answer', qos.COMMAND)
        self.diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)

    def start(self) -> None:
        self._peer.node.create_timer(0.05, self.observe)

    def observe(self) -> None:
        stamp_ns = self._peer.node.get_clock().now().nanoseconds
        self.stamps.append(stamp_ns)
        self._image.publish(rgb_to_image(IMAGE, stamp_ns, 'optical'))
        height, width = DEPTH_MM.shape
        depth = Image(height=height, width=width, encoding='16UC1', step=2 * width)
        depth.header.stamp = time_message(stamp_ns)
        depth.header.frame_id = self.depth_frame
        depth.data = array('B', DEPTH_MM.tobytes())
        self._depth.publish(depth)
        info = CameraInfo(height=self.info_size[0], width=self.info_size[1], k=K.ravel())
        info.header = depth.header
        info.header.frame_id = 'optical'
        self._info.publish(info)
        joints = [joint.name for joint in self.arm.joints] + ['gripper']
        state = JointState(name=joints, position=[0.0] * len(joints))
        state.header.stamp = depth.header.stamp
        self._joints.publish(state)
        self._pose.publish(pose_to_stamped(HERE, stamp_ns, 'base'))

    def instruct(self, text: str) -> None:
        self._instruction.publish(String(data=text))

    def ask(self, question: str) -> str:
        """Return the answer."""
        count = len(self.answers)
        self._question.publish(String(data=question))
        self._peer.wait_for(lambda: len(self.answers) > count, 'an answer')
        return self.answers[-1].data

    def wait_for_target(self, count: int) -> Pose:
        self._peer.wait_for(lambda: len(self.targets) >= count, f'target {count}')
        return pose_from_message(self.targets[-1].pose)

    def wait_until_seen(self) -> None:
        """Wait until the node has had an image."""

        def seen() -> bool:
            statuses = [status for message in self.diagnostics for status in message.status]
            return any(value.key == 'front_age_s' for s in statuses for value in s.values)

        self._peer.wait_for(seen, 'the age of an image')

    def said(
        self, text: str, level: bytes = DiagnosticStatus.WARN, values: tuple[str, str] = ('', '')
    ) -> dict[str, str]:
        """Return the values of the first status with a text in its message, and such a value."""
        found: list[dict[str, str]] = []
        key, value = values

        def look() -> bool:
            for message in self.diagnostics:
                for status in message.status:
                    said = {'': '', **{each.key: each.value for each in status.values}}
                    fits = text in status.message and status.level == level
                    if fits and said.get(key) == value:
                        found.append({**said, 'message': status.message})
            return bool(found)

        self._peer.wait_for(look, f'{text!r} on /diagnostics')
        return found[0]


@pytest.fixture
def start(host, peer, checkpoint, write_arm) -> Callable[..., Robot]:
    """Start the node with parameters, on an arm with changes; return the robot it sees."""

    def run(arm: dict[str, Any] | None = None, **parameters: Any) -> Robot:
        path = write_arm(**(arm or {}))
        robot = Robot(peer, path)
        common = {'arm': path, 'checkpoint': str(checkpoint), 'cache': 'prefix'}
        host((PolicyNode, {**common, **parameters}))
        return robot

    return run


def expected(checkpoint: Path, instruction: str = INSTRUCTION, place: Pose = ABOVE):
    """Return the target that the policy gives in this process for the scene, in the base frame."""
    policy = load_policy(checkpoint)
    empty = np.zeros(0, np.float32)
    observation = Observation(
        stamp_ns=1,
        images={'front': IMAGE},
        state=empty,
        previous_state=empty,
        instruction=instruction,
        depth={'front': (DEPTH_MM * np.float32(0.001)).astype(np.float32)},
        intrinsics={'front': K},
    )
    return express_in(policy.infer(observation), 'base', place)


def assert_same_pose(found: Pose, wanted: Pose, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(found.position, wanted.position, rtol=0, atol=tolerance)
    np.testing.assert_allclose(turn_between(found, wanted), 0.0, atol=tolerance)


def approaches(robot) -> list:
    """Return the chunks that came, without the withdrawals before them."""
    return [message for message in robot.chunks if not is_withdrawal(message)]


def test_an_instruction_becomes_one_target_and_the_approach_to_it(start, peer, checkpoint) -> None:
    robot = start()
    robot.start()
    robot.instruct(INSTRUCTION)
    found = robot.wait_for_target(1)
    wanted = expected(checkpoint)
    assert_same_pose(found, wanted.pose)
    message = robot.targets[0]
    assert message.header.frame_id == 'base'
    assert nanoseconds(message.header.stamp) in robot.stamps
    peer.wait_for(lambda: bool(approaches(robot) and robot.joint_chunks), 'the approach')
    chunk = messages_to_chunk(approaches(robot)[0], robot.joint_chunks[0], 'base')
    assert chunk.stamp_ns == nanoseconds(message.header.stamp)
    rows = chunk.actions.astype(np.float64)
    assert_same_pose(Pose(rows[0, :3], rows[0, 3:7]), HERE, 1e-3)
    closing = int(np.argmin(chunk.channel('gripper')))
    assert_same_pose(Pose(rows[closing, :3], rows[closing, 3:7]), wanted.pose, 1e-6)
    assert_same_pose(Pose(rows[-1, :3], rows[-1, 3:7]), wanted.retreat, 1e-6)
    assert set(chunk.channel('gripper')) == {0.0, 1.0}
    # The answer comes after everything that the images before it could have brought about.
    seen = len(robot.stamps)
    peer.wait_for(lambda: len(robot.stamps) > seen + 3, 'more images')
    robot.ask('what is there?')
    assert (len(robot.targets), len(approaches(robot))) == (1, 1)
    values = robot.said('its target is sent', DiagnosticStatus.OK, ('chunks_sent', '1'))
    assert (values['state'], values['targets_sent']) == ('idle', '1')
    assert values['instruction'] == INSTRUCTION
    assert float(values['front/depth_age_s']) < 60.0
    assert float(values['inference_p50_ms']) > 0.0
    assert float(values['image_to_chunk_p99_ms']) > float(values['inference_p50_ms'])


def test_another_target_is_given_when_it_is_asked_for(start, peer, checkpoint) -> None:
    robot = start(instruction=INSTRUCTION)
    robot.start()
    first = robot.wait_for_target(1)
    robot.instruct('Push the puck to a goal')
    second = robot.wait_for_target(2)
    assert_same_pose(second, expected(checkpoint, 'Push the puck to a goal').pose)
    assert np.abs(turn_between(first, second)).max() > 1e-3
    assert peer.call(Trigger, 'policy_node/reset', Trigger.Request()).success
    assert_same_pose(robot.wait_for_target(3), second)
    assert peer.call(SetBool, 'policy_node/enable', SetBool.Request(data=False)).success
    robot.instruct(INSTRUCTION)
    robot.ask('what is there?')
    assert len(robot.targets) == 3
    assert peer.call(SetBool, 'policy_node/enable', SetBool.Request(data=True)).success
    assert_same_pose(robot.wait_for_target(4), first)


def test_a_question_is_answered_as_the_policy_answers_it(start, checkpoint) -> None:
    robot = start(enabled=False)
    robot._question.publish(String(data='too early?'))
    robot.said('front: nothing received yet')
    robot.start()
    robot.wait_until_seen()
    policy = load_policy(checkpoint)
    for question in ('what is there?', 'Open a drawer?'):
        answer = robot.ask(question)
        assert answer == policy.answer(IMAGE, question)
        assert answer != ''
    assert len(robot.answers) == 2
    assert robot.targets == []


def test_a_follow_up_question_reads_no_second_image_though_the_camera_shows_another(
    host, peer, checkpoint, write_arm, monkeypatch
) -> None:
    seen: list[int] = []

    def load(directory: Path, options: LoadOptions) -> Any:
        policy = load_checkpoint(directory, options)
        policy.network.vision.register_forward_hook(lambda *_: seen.append(1))
        return policy

    path = write_arm()
    robot = Robot(peer, path)
    parameters = {'arm': path, 'checkpoint': str(checkpoint), 'enabled': False}
    host((partial(PolicyNode, load=load), parameters))
    rng = np.random.default_rng(0)
    show = robot.observe

    def observe() -> None:
        monkeypatch.setattr(f'{__name__}.IMAGE', rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
        show()

    robot.observe = observe
    robot.start()
    robot.wait_until_seen()
    warm = len(seen)
    first = robot.ask('what is there?')
    assert len(seen) == warm + 1
    assert robot.ask('is it open?') != ''
    assert robot.ask('what is there?') == first
    assert len(seen) == warm + 1
    robot.ask('look again')
    assert len(seen) == warm + 2


def test_a_camera_on_the_end_effector_sees_from_where_that_is(start, checkpoint) -> None:
    on_wrist = {'position': [-0.1, 0.1, 0.7], 'quaternion': [1.0, 0.0, 0.0, 0.0]}
    camera = {'base_T_camera': None, 'ee_T_camera': on_wrist}
    robot = start({'camera': camera}, instruction=INSTRUCTION)
    robot.start()
    assert_same_pose(robot.wait_for_target(1), expected(checkpoint).pose)


def test_a_camera_on_a_link_sees_from_where_the_joints_put_it(start, peer, checkpoint) -> None:
    changes = {'urdf': {'topic': 'robot_description'}, 'camera': {'base_T_camera': None}}
    changes['camera']['link'] = 'eye'
    robot = start(changes, instruction=INSTRUCTION)
    robot.start()
    robot.said('robot_description: nothing received yet')
    urdf = made_up_urdf(robot.arm)
    description = peer.node.create_publisher(String, 'robot_description', qos.LATCHED)
    description.publish(String(data=urdf))
    joints = {joint.name: 0.0 for joint in robot.arm.joints}
    place = Kinematics(robot.arm, urdf).base_T_link('eye', joints)
    assert_same_pose(robot.wait_for_target(1), expected(checkpoint, place=place).pose)


def test_targets_need_not_be_followed(start, checkpoint) -> None:
    robot = start(follow_targets=False, instruction=INSTRUCTION)
    robot.start()
    assert_same_pose(robot.wait_for_target(1), expected(checkpoint).pose)
    robot.ask('what is there?')
    assert robot.chunks == []


def test_a_target_outside_the_workspace_is_shown_and_not_followed(start) -> None:
    low = {'workspace': {'lower': [-0.1, 0.5, 0.3], 'upper': [0.3, 0.9, 0.5]}}
    robot = start(low, instruction=INSTRUCTION)
    robot.start()
    robot.wait_for_target(1)
    said = robot.said("'pre_contact' of the pose target")['message']
    assert 'outside the workspace [-0.1, 0.5, 0.3] .. [0.3, 0.9, 0.5]' in said
    assert robot.chunks == []


@pytest.mark.parametrize(
    ('attribute', 'value', 'said'),
    [
        ('depth_frame', 'depth_optical', 'front/depth: nothing received yet'),
        ('info_size', (480, 640), 'front/camera_info is for images of 640 x 480, the images have'),
    ],
)
def test_depth_and_intrinsics_that_do_not_fit_the_image_are_refused(
    start, attribute, value, said
) -> None:
    robot = start(instruction=INSTRUCTION)
    setattr(robot, attribute, value)
    robot.start()
    robot.said(said)
    assert robot.targets == []


@pytest.mark.parametrize(
    ('camera', 'parameters', 'said'),
    [
        ({'depth_topic': None, 'info_topic': None}, {}, 'give it depth_topic and info_topic'),
        ({'base_T_camera': None}, {}, 'give it base_T_camera, its place'),
        ({'name': 'head'}, {}, "sees by the camera 'front', arm 'sawyer_sim' has head"),
        ({}, {'mode': 'lockstep'}, 'gives targets, not chunks of actions: leave the parameter'),
        ({}, {'cache': 'stream'}, "cannot run with the cache 'stream'"),
    ],
)
def test_what_cannot_be_is_refused_at_configure(
    host, checkpoint, write_arm, camera, parameters, said
) -> None:
    common = {'arm': write_arm(camera=camera), 'checkpoint': str(checkpoint)}
    started = host((PolicyNode, {**common, **parameters}))
    assert started.wait(PATIENCE_S)
    started.stop()
    assert said in started.failures[0]
