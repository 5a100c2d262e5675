"""What a run looks like from outside, sample by sample."""

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import MultiDOFJointTrajectory

from robomamba_ros.errors import SimulationError
from robomamba_ros.nodes.clients import run_recorder
from robomamba_ros.nodes.clients.run_recorder import RunRecorder
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import rgb_to_image, time_message

MS = 1_000_000


def pose(stamp_ms: int, x: float) -> PoseStamped:
    message = PoseStamped()
    message.header.stamp = time_message(stamp_ms * MS)
    message.pose.position.x = x
    return message


def test_records_an_episode_by_its_stamps(ros, peer, monkeypatch) -> None:
    recorder = RunRecorder('front')
    node = peer.node
    image, state, chunk, command, gripper = (
        node.create_publisher(kind, topic, qos.COMMAND)
        for kind, topic in (
            (Image, 'camera/front/image'),
            (PoseStamped, 'ee_pose'),
            (MultiDOFJointTrajectory, 'action_chunk'),
            (PoseStamped, 'target_pose'),
            (JointState, 'gripper'),
        )
    )
    peer.also_spin(recorder)

    def send(publisher, message) -> None:
        before = recorder.received
        peer.wait_for(lambda: publisher.get_subscription_count() > 0, 'the recorder')
        publisher.publish(message)
        peer.wait_for(lambda: recorder.received > before, 'the recorder to receive')

    for stamp_ms, level in ((900, 1), (1000, 2), (1100, 3)):
        send(image, rgb_to_image(np.full((2, 2, 3), level, np.uint8), stamp_ms * MS, 'front'))
    for stamp_ms, x in ((900, 0.0), (1000, 0.1), (1100, 0.2)):
        send(state, pose(stamp_ms, x))
    send(command, pose(5, 8.8))
    send(command, pose(10, 9.9))  # left over from the episode before
    assert list(recorder.first_s) == ['image']
    plan = MultiDOFJointTrajectory()
    plan.header.stamp = time_message(990 * MS)
    send(chunk, plan)
    # The second one twice, and one after the end.
    for stamp_ms, x in ((1030, 0.5), (1080, 0.6), (1080, 0.6), (1100, 0.7)):
        send(command, pose(stamp_ms, x))
    opening = JointState(name=['gripper'], position=[0.25])
    opening.header.stamp = time_message(1030 * MS)
    send(gripper, opening)
    assert list(recorder.first_s) == ['image', 'chunk', 'motion']
    assert sorted(recorder.first_s.values()) == list(recorder.first_s.values())

    seen = recorder.take(850 * MS, 1100 * MS)
    # It begins with the first setpoint, and with the image that shows the scene then.
    assert [round(time, 3) for time, _ in seen.images] == [-0.03, 0.07]
    assert [image[0, 0, 0] for _, image in seen.images] == [2, 3]
    np.testing.assert_allclose(seen.time, [0.0, 0.05])
    np.testing.assert_allclose(seen.commanded[:, 0], [0.5, 0.6])
    np.testing.assert_allclose(seen.measured[:, 0], [0.13, 0.18])
    np.testing.assert_allclose(seen.gripper, [0.25, 0.25])
    np.testing.assert_allclose(seen.observation_to_command_s, [0.04])
    np.testing.assert_allclose(seen.chunk_times, [0.0])
    # It begins anew, and says what is missing.
    monkeypatch.setattr(run_recorder, '_STATE_S', 0.01)
    with pytest.raises(SimulationError, match=r'the state of 1\.100 s, .* did not come on ee_pose'):
        recorder.take(850 * MS, 1100 * MS)
    recorder.destroy_node()
