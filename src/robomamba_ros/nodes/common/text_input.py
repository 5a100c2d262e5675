"""Hears a topic of texts from every kind of publisher: those that keep their last message for
readers that come later, and those that do not.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from rclpy.event_handler import SubscriptionEventCallbacks
from std_msgs.msg import String

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.reception import with_info
from robomamba_ros.types import NANOSECONDS

# Where the middleware does not say when a text was sent, an equal one is a copy for so long [s].
COPY_S = 0.5
# How much later the same text may reach the other of the two subscriptions [ns].
OVERTAKEN_NS = NANOSECONDS


class _ReceivedText(NamedTuple):
    kept: bool
    sent_ns: int
    text: str
    at_s: float


class TextInput:
    """Calls on_text once for every text on a topic, and for what was kept from before.

    DDS connects a subscription to the publishers that offer what it asks for. One that asks for
    transient local never hears a plain publisher, such as `ros2 topic pub` from Iron on; one that
    does not misses what was published before it came. So there is one of each, and a text that
    both hear counts once. Where the node was busy one may hand over an older text after a newer
    one of the other: that is not what is wanted any more.
    """

    def __init__(self, node: Any, topic: str, on_text: Callable[[str], None]) -> None:
        self._node = node
        self._on_text = on_text
        self._heard: deque[_ReceivedText] = deque(maxlen=16)
        self._newest_ns = 0
        # rclpy would warn that nothing is heard of a plain publisher: not by one of the two.
        events = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._subscriptions = [
            node.create_subscription(
                String, topic, with_info(partial(self._take, kept)), profile, event_callbacks=events
            )
            for kept, profile in ((True, qos.KEPT_TEXT), (False, qos.TEXT))
        ]

    def _take(self, kept: bool, message: String, info: Any) -> None:
        sent_ns, now_s = info['source_timestamp'] if info else 0, time.monotonic()
        came_ns = info['received_timestamp'] if info else 0
        for each in self._heard:
            same = each[:3] == (not kept, sent_ns, message.data)
            if same and (sent_ns or now_s < each.at_s + COPY_S):
                self._heard.remove(each)
                return
        self._heard.append(_ReceivedText(kept, sent_ns, message.data, now_s))
        # A clock that was set back makes a new text no old one.
        overtaken = came_ns < self._newest_ns < came_ns + OVERTAKEN_NS
        if not overtaken:
            self._newest_ns = came_ns
            self._on_text(message.data)

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
