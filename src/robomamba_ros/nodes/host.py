"""Hosts nodes in one process: a thread and an executor for each, one way down for all.

Knows nothing about what the nodes do.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from robomamba_ros.errors import RoboMambaError
from robomamba_ros.logs import shown
from robomamba_ros.nodes.lifecycle import ManagedNode

NodeFactory = Callable[[], Any]
# An inference gives the interpreter up at every tensor operation and waits this long to get it
# back from a busy thread; the interpreter's own 5 ms would multiply its time.
SWITCH_INTERVAL_S = 1e-4
# An arm decelerates within this wall time; a simulated clock may stand still for ever.
REST_S = 2.0


class Finished(Exception):  # noqa: N818
    """Raised by a callback of a node that has nothing more to do; it ends, without a failure."""


class HostedNode:
    """One node with a thread of its own, which makes it, spins it and destroys it.

    All of a node's life in one thread is what a rendering context needs.
    """

    def __init__(self, factory: NodeFactory, on_end: Callable[[], None]) -> None:
        self._factory = factory
        self._on_end = on_end
        self._stop = threading.Event()
        self.failure = ''
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Ask the node to come to rest and end."""
        self._stop.set()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        executor = SingleThreadedExecutor()
        node = None
        try:
            node = self._factory()
            executor.add_node(node)
            while not self._stop.is_set() and not self.failure:
                executor.spin_once(timeout_sec=0.1)
                self.failure = node.fatal
            self._come_to_rest(node, executor)
        except Finished:
            pass
        except RoboMambaError as error:
            self.failure = str(error)
        except Exception as error:  # a defect: the other nodes must still come to rest
            self.failure = f'{type(error).__name__}: {error}'
            traceback.print_exc()
        finally:
            if node is not None:
                node.destroy_node()
            executor.shutdown()
            self._on_end()

    @staticmethod
    def _come_to_rest(node: Any, executor: Any) -> None:
        if not isinstance(node, ManagedNode):
            return
        node.halt()
        limit = time.monotonic() + REST_S
        while not node.at_rest and time.monotonic() < limit:
            executor.spin_once(timeout_sec=0.05)


class Host:
    """Runs nodes until one fails or `stop` is called; a context manager."""

    def __init__(self, factories: Sequence[NodeFactory]) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._ended = threading.Event()
        self._nodes = [HostedNode(factory, self._ended.set) for factory in factories]

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until a node has ended by itself or a stop was asked for."""
        return self._ended.wait(timeout_s)

    def stop(self) -> None:
        """Bring every node to rest and wait until all have ended."""
        for node in self._nodes:
            node.stop()
        for node in self._nodes:
            node.join()

    def request_stop(self) -> None:
        """Let `wait` return; safe in a signal handler."""
        self._ended.set()

    @property
    def failures(self) -> list[str]:
        """What went wrong, one line a node."""
        return [node.failure for node in self._nodes if node.failure]

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(factories: Sequence[NodeFactory], arguments: list[str] | None = None) -> int:
    """Run nodes in this process until Ctrl-C, SIGTERM or a failure; return the exit code.

    arguments: of the process, for ROS; 2 is returned where it cannot read them.
    """
    try:
        # rclpy's own handlers would end the context before the arm has come to rest.
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with shown(), Host(factories) as host:

            def handle(number: int, frame: FrameType | None) -> None:
                host.request_stop()

            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, handle)
            host.wait()
        for failure in host.failures:
            print(failure, file=sys.stderr)
        return 1 if host.failures else 0
    finally:
        rclpy.shutdown()
        # `ros2 launch` repeats them; Python on its way out would die of it with an error.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
