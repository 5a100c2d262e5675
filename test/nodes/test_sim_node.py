from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_srvs.srv import Trigger

from robomamba_ros.messages.state import nanoseconds, pose_from_stamped
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import gripper_command, pose_to_stamped
from robomamba_ros.nodes.sim.sim_node import SimNode
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.metaworld import DT_NS
from robomamba_ros.types import Pose

ARM = load_arm('sawyer_sim')
LOCKSTEP = {'mode': 'lockstep', 'task': 'reach', 'seed': 3, 'camera_size': 64, 'camera_steps': 5}


class Script:
    """Moves the hand along a fixed line: answers each ee_pose with the command of its stamp."""

    def __init__(self, peer) -> None:
        self.stream: list[tuple[float, ...]] = []
        self.stamps: list[int] = []
        self._steps = 0
        self._joints: dict[int, JointState] = {}
        self._target = peer.node.create_publisher(PoseStamped, 'target_pose', qos.COMMAND)
        self._gripper = peer.node.create_publisher(JointState, 'gripper', qos.COMMAND)
        node = peer.node
        node.create_subscription(JointState, 'joint_states', self._on_joints, qos.STATE_LOCKSTEP)
        node.create_subscription(PoseStamped, 'ee_pose', self._on_pose, qos.STATE_LOCKSTEP)

    def begin(self, steps: int) -> None:
        self.stream, self.stamps, self._joints = [], [], {}
        self._steps = steps

    def _on_joints(self, message: JointState) -> None:
        self._joints[nanoseconds(message.header.stamp)] = message

    def _on_pose(self, message: PoseStamped) -> None:
        stamp = nanoseconds(message.header.stamp)
        if stamp not in self._joints or self.done:
            return
        if not self.stamps or stamp > self.stamps[-1]:
            pose = pose_from_stamped(message, 'base')
            if not self.stream:
                self._start = pose.position
            self.stamps.append(stamp)
            self.stream.append((*self._joints[stamp].position, *pose.position, *pose.quaternion))
        if self.done:
            return
        offset = 0.005 * len(self.stream) * np.array([1.0, 0.5, -0.25])
        target = Pose(self._start + offset, np.array([0.0, 0.0, 0.0, 1.0]))
        self._target.publish(pose_to_stamped(target, stamp, ARM.base_frame))
        self._gripper.publish(gripper_command(0.5, stamp, ARM))

    @property
    def done(self) -> bool:
        return self._steps == 0 or len(self.stream) > self._steps


def reset(peer, **parameters) -> str:
    request = SetParameters.Request(
        parameters=[Parameter(n, value=v).to_parameter_msg() for n, v in parameters.items()]
    )
    results = peer.call(SetParameters, 'sim_node/set_parameters', request).results
    assert [r.reason for r in results if not r.successful] == []
    response = peer.call(Trigger, 'sim_node/reset', Trigger.Request())
    assert response.success, response.message
    return response.message


def test_lockstep_gives_the_same_stream_for_the_same_seed(host, peer) -> None:
    host((SimNode, LOCKSTEP))
    images = peer.record(Image, 'camera/corner2/image', qos.CAMERA_LOCKSTEP)
    script = Script(peer)
    streams = []
    for seed in (7, 7, 8):
        reset(peer, task='push', seed=seed)
        script.begin(steps=30)
        images.clear()
        peer.wait_for(lambda: script.done, '30 steps')
        streams.append(np.array(script.stream))
        assert np.diff(script.stamps).tolist() == [DT_NS] * 30
        peer.wait_for(
            lambda: bool(images) and nanoseconds(images[-1].header.stamp) == script.stamps[30],
            'the image of step 30',
        )
        stamps = sorted({nanoseconds(image.header.stamp) for image in images})
        assert [s for s in stamps if s > script.stamps[0]] == script.stamps[5::5]
    assert np.array_equal(streams[0], streams[1])
    # The hand starts at the same place whatever the seed, and it moved.
    assert np.ptp(streams[0][:, 8]) > 0.1


def test_reset_changes_task_and_seed_and_refuses_an_unknown_task(host, peer) -> None:
    host((SimNode, LOCKSTEP))
    status = peer.record(DiagnosticStatus, 'sim_node/status', qos.LATCHED)
    assert reset(peer, task='drawer-open', seed=5) == 'episode 2: drawer-open, seed 5'
    peer.wait_for(
        lambda: bool(status) and {v.key: v.value for v in status[-1].values}['episode'] == '2',
        'the status of the episode',
    )
    values = {v.key: v.value for v in status[-1].values}
    assert (values['task'], values['seed'], values['done']) == ('drawer-open', '5', 'False')
    assert status[-1].message == 'episode 2, Open a drawer'

    request = SetParameters.Request(
        parameters=[Parameter('task', value='open-drawer').to_parameter_msg()]
    )
    peer.call(SetParameters, 'sim_node/set_parameters', request)
    response = peer.call(Trigger, 'sim_node/reset', Trigger.Request())
    assert not response.success
    assert "unknown Meta-World task 'open-drawer'" in response.message


def test_camera_info_fits_the_image(host, peer) -> None:
    host((SimNode, LOCKSTEP))
    images = peer.record(Image, 'camera/corner2/image', qos.CAMERA)
    infos = peer.record(CameraInfo, 'camera/corner2/camera_info', qos.CAMERA)
    peer.wait_for(lambda: bool(images and infos), 'an image and its camera_info')
    assert (images[0].width, images[0].height, images[0].encoding) == (64, 64, 'rgb8')
    assert (infos[0].width, infos[0].height) == (64, 64)
    # 60 degrees over 64 px.
    assert infos[0].k[0] == pytest.approx(32 / np.tan(np.deg2rad(30)))


def test_realtime_goes_on_by_itself_and_follows_the_newest_command(host, peer) -> None:
    host((SimNode, {'mode': 'realtime', 'task': 'reach', 'camera_size': 64}))
    poses = peer.record(PoseStamped, 'ee_pose', qos.STATE_LOCKSTEP)
    peer.wait_for(lambda: len(poses) > 5, 'poses')
    publisher = peer.node.create_publisher(PoseStamped, 'target_pose', qos.COMMAND)
    peer.wait_for(lambda: publisher.get_subscription_count() == 1, 'the simulation to subscribe')
    start = pose_from_stamped(poses[-1], 'base')
    target = Pose(start.position + np.array([0.1, 0.0, 0.0]), start.quaternion)
    publisher.publish(pose_to_stamped(target, nanoseconds(poses[-1].header.stamp), 'base'))
    peer.wait_for(
        lambda: abs(poses[-1].pose.position.x - target.position[0]) < 0.01, 'the hand to arrive'
    )


def test_a_command_in_another_frame_is_refused(host, peer) -> None:
    host((SimNode, LOCKSTEP))
    poses = peer.record(PoseStamped, 'ee_pose', qos.STATE_LOCKSTEP)
    targets = peer.node.create_publisher(PoseStamped, 'target_pose', qos.COMMAND)
    grippers = peer.node.create_publisher(JointState, 'gripper', qos.COMMAND)
    peer.wait_for(
        lambda: (
            len(poses) > 0
            and targets.get_subscription_count() == grippers.get_subscription_count() == 1
        ),
        'the sim',
    )
    stamp = nanoseconds(poses[-1].header.stamp)
    pose = pose_from_stamped(poses[-1], 'base')
    grippers.publish(gripper_command(1.0, stamp, ARM))
    targets.publish(pose_to_stamped(pose, stamp, 'map'))
    seen = len(poses)
    peer.wait_for(lambda: len(poses) > seen + 1, 'the observation to be repeated')
    assert nanoseconds(poses[-1].header.stamp) == stamp
    targets.publish(pose_to_stamped(pose, stamp, 'base'))
    peer.wait_for(lambda: nanoseconds(poses[-1].header.stamp) == stamp + DT_NS, 'the step')
