"""Hosts nodes in one process: a thread and an executor for each, one way down for all."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import rclpy
from rclpy.signals import SignalHandlerOptions

from robomamba_ros.common.logs import shown
from robomamba_ros.nodes.common.hosted_node import HostedNode, NodeFactory
from robomamba_ros.nodes.common.realtime import Collector

# An inference gives the interpreter up at every tensor operation and waits this long to get it
# back from a busy thread; the interpreter's own 5 ms would multiply its time.
SWITCH_INTERVAL_S = 1e-4
# A node at rest that has not ended by then is left behind: `ros2 launch` waits for 5 s.
GRACE_S = 3.0


class Host:
    """Runs nodes until one fails or `stop` is called; a context manager.

    Ctrl-C leaves nodes that only compute, and the process has to end. ended: set where a node has
    ended, or by whoever wants all to end.
    """

    def __init__(
        self, factories: Sequence[NodeFactory], ended: threading.Event | None = None
    ) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._ended = ended or threading.Event()
        self._nodes = [HostedNode(factory, self._ended.set) for factory in factories]

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until a node has ended by itself or a stop was asked for."""
        return self._ended.wait(timeout_s)

    def leave(self) -> None:
        """Bring every node to rest and wait until all have ended, but not for what only computes.

        For a process that ends: loading a policy, or an answer in words, takes many seconds.
        """
        for node in self._nodes:
            node.stop()
        until_s = time.monotonic() + GRACE_S
        for node in sorted(self._nodes, key=lambda node: not node.moves):
            node.leave(until_s)

    def stop(self) -> None:
        """Bring every node to rest and wait until all have ended."""
        for node in self._nodes:
            node.stop()
        for node in self._nodes:
            node.join()

    @property
    def failures(self) -> list[str]:
        """What went wrong, one line a node."""
        return [node.failure for node in self._nodes if node.failure]

    def __enter__(self) -> Host:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            self.leave()
        else:
            self.stop()


def run(factories: Sequence[NodeFactory], arguments: list[str] | None = None) -> int:
    """Run nodes in this process until Ctrl-C, SIGTERM or a failure; return the exit code.

    A policy that still loads or answers is not waited for: then this process has to end by
    `end_process`. arguments: of the process, for ROS; 2 is returned where it cannot read them.
    """
    ended = threading.Event()
    Collector.ours = True

    def handle(number: int, frame: FrameType | None) -> None:
        ended.set()

    # Before a policy begins to load: nothing has been started that could not end at once.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    try:
        # rclpy's own handlers would end the context before the arm has come to rest.
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with shown():
            host = Host(factories, ended)
            host.wait()
            host.leave()
        for failure in host.failures:
            print(failure, file=sys.stderr)
        return 1 if host.failures else 0
    finally:
        rclpy.shutdown()
        # `ros2 launch` repeats them; Python on its way out would die of it with an error.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def end_process(code: int) -> NoReturn:
    """End this process now: Python's own way out waits for threads, and for torch to be collected.

    Nodes, bags and the simulation have been closed by then.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
