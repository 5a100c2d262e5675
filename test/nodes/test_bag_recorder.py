"""Topics to bags: any type, whatever is offered, from the first message that can be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Int64, String

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.recording import RecordingThread
from robomamba_ros.errors import BackendError
from robomamba_ros.nodes.bag_player.topics import message_class
from robomamba_ros.nodes.clients.bag_recorder import BagRecorder

BEST_EFFORT = QoSProfile(depth=9, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Recorder:
    """A recorder that is spun with the peer's publishers."""

    def __init__(self, peer: Any, folder: Path, topics: list[str] | None, **options: Any) -> None:
        self.folder, self.said, self._peer = folder, [], peer
        self.thread = RecordingThread(folder, 'mcap', 1 << 20)
        self.node = BagRecorder(topics, self.thread, self.said.append, **options)
        peer.also_spin(self.node)

    def follow(self, publisher: Any) -> None:
        self._peer.wait_for(lambda: publisher.get_subscription_count() > 0, 'the subscription')

    def finish(self, seen: int) -> Bag:
        self._peer.wait_for(lambda: self.node.seen >= seen, f'{seen} messages')
        self.thread.close()
        assert self.thread.failure == ''
        return Bag(self.folder)

    def close(self) -> None:
        self.thread.close()
        self.node.destroy_node()


@pytest.fixture
def recorder(peer, tmp_path) -> Iterator[Any]:
    made: list[Recorder] = []

    def start(topics: list[str] | None, **options: Any) -> Recorder:
        made.append(Recorder(peer, tmp_path / f'bag{len(made)}', topics, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_everything_is_recorded_as_bytes_with_what_was_offered(recorder, peer) -> None:
    latched = peer.node.create_publisher(String, '/task', LATCHED)
    latched.publish(String(data='open it'))  # before anybody listens
    recording = recorder(None)
    joints = peer.node.create_publisher(JointState, '/joint_states', BEST_EFFORT)
    recording.follow(latched)
    recording.follow(joints)
    sent = JointState(name=['a'], position=[0.5])
    joints.publish(sent)
    with recording.finish(seen=2) as bag:
        found = {r.topic: r.data for r in bag.records(['/task', '/joint_states'])}
        assert deserialize_message(found['/task'], String) == String(data='open it')
        assert deserialize_message(found['/joint_states'], JointState) == sent
        (message,) = bag.messages(['/joint_states'])
        assert (message.content.name, message.content.position.tolist()) == (['a'], [0.5])
        offers = {name: bag.topics[name].offers[0] for name in ('/task', '/joint_states')}
    assert (offers['/task'].reliability, offers['/task'].durability) == (
        'reliable',
        'transient_local',
    )
    assert (offers['/joint_states'].reliability, offers['/joint_states'].durability) == (
        'best_effort',
        'volatile',
    )
    assert 'recording /joint_states (sensor_msgs/msg/JointState)' in recording.said


def test_topics_are_waited_for_within_a_namespace_and_others_are_left(recorder, peer) -> None:
    recording = recorder(['left_number', '/number', 'never'], namespace='/arm')
    other = peer.node.create_publisher(Int64, '/other', 9)
    assert recording.node.missing == ['/arm/left_number', '/arm/never', '/number']
    publishers = [
        peer.node.create_publisher(Int64, name, 9) for name in ('/arm/left_number', '/number')
    ]
    for publisher in publishers:
        recording.follow(publisher)
        publisher.publish(Int64(data=1))
    other.publish(Int64(data=2))
    with recording.finish(seen=2) as bag:
        assert sorted(bag.topics) == ['/arm/left_number', '/number']
        assert bag.count == 2
    assert recording.node.missing == ['/arm/never']


def test_messages_have_the_time_of_their_reception(recorder, peer) -> None:
    """They are recorded in the order of their coming, whichever callback came first."""
    publishers = [peer.node.create_publisher(Int64, f'/n{i}', 50) for i in range(4)]
    recording = recorder(None)
    for publisher in publishers:
        recording.follow(publisher)
    for i in range(40):
        publishers[(7 * i) % 4].publish(Int64(data=i))
    with recording.finish(seen=40) as bag:
        found = [message.content.data for message in bag.messages(bag.topics)]
    assert found == list(range(40))


def test_two_publishers_of_different_offers_are_both_heard(recorder, peer) -> None:
    strong = peer.node.create_publisher(Int64, '/number', LATCHED)
    weak = peer.node.create_publisher(Int64, '/number', BEST_EFFORT)
    peer.wait_for(
        lambda: len(peer.node.get_publishers_info_by_topic('/number')) == 2, 'both publishers'
    )
    recording = recorder(['/number'])
    for i, publisher in enumerate((strong, weak)):
        recording.follow(publisher)
        publisher.publish(Int64(data=i))
    with recording.finish(seen=2) as bag:
        assert sorted(message.content.data for message in bag.messages(['/number'])) == [0, 1]
        assert len(bag.topics['/number'].offers) == 2


def test_a_publisher_that_offers_less_later_is_said(recorder, peer) -> None:
    strong = peer.node.create_publisher(Int64, '/number', 9)
    recording = recorder(['/number'])
    recording.follow(strong)
    peer.node.create_publisher(Int64, '/number', BEST_EFFORT)
    peer.wait_for(lambda: len(recording.said) > 1, 'the remark')
    assert '/number has a publisher now that offers less' in recording.said[1]


def test_a_topic_of_two_types_is_left_out_and_said(recorder, peer) -> None:
    peer.node.create_publisher(Int64, '/number', 9)
    context = rclpy.Context()  # another participant, as one alone refuses it
    rclpy.init(args=[], context=context)
    other = Node('other', context=context, start_parameter_services=False)
    other.create_publisher(Float64, '/number', 9)
    peer.wait_for(lambda: len(peer.node.get_publishers_info_by_topic('/number')) == 2, 'both types')
    recording = recorder(['/number'])
    peer.wait_for(lambda: recording.said, 'the remark')
    assert recording.said == [
        '/number is not recorded: it is published with several types, std_msgs/msg/Float64, '
        'std_msgs/msg/Int64'
    ]
    assert recording.node.missing == []
    other.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize(
    ('type_', 'message'),
    [
        ('lab_msgs/msg/Grip', "no package that is installed defines 'lab_msgs/msg/Grip'"),
        ('std_msgs/msg/Strin', "no package that is installed defines 'std_msgs/msg/Strin'"),
        ('std_srvs/srv/SetBool_Event', 'is no type of messages'),
    ],
)
def test_a_type_that_is_not_installed_is_named(type_: str, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        message_class(type_)
    assert message_class('std_msgs/msg/String') is String


def test_the_name_of_a_type_imports_no_module_that_is_none_of_ros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'planted').mkdir()
    (tmp_path / 'planted/__init__.py').write_text('')
    (tmp_path / 'planted/msg.py').write_text("raise SystemExit('it was run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match='no package that is installed defines'):
        message_class('planted/msg/String')
