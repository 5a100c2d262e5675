"""A ROS 2 domain of these tests' own, on this machine alone, and nodes that live in threads."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from support.ending import end_at_once
from support.made_arms import MADE
from support.made_robot import JOINTS, PacedController, Robot, contract
from support.patience import PATIENCE_S

from robomamba_ros.benchmarks.domain import free_domain
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.host import Host

# rclpy imports it with the first message; a parser that it uses names a deprecated module.
with warnings.catch_warnings():
    warnings.simplefilter('ignore', DeprecationWarning)
    import rosidl_generator_py  # noqa: F401


# Beyond what a reset of the simulation takes on a busy machine.
RESEND_S = 5.0
# Between two looks at what other threads do, of which no message tells.
LOOK_S = 0.01


@pytest.fixture(scope='session', autouse=True)
def ros_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(free_domain()))
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.delenv('ROS_LOCALHOST_ONLY', raising=False)
        patch.setenv('MUJOCO_GL', os.environ.get('MUJOCO_GL', 'egl'))
        yield


@pytest.fixture
def ros(ros_environment: None) -> Iterator[None]:
    # The level outlives a context, and what ran in this process before may have raised it.
    rclpy.init(args=['--ros-args', '--log-level', 'info'])
    yield
    rclpy.shutdown()


@pytest.fixture
def host(ros: None) -> Iterator[Callable[..., Host]]:
    """Start nodes in threads, as host((SimNode, {parameters}), ...); ended after the test."""
    hosts: list[Host] = []

    def start(*pairs: tuple[Callable[..., Any], dict[str, Any]]) -> Host:
        def factory(make: Callable[..., Any], parameters: dict[str, Any]) -> Callable[[], Any]:
            overrides = [Parameter(name, value=value) for name, value in parameters.items()]
            return partial(make, parameter_overrides=overrides)

        hosts.append(Host([factory(make, parameters) for make, parameters in pairs]))
        return hosts[-1]

    yield start
    # Simulated time stands still by now.
    end_at_once(*hosts)


@pytest.fixture
def alone(ros: None) -> Iterator[Callable[..., Any]]:
    """Make a node as alone(ControllerNode, autostart=False), in no thread; ended after the test.

    One that a failed test left behind would be a second publisher to every test after it.
    """
    made: list[Any] = []

    def make(factory: Callable[..., Any], **parameters: Any) -> Any:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        made.append(factory(parameter_overrides=overrides))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()


class Peer:
    """A node that the test spins in its own thread, waiting for what it names."""

    def __init__(self) -> None:
        self.node = Node('peer', start_parameter_services=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Spin until the condition holds; fail naming what did not happen."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f'waited {PATIENCE_S} s for {what}'
            self._executor.spin_once(timeout_sec=LOOK_S)

    def also_spin(self, node: Node) -> None:
        """Spin another node in the same thread, whenever this one waits."""
        self._executor.add_node(node)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """Call a service and return its response."""
        client = self.node.create_client(kind, name)
        self.wait_for(client.service_is_ready, f'the service {name}')
        futures = [client.call_async(request)]
        asked = [time.monotonic()]

        def answered() -> bool:
            # Announced a moment too early, a service loses its first request.
            if time.monotonic() > asked[-1] + RESEND_S:
                asked.append(time.monotonic())
                futures.append(client.call_async(request))
            return any(future.done() for future in futures)

        self.wait_for(answered, f'the response of {name}')
        self.node.destroy_client(client)
        return next(future.result() for future in futures if future.done())

    def record(self, kind: Any, topic: str, profile: Any) -> list[Any]:
        """Return a list that grows by every message of a topic."""
        received: list[Any] = []
        self.node.create_subscription(kind, topic, received.append, profile)
        return received

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def peer(ros: None) -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
def start(
    host: Callable[..., Host], peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Start a controller for outputs and a robot that it drives."""
    # A controller needs the newest command, a test all of them: on a busy machine the next one
    # would take the place of one that is still on its way.
    every = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
    monkeypatch.setattr(qos, 'COMMAND', every)

    def run(
        outputs,
        made=MADE['six'],
        at=JOINTS,
        parameters=None,
        remap=(),
        sends_chunks=True,
        **changes,
    ) -> Any:
        arm = contract(tmp_path, outputs, made, **changes)
        told = dict(zip(made.names, at, strict=True)) | {'finger': 0.04, 'pan': 0.0}
        robot = Robot(peer, arm, told, sends_chunks=sends_chunks)
        rules = [part for rule in remap for part in ('-r', rule)]
        node = partial(PacedController, robot.pace, cli_args=['--ros-args', *rules])
        parameters = {'use_sim_time': True, **(parameters or {})}
        host((node, {'arm': str(tmp_path / 'made.yaml'), **parameters}))
        return robot

    return run
