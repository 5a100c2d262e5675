"""One node and the thread that it lives in: made, spun, brought to rest and destroyed there."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from robomamba_ros.errors import RoboMambaError
from robomamba_ros.nodes.common.context import refusals_named
from robomamba_ros.nodes.common.lifecycle import ManagedNode

NodeFactory = Callable[[], Any]
# How long a node may take to come to rest [s of wall time]: without a command, as a simulated clock
# may stand still for ever, and in all, as long as the slowest stop that a contract may have.
REST_S, LONGEST_REST_S = 2.0, 35.0


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
        # An executor is not woken while it shuts down: what would wake it is destroyed then.
        self._waking = threading.Lock()
        self._node: Any = None
        # Kept: rclpy prints a traceback where one is collected while its context shuts down.
        self._executors: list[SingleThreadedExecutor] = []
        self.failure = ''
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Ask the node to come to rest and end."""
        self._stop.set()
        with self._waking:
            for executor in self._executors:
                executor.wake()

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
            with refusals_named('the node'):
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
        executor = self._executor_of(node)
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
            self._shut_down(executor)

    def _executor_of(self, node: Any) -> SingleThreadedExecutor:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        self._executors.append(executor)
        return executor

    def _shut_down(self, executor: SingleThreadedExecutor) -> None:
        with self._waking:
            executor.shutdown()

    def _come_to_rest(self, node: Any) -> None:
        """Let a managed node bring its arm to rest, whatever has ended it."""
        if not isinstance(node, ManagedNode):
            return
        self._guarded(node, node.halt)
        if node.at_rest:
            return
        # Another one: the exception may have come from the executor itself.
        executor = self._executor_of(node)
        begun_s = time.monotonic()
        seen, seen_s = node.activity, begun_s
        while not node.at_rest and (now_s := time.monotonic()) < begun_s + LONGEST_REST_S:
            if node.activity != seen:
                seen, seen_s = node.activity, now_s
            if now_s > seen_s + REST_S:
                break
            self._guarded(node, lambda: executor.spin_once(timeout_sec=0.05))
        self._shut_down(executor)

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
