"""Bags to topics: the bytes, times and offers of a recording, and the clock that goes with it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Int64, String
from std_srvs.srv import SetBool, Trigger

from robomamba_ros.bags.definitions import Definition, find_definition
from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.recording import Recording
from robomamba_ros.bags.records import Offer, Record
from robomamba_ros.bringup.graph import BagOptions, PolicyOptions, replay_graph
from robomamba_ros.nodes.bag_player.bag_player_node import BagPlayerNode
from robomamba_ros.nodes.bag_player.topics import played_topics
from robomamba_ros.nodes.common.conversions import time_message
from robomamba_ros.types import NANOSECONDS

MS = 1_000_000
INT = 'std_msgs/msg/Int64'
STRING = 'std_msgs/msg/String'
RELIABLE = Offer('reliable', 'volatile')
EVERYTHING = QoSProfile(depth=1000)
ANY_OFFER = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def write(folder: Path, messages: Iterable[tuple[int, str, Any]], **offers: Offer) -> Path:
    """Write (time since the start [ms], topic, message)."""
    recording = Recording(folder, 'mcap')
    announced: set[str] = set()
    for time_ms, topic, content in messages:
        type_ = f'{type(content).__module__.split(".")[0]}/msg/{type(content).__name__}'
        if topic not in announced:
            announced.add(topic)
            offer = offers.get(topic[1:], RELIABLE)
            recording.add_topic(topic, type_, find_definition(type_), [offer])
        log_ns = 5 * NANOSECONDS + time_ms * MS
        recording.write(Record(topic, type_, log_ns, serialize_message(content)))
    recording.close()
    return folder


def numbers(count: int, every_ms: int = 1) -> list[tuple[int, str, Any]]:
    return [(i * every_ms, '/number', Int64(data=i)) for i in range(count)]


def seconds(messages: list[Clock]) -> list[float]:
    return [message.clock.sec + message.clock.nanosec * 1e-9 for message in messages]


def play(host: Any, folder: Path, **parameters: Any) -> Any:
    return host((BagPlayerNode, {'bag': str(folder), 'rate': 100.0, **parameters}))


def test_the_bytes_of_a_bag_come_in_order_and_then_the_node_ends(host, peer, tmp_path) -> None:
    write(tmp_path / 'bag', numbers(200))
    received: list[bytes] = []
    peer.node.create_subscription(Int64, '/number', received.append, EVERYTHING, raw=True)
    playing = play(host, tmp_path / 'bag', wait_for='number')
    peer.wait_for(lambda: len(received) == 200, 'every message')
    peer.wait_for(lambda: playing.wait(0.0), 'the end')
    assert [deserialize_message(data, Int64).data for data in received] == list(range(200))
    assert playing.failures == []


def test_offers_are_those_recorded_and_a_late_reader_gets_what_was_latched(
    host, peer, tmp_path
) -> None:
    messages = [(0, '/task', String(data='open it')), *numbers(3), (10_000_000, '/end', Int64())]
    write(
        tmp_path / 'bag',
        messages,
        task=Offer('reliable', 'transient_local', 'keep_last', 1),
        number=Offer('best_effort', 'volatile'),
    )
    play(host, tmp_path / 'bag', rate=1.0)
    find = peer.node.get_publishers_info_by_topic
    peer.wait_for(lambda: find('/task') and find('/number'), 'the publishers')
    (task,), (number,) = find('/task'), find('/number')
    assert task.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert task.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert number.qos_profile.durability == DurabilityPolicy.VOLATILE
    assert number.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    received = peer.record(String, '/task', LATCHED)
    peer.wait_for(lambda: bool(received), 'the latched message')
    assert received[0].data == 'open it'


def test_a_made_clock_runs_in_the_times_of_recording(host, peer, tmp_path) -> None:
    write(tmp_path / 'bag', numbers(3, every_ms=1000))
    ticks = peer.record(Clock, '/clock', ANY_OFFER)
    playing = play(
        host, tmp_path / 'bag', start_offset_s=0.5, duration_s=1.0, clock_rate=1000.0,
        wait_for='number',
    )  # fmt: skip
    received = peer.record(Int64, '/number', EVERYTHING)
    peer.wait_for(lambda: playing.wait(0.0), 'the end')
    peer.wait_for(
        lambda: bool(received and ticks) and seconds(ticks)[-1] > 6.5 - 1e-6, 'what was under way'
    )
    assert [message.data for message in received] == [1]
    times = seconds(ticks)
    assert times == sorted(times)
    assert times[0] >= 5.5
    assert times[-1] == pytest.approx(6.5)
    # 1000 ticks a second of the wall, 100 seconds of the bag in one; a busy reader misses some.
    steps = [10 * (b - a) for a, b in pairwise(times)]
    assert steps == pytest.approx([max(1, round(step)) for step in steps])


def test_a_bag_keeps_its_own_clock_or_gives_none(host, peer, tmp_path) -> None:
    clock = [(i, '/clock', Clock(clock=time_message(77 * NANOSECONDS + i * MS))) for i in range(9)]
    write(tmp_path / 'bag', sorted(clock + numbers(9), key=lambda each: each[0]))
    ticks = peer.record(Clock, '/clock', EVERYTHING)
    received = peer.record(Int64, '/number', EVERYTHING)
    play(host, tmp_path / 'bag', wait_for='/number /clock')
    peer.wait_for(lambda: len(ticks) == len(received) == 9, 'the bag')
    assert seconds(ticks) == pytest.approx([77 + i / 1000 for i in range(9)])
    play(host, tmp_path / 'bag', wait_for='number', publish_clock=False)
    peer.wait_for(lambda: len(received) == 18, 'the bag again')
    assert len(ticks) == 9


def test_topics_are_chosen_and_remapped(host, peer, tmp_path) -> None:
    messages = [
        (0, '/left/number', Int64(data=1)),
        (0, '/left/gripper', Int64(data=2)),
        (0, '/number', Int64(data=3)),
    ]
    write(tmp_path / 'bag', messages)
    found = {name: peer.record(Int64, name, EVERYTHING) for name in ('/a', '/left/gripper', '/b')}
    remap = ['--ros-args', '-r', '/number:=/b', '-r', '/left/number:=/a']
    host(
        (
            partial(BagPlayerNode, cli_args=remap),
            {'bag': str(tmp_path / 'bag'), 'exclude': 'gripper', 'wait_for': '/number left/number'},
        )
    )
    peer.wait_for(lambda: found['/a'] and found['/b'], 'the remapped topics')
    assert [[m.data for m in each] for each in found.values()] == [[1], [], [3]]


@pytest.mark.parametrize('namespace', ['', '/left'])
@pytest.mark.parametrize(
    ('recorded', 'played'),
    [
        ({'instruction': 1, 'active_instruction': 2}, 'instruction'),
        ({'active_instruction': 2}, 'active_instruction'),
        ({'instruction': 0, 'active_instruction': 1}, 'active_instruction'),
        ({'instruction': 1}, 'instruction'),
    ],
)
def test_an_instruction_is_played_once_whether_said_or_given_at_the_start(
    ros, tmp_path, namespace, recorded, played
) -> None:
    recording = Recording(tmp_path / 'bag', 'mcap')
    for topic, count in {'number': 1, **recorded}.items():
        recording.add_topic(f'{namespace}/{topic}', STRING, find_definition(STRING), [RELIABLE])
        for i in range(count):
            recording.write(Record(f'{namespace}/{topic}', STRING, i, serialize_message(String())))
    recording.close()
    player, _, _ = replay_graph(PolicyOptions('hold', namespace=namespace), BagOptions('bag'))
    rules = [part for rule in player.remappings.items() for part in ('-r', ':='.join(rule))]
    with Bag(tmp_path / 'bag') as bag:
        node = Node('player', namespace=namespace, cli_args=['--ros-args', *rules])
        topics = played_topics(bag, '', player.parameters['exclude'].split(), node)
        becomes = {each.name: node.resolve_topic_name(each.name) for each in topics if each.count}
        node.destroy_node()
    assert becomes == {
        f'{namespace}/number': f'{namespace}/number',
        f'{namespace}/{played}': f'{namespace}/instruction',
    }


class CountingPlayer(BagPlayerNode):
    """A player that counts what it plays; it is put into `made`. played: number of messages."""

    def __init__(self, made: list[CountingPlayer], **options: Any) -> None:
        self.played = 0
        made.append(self)
        super().__init__(**options)

    def _wait_until(self, due_ns: int) -> bool:
        # A pause takes hold of the same lock: after it the number stands.
        with self._change:
            due = super()._wait_until(due_ns)
            self.played += due
        return due


def test_pauses_hold_the_clock_and_loops_turn_it_back(host, peer, tmp_path) -> None:
    write(tmp_path / 'bag', numbers(4, every_ms=100))
    received = peer.record(Int64, '/number', EVERYTHING)
    made: list[CountingPlayer] = []
    parameters = {'bag': str(tmp_path / 'bag'), 'rate': 10.0, 'publish_clock': False}
    parameters |= {'paused': True, 'loop': True, 'wait_for': 'number'}
    playing = host((partial(CountingPlayer, made), parameters))
    toggle = partial(peer.call, Trigger, 'bag_player_node/toggle_paused', Trigger.Request())
    assert not received
    assert toggle().success
    peer.wait_for(lambda: len(received) > 9, 'the third time')
    assert [message.data for message in received[:9]] == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert not playing.wait(0.0)
    held = SetBool.Request(data=True)
    assert peer.call(SetBool, 'bag_player_node/pause', held).success
    count = made[0].played
    peer.wait_for(lambda: len(received) >= count, 'what was under way')
    peer.call(SetBool, 'bag_player_node/pause', held)
    assert len(received) == made[0].played == count
    assert peer.call(SetBool, 'bag_player_node/pause', SetBool.Request(data=False)).success
    peer.wait_for(lambda: len(received) > count, 'the rest')


def test_what_is_asked_for_before_the_bag_begins_holds_when_it_does(host, peer, tmp_path) -> None:
    write(tmp_path / 'bag', numbers(3))
    play(host, tmp_path / 'bag', paused=True, wait_for='number')
    toggled = peer.call(Trigger, 'bag_player_node/toggle_paused', Trigger.Request())
    assert toggled.message == 'playing'
    received = peer.record(Int64, '/number', EVERYTHING)
    peer.wait_for(lambda: len(received) == 3, 'the bag')


class PausedAtTheTurn(BagPlayerNode):
    """A player that is told to pause when its bag is over, before it begins again."""

    def __init__(self, found: list[bool], **options: Any) -> None:
        self._found = found
        super().__init__(**options)

    def _play(self) -> bool:
        self._found.append(self._time.paused)
        if len(self._found) > 1:
            return False
        over = super()._play()
        self._pause(True)
        return over


def test_a_pause_between_two_loops_holds(host, peer, tmp_path) -> None:
    write(tmp_path / 'bag', numbers(3))
    found: list[bool] = []
    parameters = {'bag': str(tmp_path / 'bag'), 'rate': 100.0, 'loop': True}
    playing = host((partial(PausedAtTheTurn, found), parameters))
    peer.wait_for(lambda: playing.wait(0.0), 'the end')
    assert found == [False, True]


def test_a_type_that_is_not_installed_is_left_out(host, peer, tmp_path) -> None:
    recording = Recording(tmp_path / 'bag', 'mcap')
    for topic, type_, definition in (
        ('/number', INT, find_definition(INT)),
        ('/grip', 'lab_msgs/msg/Grip', Definition('float64 force', 'RIHS01_0')),
    ):
        recording.add_topic(topic, type_, definition, [])
        recording.write(Record(topic, type_, 1, serialize_message(Int64(data=4))))
    recording.close()
    received = peer.record(Int64, '/number', EVERYTHING)
    playing = play(host, tmp_path / 'bag', wait_for='number')
    peer.wait_for(lambda: len(received) == 1, 'the other topic')
    peer.wait_for(lambda: playing.wait(0.0), 'the end')
    assert playing.failures == []


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'bag': '/nowhere'}, "there is no bag '/nowhere'"),
        ({'topics': 'numbr'}, r"unknown topic '/numbr'. Did you mean '/number'\?"),
        ({'wait_for': 'numbr'}, 'unknown topic'),
        ({'exclude': '/number'}, 'no topic that can be played'),
        ({'start_offset_s': 9.0}, 'ends after 0.002 s, before start_offset_s'),
        ({'rate': 0.0}, "'rate' must lie within"),
    ],
)
def test_a_mistake_ends_the_node_with_its_reason(host, peer, tmp_path, parameters, message) -> None:
    write(tmp_path / 'bag', numbers(3))
    playing = play(host, tmp_path / 'bag', **parameters)
    peer.wait_for(lambda: playing.wait(0.0), 'the end')
    (failure,) = playing.failures
    assert pytest.raises(ValueError, match=message).matches(ValueError(failure))
