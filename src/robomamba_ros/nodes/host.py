"""Hosts nodes in one process: a thread and an executor for each, one way down for all.

Knows nothing about what the nodes do.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
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
# A node at rest that has not ended by then is left behind: `ros2 launch` waits for 5 s.
GRACE_S = 3.0


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
        self._node: Any = None
        self.failure = ''
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Ask the node to come to rest and end."""
        self._stop.set()

    @property
    def moves(self) -> bool:
        """Whether an arm may be in motion by this node."""
        return isinstance(self._node, ManagedNode) and self._node.moves

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def leave(self, until_s: float) -> bool:
        """Wait until the thread has ended, or without it once nothing moves; tell whether it has.

        until_s: how long a node that is not loading may take [s], of the monotonic clock.
        """
        while self._thread.is_alive():
            loading = isinstance(self._node, ManagedNode) and self._node.loading
            if not self.moves and (loading or time.monotonic() > until_s):
                with suppress(Exception):  # its own thread may be using it
                    Node.destroy_node(self._node)  # it leaves the graph, and waits for nothing
                return False
            self._thread.join(0.02)
        return True

    def _run(self) -> None:
        executor = SingleThreadedExecutor()
        node = None
        try:
            node = self._node = self._factory()
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
    """Runs nodes until one fails or `stop` is called; a context manager.

    ended: set where a node has ended, or by whoever wants all to end.
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

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(factories: Sequence[NodeFactory], arguments: list[str] | None = None) -> int:
    """Run nodes in this process until Ctrl-C, SIGTERM or a failure; return the exit code.

    A policy that still loads or answers is not waited for: then this process has to end by
    `end_process`. arguments: of the process, for ROS; 2 is returned where it cannot read them.
    """
    ended = threading.Event()

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
