"""Runs a bag recorder in this process, with a line of progress in the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from tqdm import tqdm

from robomamba_ros.bags.episodes import EpisodeRecording
from robomamba_ros.bags.recording import RecordingThread
from robomamba_ros.nodes.clients.bag_recorder import BagRecorder

SHOW_S = 0.5
# At the end messages that were received are still taken, until none came so many times in a row.
DRAIN_S, IDLE = 2.0, 5


class RecorderSpin:
    """node: the recorder; say: prints a line above that of the progress."""

    def __init__(self, executor: Any, node: BagRecorder, line: Any) -> None:
        self.node = node
        self.say = partial(line.write, file=sys.stderr)
        self._executor = executor
        self._line = line
        self._shown_s = time.monotonic()

    def turn(self, progress: Callable[[], str]) -> None:
        """Take what has come, or wait a moment, and show the progress now and then."""
        self._executor.spin_once(timeout_sec=0.1)
        now_s = time.monotonic()
        if now_s - self._shown_s > SHOW_S:
            self._shown_s = now_s
            self._line.set_description_str(progress())

    def drain(self) -> None:
        """Take what this process has received and not looked at yet."""
        until_s, idle = time.monotonic() + DRAIN_S, 0
        while idle < IDLE and time.monotonic() < until_s:
            seen = self.node.seen
            self._executor.spin_once(timeout_sec=0.01)
            idle = idle + 1 if self.node.seen == seen else 0


@contextmanager
def recorder_spin(
    recording: RecordingThread | EpisodeRecording,
    topics: Collection[str] | None,
    namespace: str,
    left_out: Collection[str] = (),
) -> Iterator[RecorderSpin]:
    """Make the recorder of `topics` (None: all there are) and give what runs it; end it after.

    recording: takes the messages. left_out: topics that are not recorded though they are there.
    """
    executor = SingleThreadedExecutor()
    with tqdm(bar_format='{desc}', file=sys.stderr) as line:
        say = partial(line.write, file=sys.stderr)
        node = BagRecorder(topics, recording, say, left_out, namespace=namespace)
        executor.add_node(node)
        try:
            yield RecorderSpin(executor, node, line)
        finally:
            executor.shutdown()
            node.destroy_node()
