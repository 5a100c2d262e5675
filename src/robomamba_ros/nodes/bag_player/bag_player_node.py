"""Publishes a recording as it was recorded: the same bytes, topics, intervals and offers.

The thread that plays reads the bag as it goes, so that memory does not grow with it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from rclpy.duration import Duration
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import SetBool, Trigger

from robomamba_ros.bags.playback import PlaybackClock, with_ticks
from robomamba_ros.bags.reader import Bag, Topic
from robomamba_ros.errors import DataError, RoboMambaError
from robomamba_ros.nodes.bag_player.topics import (
    message_class,
    named_topics,
    offer_to_readers,
    played_topics,
)
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import time_message
from robomamba_ros.nodes.common.host import end_process, run
from robomamba_ros.nodes.common.hosted_node import Finished
from robomamba_ros.nodes.common.parameter_tables import BAG_PLAYER
from robomamba_ros.nodes.common.self_starting import SelfStartingNode
from robomamba_ros.types import NANOSECONDS

CLOCK = '/clock'
LOOK_S = 0.05
# For what is still under way to reliable readers when the bag ends.
DELIVERY = Duration(seconds=1)


class BagPlayerNode(SelfStartingNode):
    """Plays one bag and ends. Services: `~/pause` (SetBool), `~/toggle_paused` (Trigger)."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__('bag_player_node', BAG_PLAYER, **node_options)
        self._bag: Bag | None = None
        self._outputs: dict[str, Any] = {}
        self._ticks: Any = None
        self._change = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._ended = self.create_guard_condition(self._on_end)

    def connect(self, options: Mapping[str, Any]) -> None:
        """Open the bag, announce its topics, and start the thread that plays it."""
        self._options = options
        self._bag = bag = Bag(options['bag'])
        self._warn_of(bag)
        self._begin_ns = bag.start_ns + round(options['start_offset_s'] * NANOSECONDS)
        length_ns = round(options['duration_s'] * NANOSECONDS)
        self._end_ns = self._begin_ns + length_ns if length_ns else bag.end_ns
        if self._begin_ns > bag.end_ns:
            raise DataError(f'{bag.path} ends after {bag.duration_s:.3f} s, before start_offset_s')
        awaited = named_topics(bag, options['wait_for'], self)
        left_out = options['exclude'].split()
        left_out += [] if options['publish_clock'] else [CLOCK]
        for topic in played_topics(bag, options['topics'], left_out, self):
            self._announce(topic)
        if not self._outputs:
            raise DataError(f'{bag.path} has no topic that can be played here')
        self._awaited = {topic.name for topic in awaited} & set(self._outputs)
        # Stamps of a bag that has a clock are by that clock; one made here would not fit them.
        if options['publish_clock'] and CLOCK not in self._outputs:
            self._ticks = self.create_publisher(ClockMessage, CLOCK, qos.CLOCK)
        self._time = PlaybackClock(self._begin_ns, options['rate'])
        # What was asked for last, also before the bag begins and where it begins again.
        self._paused = options['paused']
        self.create_service(SetBool, '~/pause', self._on_pause)
        self.create_service(Trigger, '~/toggle_paused', self._on_toggle)
        self.get_logger().info(f'{bag.path}: {bag.duration_s:.1f} s, {len(self._outputs)} topics')
        self._thread = threading.Thread(target=self._run, name='playback')
        self._thread.start()

    def _announce(self, topic: Topic) -> None:
        try:
            kind = message_class(topic.type)
        except RoboMambaError as error:
            self.get_logger().warning(f'{topic.name} ({topic.type}) is left out: {error}')
        else:
            self._outputs[topic.name] = self.create_publisher(
                kind, topic.name, offer_to_readers(topic)
            )

    def _run(self) -> None:
        try:
            if self._wait_for_readers():
                self._begin()
                while self._play() and self._options['loop']:
                    self._begin()
        except Exception as error:  # a defect: without this thread the node would do nothing
            self.fatal = f'{type(error).__name__}: {error}'
        self._ended.trigger()

    def _wait_for_readers(self) -> bool:
        """Wait until every awaited topic has a reader; return False where the node ends."""
        while not self._stopping:
            missing = [n for n in self._awaited if not self._outputs[n].get_subscription_count()]
            if not missing:
                return True
            self.get_logger().info(
                f'waiting for a reader of {", ".join(sorted(missing))}', throttle_duration_sec=2.0
            )
            time.sleep(LOOK_S)
        return False

    def _play(self) -> bool:
        """Publish the whole bag; return False where the node ends before."""
        assert self._bag is not None
        period_ns = round(NANOSECONDS * self._options['rate'] / self._options['clock_rate'])
        records = self._bag.records(self._outputs, self._begin_ns)
        for due_ns, record in with_ticks(
            records, self._begin_ns, self._end_ns, period_ns if self._ticks else 0
        ):
            if not self._wait_until(due_ns):
                return False
            if record is None:
                self._ticks.publish(ClockMessage(clock=time_message(due_ns)))
            else:
                self._outputs[record.topic].publish(bytes(record.data))
        for publisher in self._outputs.values():
            publisher.wait_for_all_acked(DELIVERY)
        return True

    def _wait_until(self, due_ns: int) -> bool:
        with self._change:
            while not self._stopping:
                wait_ns = self._time.wait_ns(due_ns, time.monotonic_ns())
                if wait_ns == 0:
                    return True
                self._change.wait(None if wait_ns is None else wait_ns / NANOSECONDS)
        return False

    def _begin(self) -> None:
        with self._change:
            self._time = PlaybackClock(self._begin_ns, self._options['rate'])
            self._pause(self._paused)

    def _pause(self, paused: bool) -> None:
        with self._change:
            self._paused = paused
            (self._time.pause if paused else self._time.resume)(time.monotonic_ns())
            self._change.notify()

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._pause(request.data)
        response.success = True
        return response

    def _on_toggle(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._pause(not self._paused)
        response.success, response.message = True, 'paused' if self._paused else 'playing'
        return response

    def _on_end(self) -> None:
        assert self._bag is not None
        self._warn_of(self._bag)
        if not self.fatal:
            raise Finished

    def _warn_of(self, bag: Bag) -> None:
        for warning in bag.warnings:
            self.get_logger().warning(warning)
        bag.warnings.clear()

    def destroy_node(self) -> None:
        """End the thread, close the bag, and destroy the node."""
        with self._change:
            self._stopping = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join()
        if self._bag is not None:
            self._bag.close()
        super().destroy_node()


def main() -> None:
    """Run the node (console script `bag_player_node`)."""
    end_process(run([BagPlayerNode], sys.argv))
