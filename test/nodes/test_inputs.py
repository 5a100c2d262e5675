"""State and camera inputs: which messages make a state, and what a surprise costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState

from robomamba_ros.errors import ObservationError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import pose_to_stamped, rgb_to_image, time_message
from robomamba_ros.nodes.common.state_input import _WAITING, StateInput
from robomamba_ros.nodes.fake_arm.publishers import MARKER_MM, WALL_MM, CameraPublishers
from robomamba_ros.nodes.policy.camera_input import CameraInput
from robomamba_ros.nodes.policy.depth_input import DepthInput
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import Pose

ARM = load_arm('sawyer_sim')
POSE = Pose(np.array([0.1, 0.6, 0.2]), np.array([0.0, 0.0, 0.0, 1.0]))


class Robot:
    """Publishes joints and poses with stamps of the test's choice; keeps what is made of them."""

    def __init__(self, peer, mode: str) -> None:
        self._peer = peer
        self.states: list[tuple[int, int, float]] = []
        self.errors: list[ObservationError] = []
        self._input = StateInput(peer.node, ARM, mode, self._on_state, self.errors.append)
        self._joints = peer.node.create_publisher(JointState, 'joint_states', qos.STATE_LOCKSTEP)
        self._poses = peer.node.create_publisher(PoseStamped, 'ee_pose', qos.STATE_LOCKSTEP)
        for publisher in (self._joints, self._poses):
            peer.wait_for(
                lambda publisher=publisher: publisher.get_subscription_count() == 1, 'the input'
            )
        self._heard = peer.record(JointState, 'joint_states', qos.STATE_LOCKSTEP)
        peer.wait_for(lambda: self._joints.get_subscription_count() == 2, 'the record')

    def _on_state(self, state) -> None:
        stamp_ns = state.stamps['joint_states']
        self.states.append((state.stamp_ns, stamp_ns, state.joints['right_j0']))

    def joints(self, stamp_ns: int, position: float) -> None:
        """Publish, and wait until the input, which subscribed first, has them."""
        names = [joint.name for joint in ARM.joints] + ['gripper']
        message = JointState(name=names, position=[position] * len(names))
        message.header.stamp = time_message(stamp_ns)
        heard = len(self._heard)
        self._joints.publish(message)
        self._peer.wait_for(lambda: len(self._heard) > heard, 'joint_states')

    def pose(self, stamp_ns: int, frame: str = 'base') -> None:
        self._poses.publish(pose_to_stamped(POSE, stamp_ns, frame))

    def wait_for_states(self, count: int) -> None:
        self._peer.wait_for(lambda: len(self.states) == count, f'{count} states')


def test_in_realtime_a_pose_takes_the_newest_joints_and_says_how_old_they_are(peer) -> None:
    robot = Robot(peer, 'realtime')
    robot.joints(100, 0.1)
    robot.pose(105)
    robot.wait_for_states(1)
    robot.joints(110, 0.2)
    robot.joints(120, 0.3)
    robot.pose(125)
    robot.wait_for_states(2)
    assert robot.states == [(105, 100, 0.1), (125, 120, 0.3)]


def test_in_lockstep_a_state_needs_both_of_one_stamp(peer) -> None:
    robot = Robot(peer, 'lockstep')
    robot.joints(100, 0.1)
    robot.pose(105)
    robot.pose(100)
    robot.wait_for_states(1)
    robot.pose(110)
    robot.joints(110, 0.2)
    robot.wait_for_states(2)
    assert robot.states == [(100, 100, 0.1), (110, 110, 0.2)]


def test_in_lockstep_streams_that_never_agree_take_no_more_and_more_memory(peer) -> None:
    robot = Robot(peer, 'lockstep')
    for stamp_ns in range(1, _WAITING + 21):
        robot.joints(stamp_ns, 0.1)
    assert len(robot._input._waiting) == _WAITING
    robot.pose(_WAITING + 20)
    robot.wait_for_states(1)


def test_a_pose_in_another_frame_is_an_error_and_no_state(peer) -> None:
    robot = Robot(peer, 'realtime')
    robot.joints(100, 0.1)
    robot.pose(100, frame='map')
    peer.wait_for(lambda: bool(robot.errors), 'the error')
    assert "frame 'map'" in str(robot.errors[0])
    assert robot.states == []


@pytest.mark.parametrize(('sent', 'fits'), [('rgb8', True), ('bgr8', False)])
def test_an_image_of_another_colour_order_is_refused_when_it_is_used(peer, sent, fits) -> None:
    received = []
    CameraInput(
        peer.node, ARM.cameras[0], (4, 4), 'lockstep', lambda *image: received.append(image)
    )
    publisher = peer.node.create_publisher(Image, 'camera/corner2/image', qos.CAMERA_LOCKSTEP)
    peer.wait_for(lambda: publisher.get_subscription_count() == 1, 'the input')
    rgb = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    message = rgb_to_image(rgb, 7, 'corner2')
    message.encoding = sent
    publisher.publish(message)
    peer.wait_for(lambda: bool(received), 'the image')
    name, stamp_ns, decode = received[0]
    assert (name, stamp_ns) == ('corner2', 7)
    if fits:
        assert np.array_equal(decode(), rgb)
    else:
        with pytest.raises(ObservationError, match=r"'corner2' sends bgr8, the arm contract says"):
            decode()


def test_an_image_counts_from_when_it_was_taken(peer) -> None:
    camera = replace(ARM.cameras[0], latency_s=0.03)
    stamps = []
    CameraInput(peer.node, camera, (2, 2), 'lockstep', lambda *image: stamps.append(image[1]))
    publisher = peer.node.create_publisher(Image, 'camera/corner2/image', qos.STATE_LOCKSTEP)
    peer.wait_for(lambda: publisher.get_subscription_count() == 1, 'the input')
    publisher.publish(rgb_to_image(np.zeros((2, 2, 3), np.uint8), 5_000_000_000, 'corner2'))
    peer.wait_for(lambda: len(stamps) == 1, 'the image')
    assert stamps == [4_970_000_000]


class Depths:
    """Keeps what a DepthInput gives an observation buffer."""

    def __init__(self) -> None:
        self.given: list[tuple[str, int, np.ndarray]] = []
        self.informed = False

    def add_depth(self, camera: str, stamp_ns: int, decode) -> None:
        self.given.append((camera, stamp_ns, decode()))

    def set_intrinsics(self, *intrinsics) -> None:
        self.informed = True


@pytest.mark.parametrize('compressed', [False, True])
def test_depth_comes_as_the_name_of_its_topic_says(peer, compressed: bool) -> None:
    topic = 'depth/image/compressedDepth' if compressed else 'depth/image'
    camera = replace(ARM.cameras[0], depth_topic=topic, info_topic='info')
    depths = Depths()
    DepthInput(peer.node, camera, 'lockstep', depths, lambda _: None, lambda _: None)
    # The stand-in of the arm sends what the input takes.
    fake = CameraPublishers(peer.node, camera, 8, 6)
    for publisher in (fake._topics._depth, fake._topics._info):
        peer.wait_for(lambda each=publisher: each.get_subscription_count() == 1, 'the input')
    fake.publish(1)
    peer.wait_for(lambda: depths.informed, 'camera_info')
    fake.publish(2)
    peer.wait_for(lambda: any(stamp_ns == 2 for _, stamp_ns, _ in depths.given), 'depth')
    name, _, metres = depths.given[-1]
    assert (name, metres.shape, metres.dtype) == ('corner2', (6, 8), np.float32)
    assert set(np.unique(metres * 1000).round().astype(int)) == {MARKER_MM, WALL_MM}
