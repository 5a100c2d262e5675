"""Texts from publishers that keep their last message and from those that do not, over DDS."""

from __future__ import annotations

from typing import Any

import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.text_input import TextInput

# What `ros2 topic pub`, a speech node or a GUI publishes with, from Iron on.
PLAIN = QoSProfile(depth=10, durability=DurabilityPolicy.VOLATILE)


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that either subscription of an input has handed over, copies too."""
    found: list[str] = []
    take = TextInput._take

    def noted(self: TextInput, kept: bool, message: String, info: Any) -> None:
        take(self, kept, message, info)
        found.append(message.data)

    monkeypatch.setattr(TextInput, '_take', noted)
    return found


def test_every_publisher_is_heard_and_each_text_counts_once(peer, deliveries, capfd) -> None:
    node, texts = peer.node, []
    before = node.create_publisher(String, 'instruction', qos.LATCHED)
    before.publish(String(data='kept from before'))
    TextInput(node, 'instruction', texts.append)
    peer.wait_for(lambda: texts == ['kept from before'], 'what was kept')

    plain = node.create_publisher(String, 'instruction', PLAIN)
    kept = node.create_publisher(String, 'instruction', qos.LATCHED)
    peer.wait_for(lambda: plain.get_subscription_count() == 1, 'the plain one to be matched')
    for publisher in (before, kept):
        peer.wait_for(lambda p=publisher: p.get_subscription_count() == 2, 'both to be matched')

    # One after the other, and one twice in a row: said twice it is meant twice.
    for publisher, text, count in (
        (plain, 'open', 1),
        (kept, 'close', 2),
        (plain, 'close', 1),
        (kept, 'close', 2),
        (kept, 'close', 2),
        (before, 'open', 2),
    ):
        heard = len(deliveries)
        publisher.publish(String(data=text))
        peer.wait_for(lambda n=heard + count: len(deliveries) >= n, f'{text} by all who hear it')
    assert texts == ['kept from before', 'open', 'close', 'close', 'close', 'close', 'open']
    # One of the two subscriptions fits none of the plain publishers, and the other hears them.
    assert 'No messages will be received' not in ''.join(capfd.readouterr())


def test_the_last_of_two_texts_counts_where_the_node_was_busy_meanwhile(peer) -> None:
    """One subscription may then have the second text alone, and is asked first."""
    listener = Node('listener', start_parameter_services=False)
    texts: list[str] = []
    TextInput(listener, 'instruction', texts.append)
    kept = peer.node.create_publisher(String, 'instruction', qos.LATCHED)
    plain = peer.node.create_publisher(String, 'instruction', PLAIN)
    here = peer.record(String, 'instruction', PLAIN)
    peer.wait_for(lambda: kept.get_subscription_count() == 3, 'all to be matched')
    peer.wait_for(lambda: plain.get_subscription_count() == 2, 'the plain ones to be matched')
    for text in ('open', 'close'):
        kept.publish(String(data=text))
        peer.wait_for(lambda t=text: [m.data for m in here][-1:] == [t], f'{text} to arrive')
    peer.also_spin(listener)
    plain.publish(String(data='stop'))
    peer.wait_for(lambda: 'stop' in texts, 'the text after them')
    assert texts == ['open', 'close', 'stop']
    listener.destroy_node()


def test_a_text_that_a_newer_one_has_overtaken_is_not_wanted_any_more(peer) -> None:
    texts: list[str] = []
    heard = TextInput(peer.node, 'unused', texts.append)
    for kept, text, came_s in (
        (True, 'close', 10.0),
        (False, 'open', 9.9),  # the other subscription had lost it
        (False, 'close', 10.0),  # the copy
        (False, 'lift', 11.0),
        (False, 'push', 5.0),  # the clock was set back
    ):
        info = {'source_timestamp': hash(text), 'received_timestamp': round(came_s * 1e9)}
        heard._take(kept, String(data=text), info)
    assert texts == ['close', 'lift', 'push']


def test_where_nobody_says_when_a_text_was_sent_an_equal_one_soon_after_is_its_copy(
    peer, monkeypatch
) -> None:
    """As with the rclpy of Humble, which gives a callback nothing but the message."""
    now_s, texts = [100.0], []
    monkeypatch.setattr('robomamba_ros.nodes.common.text_input.time.monotonic', lambda: now_s[0])
    heard = TextInput(peer.node, 'unused', texts.append)
    open_, close = String(data='open'), String(data='close')
    for kept, message, at_s in (
        (False, open_, 100.0),
        (True, open_, 100.1),  # the copy
        (False, open_, 100.2),  # said again by a plain publisher
        (False, close, 101.0),
        (True, open_, 102.0),  # kept by somebody else
    ):
        now_s[0] = at_s
        heard._take(kept, message, None)
    assert texts == ['open', 'open', 'close', 'open']
