"""Records topics as they come, without knowing their types beforehand.

Messages stay bytes. Subscriptions follow what publishers offer; writing has a thread of its own,
so that no callback waits for the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from robomamba_ros.bags.definitions import find_definition
from robomamba_ros.bags.episodes import EpisodeRecording
from robomamba_ros.bags.recording import RecordingThread
from robomamba_ros.bags.records import Offer, Record
from robomamba_ros.errors import RoboMambaError
from robomamba_ros.nodes.bag_player.topics import message_class
from robomamba_ros.nodes.common.reception import with_info

LOOK_S = 0.5
# Messages that may wait in the middleware while this process is busy.
DEPTH = 1000


class BagRecorder(Node):
    """Subscribes to `topics`, or with None to every topic there is and comes to be.

    say: is told, once, what is recorded, what is not, and why. left_out: names that are not.
    seen: how many messages came in.
    """

    def __init__(
        self,
        topics: Collection[str] | None,
        recording: RecordingThread | EpisodeRecording,
        say: Callable[[str], None],
        left_out: Collection[str] = (),
        **node_options: Any,
    ) -> None:
        super().__init__('robomamba_record', **node_options)
        self._wanted = (
            None if topics is None else {self.resolve_topic_name(topic) for topic in topics}
        )
        self._recording = recording
        self._say = say
        self._left_out = set(left_out)
        self._profiles: dict[str, QoSProfile] = {}
        self.seen = 0
        # Not the node's clock: simulated time may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK_S, self._subscribe_to_new_topics, clock=steady)
        self._subscribe_to_new_topics()

    @property
    def fatal(self) -> str:
        """Why nothing is recorded any more, '' while it is."""
        return self._recording.failure

    @property
    def missing(self) -> list[str]:
        """The topics that were asked for and that nobody has published so far."""
        return sorted((self._wanted or set()) - set(self._profiles) - self._left_out)

    @property
    def topics(self) -> list[str]:
        """The topics that are recorded."""
        return sorted(self._profiles)

    def _subscribe_to_new_topics(self) -> None:
        for name, types in self.get_topic_names_and_types():
            if name in self._left_out or (self._wanted is not None and name not in self._wanted):
                continue
            if self._wanted is None and '/_' in name:  # hidden: parts of actions and services
                continue
            publishers = self.get_publishers_info_by_topic(name)
            if name in self._profiles:
                self._compare(name, publishers)
            elif publishers:
                try:
                    self._begin(name, types, publishers)
                except RoboMambaError as error:
                    self._left_out.add(name)
                    self._say(f'{name} is not recorded: {error}')

    def _begin(self, name: str, types: list[str], publishers: list[Any]) -> None:
        if len(types) > 1:
            raise RoboMambaError(f'it is published with several types, {", ".join(types)}')
        kind, definition = message_class(types[0]), find_definition(types[0])
        offers = [_offer(each.qos_profile) for each in publishers]
        self._recording.add_topic(name, types[0], definition, offers)
        self._profiles[name] = profile = _matching(publishers)
        self._say(f'recording {name} ({types[0]})')
        take = with_info(partial(self._received, name, types[0]))
        self.create_subscription(kind, name, take, profile, raw=True)

    def _compare(self, name: str, publishers: list[Any]) -> None:
        """Say where a publisher came that offers less than the subscription asks for."""
        profile = self._profiles[name]
        if any(_is_weaker(each.qos_profile, profile) for each in publishers):
            self._profiles[name] = _matching(publishers)
            self._say(
                f'{name} has a publisher now that offers less than those before it: its messages '
                'are not recorded. Start recording when all publishers are there.'
            )

    def _received(self, topic: str, type_: str, data: bytes, info: Any) -> None:
        # When the middleware had it; the callback may come later.
        log_ns = time.time_ns() if info is None else info['received_timestamp']
        self.seen += 1
        self._recording.put(Record(topic, type_, log_ns, data))


def _matching(publishers: list[Any]) -> QoSProfile:
    """Return the strongest profile that every publisher's offer allows."""
    profiles = [each.qos_profile for each in publishers]
    reliable = all(each.reliability == ReliabilityPolicy.RELIABLE for each in profiles)
    latched = all(each.durability == DurabilityPolicy.TRANSIENT_LOCAL for each in profiles)
    return QoSProfile(
        depth=DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _is_weaker(offered: QoSProfile, asked: QoSProfile) -> bool:
    unreliable = asked.reliability == ReliabilityPolicy.RELIABLE != offered.reliability
    volatile = asked.durability == DurabilityPolicy.TRANSIENT_LOCAL != offered.durability
    return bool(unreliable or volatile)


def _offer(profile: QoSProfile) -> Offer:
    return Offer(
        profile.reliability.name.lower(),
        profile.durability.name.lower(),
        profile.history.name.lower(),
        profile.depth,
        profile.deadline.nanoseconds,
        profile.lifespan.nanoseconds,
        profile.liveliness.name.lower(),
        profile.liveliness_lease_duration.nanoseconds,
    )
