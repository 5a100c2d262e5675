"""Hosts nodes in one process: a thread and an executor for each, one way down for all."""

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

from robomamba_ros.common.logs import shown
from robomamba_ros.errors import RoboMambaError
from robomamba_ros.nodes.common.lifecycle import ManagedNode

NodeFactory = Callable[[], Any]
# An inference gives the interpreter up at every tensor operation and waits this long to get it
# back from a busy thread; the interpreter's own 5 ms would multiply its time.
SWITCH_INTERVAL_S = 1e-4
# How long a node may take to come to rest [s of wall time]: without a command, as a simulated clock
# may stand still for ever, and in all, as long as the slowest stop that a contract may have.
REST_S, LONGEST_REST_S = 2.0, 35.0
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
        node = None
        try:
            node = self._node = self._factory()
            self._spin(node)
        except Exception as error:
            self._note(error)
        finally:
            if node is not None:
                self._come_to_rest(node)
                node.destroy_node()
            self._on_end()

    def _spin(self, node: Any) -> None:
        """Spin until the node is to end; a managed node decides itself about an exception."""
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            while not self._stop.is_set() and not self.failure:
                try:
                    executor.spin_once(timeout_sec=0.1)
                except Finished:
                    raise
                except Exception as error:
                    if not isinstance(node, ManagedNode):
                        raise
                    node.on_exception(error)
                self.failure = node.fatal
        finally:
            executor.shutdown()

    def _come_to_rest(self, node: Any) -> None:
        """Let a managed node bring its arm to rest, whatever has ended it."""
        if not isinstance(node, ManagedNode):
            return
        self._guarded(node, node.halt)
        if node.at_rest:
            return
        # Another one: the exception may have come from the executor itself.
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        begun_s = time.monotonic()
        seen, seen_s = node.activity, begun_s
        while not node.at_rest and (now_s := time.monotonic()) < begun_s + LONGEST_REST_S:
            if node.activity != seen:
                seen, seen_s = node.activity, now_s
            if now_s > seen_s + REST_S:
                break
            self._guarded(node, lambda: executor.spin_once(timeout_sec=0.05))
        executor.shutdown()

    @staticmethod
    def _guarded(node: Any, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            node.on_exception(error)

    def _note(self, error: Exception) -> None:
        """Keep why the node ends; a defect with all that is known of it."""
        if isinstance(error, Finished):
            return
        known = isinstance(error, RoboMambaError)
        self.failure = str(error) if known else f'{type(error).__name__}: {error}'
        if not known:
            traceback.print_exception(error)


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
