"""Each process of a moving arm killed, and stopped and let go on, in real time over DDS.

`python test/support/killed.py [ARM ..]`, with `src` and `test` on PYTHONPATH, prints a row for each
arm, process and signal. Policy, controller and a stand-in for the arm are processes of their own,
as `ros2 launch` starts them, with the budgets of the arm's contract, not those of a stand-in.
Whoever was killed is started again 3 s later, whoever was stopped goes on after 2 s, and the policy
sends chunks throughout. It needs a machine that is quiet enough for those budgets.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool
from support.patience import PATIENCE_S

from robomamba_ros.bringup.graph import NodeSpec, PolicyOptions, fake_graph
from robomamba_ros.control.setpoints.status import LoopState
from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.state import StateJoiner
from robomamba_ros.nodes.common import qos
from robomamba_ros.robots.arm import input_kind, load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.types import NANOSECONDS

SOURCE = Path(__file__).parents[2] / 'src'
# How far up and down again the policy moves the end effector [m], in how many seconds.
STROKES = {'franka_fr3': (0.15, 3.0), 'hsr': (0.1, 5.0)}
VICTIMS = ('policy_node', 'controller_node', 'fake_arm_node')
STOPPED_S, DEAD_S, WATCHED_S = 2.0, 3.0, 5.0
# What is less is rest [m].
STILL_M = 5e-4


class Running:
    """Policy, controller and arm as processes, and what is seen of them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.arm = load_arm(name)
        self.speed = np.pi * STROKES[name][0] / STROKES[name][1]
        policy = _policy(folder, *STROKES[name])
        graph = fake_graph(PolicyOptions(str(policy), arm=name, instruction='lift'))
        self._specs = {spec.name: _with_budgets_of_an_arm(spec) for spec in graph}
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        rules = self._specs['controller_node'].remappings.items()
        remappings = [part for rule in rules for part in ('-r', f'{rule[0]}:={rule[1]}')]
        self._node = Node('peer', cli_args=['--ros-args', *remappings])
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._joiner = StateJoiner(
            self.arm, Kinematics(self.arm, made_up_urdf(self.arm)), same_stamp=False
        )
        # When each was heard by this process [s], and where the end effector was then [m].
        self.seen: list[tuple[float, np.ndarray]] = []
        self.said: list[tuple[float, str, str]] = []
        for stream in self.arm.inputs:
            kind = {'joint_states': JointState, 'odometry': Odometry}[input_kind(stream)]
            take = lambda message, stream=stream: self._take(stream, message)  # noqa: E731
            self._node.create_subscription(kind, stream, take, qos.STATE_LOCKSTEP)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, qos.DIAGNOSTICS)
        self._enable = self._node.create_client(SetBool, 'controller_node/enable')
        for spec in self._specs:
            self.start(spec)

    def start(self, name: str) -> None:
        spec = self._specs[name]
        place = spec.executable.removesuffix('_node')
        program = f'from robomamba_ros.nodes.{place}.{spec.executable} import main; main()'
        values = {
            key: str(value).lower() if isinstance(value, bool) else value
            for key, value in spec.parameters.items()
            if value != ''
        }
        words = [part for key, value in values.items() for part in ('-p', f'{key}:={value}')]
        words += [part for rule in spec.remappings.items() for part in ('-r', ':='.join(rule))]
        with (self._folder / f'{name}.log').open('ab') as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, '-c', program, '--ros-args', *words],
                env={**os.environ, 'PYTHONPATH': str(SOURCE), 'OMP_NUM_THREADS': '1'},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def signal(self, name: str, number: int) -> None:
        self._running[name].send_signal(number)

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self._executor.shutdown()
        self._node.destroy_node()

    def _take(self, stream: str, message: Any) -> None:
        try:
            state = self._joiner.add(stream, message)
        except ObservationError:
            return
        if state is not None:
            self.seen.append((time.monotonic(), state.pose.position))

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'controller_node':
                values = {value.key: value.value for value in status.values}
                self.said.append((time.monotonic(), values.get('state', ''), status.message))

    def spin(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.005)

    def call_enable(self) -> str:
        """Enable as a person does; return why it is refused, '' where it is not."""
        future = self._enable.call_async(SetBool.Request(data=True))
        deadline_s = time.monotonic() + PATIENCE_S
        while not future.done() and time.monotonic() < deadline_s:
            self.spin(0.05)
        answer = future.result()
        return '' if answer.success else str(answer.message)

    def run_until_fast(self) -> None:
        """Enable until the arm moves, and wait until it is nearly as fast as it becomes."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._enable.service_is_ready() or not self.seen:
            self.spin(0.1)
            assert time.monotonic() < deadline_s
        while time.monotonic() < deadline_s:
            state = self.said[-1][1] if self.said else ''
            if state in (LoopState.DISABLED.value, LoopState.HOLDING.value):
                self.call_enable()
                self.spin(1.0)
            self.spin(0.02)
            if state == LoopState.TRACKING.value and self._speed() > 0.8 * self.speed:
                return
        raise AssertionError(f'the arm does not move: {self.said[-1:]}')

    def _speed(self) -> float:
        newest = self.seen[-1]
        before = [each for each in self.seen[-200:] if newest[0] - each[0] > 0.1]
        if not before or newest[0] < time.monotonic() - 0.1:
            return 0.0
        return float(np.linalg.norm(newest[1] - before[-1][1]) / (newest[0] - before[-1][0]))

    def rest(self, since_s: float, until_s: float) -> tuple[float, float]:
        """Return time until rest and way to it, of what was seen between two moments."""
        rows = [each for each in self.seen if since_s - 0.05 <= each[0] <= until_s]
        if not rows:
            return 0.0, 0.0
        times, places = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        away = np.linalg.norm(places - places[-1], axis=1) > STILL_M
        last = times[int(np.flatnonzero(away)[-1])] if away.any() else since_s
        begin = int(np.argmin(np.abs(times - since_s)))
        return max(float(last - since_s), 0.0), float(np.linalg.norm(places[-1] - places[begin]))

    def states(self, since_s: float) -> list[str]:
        return [state for when_s, state, _ in self.said if when_s >= since_s]

    def message(self) -> str:
        return self.said[-1][2] if self.said else ''


def _policy(folder: Path, amplitude: float, period_s: float) -> Path:
    """Write a policy that lifts the end effector and lowers it again."""
    document = {
        'policy': 'scripted',
        'state_names': [],
        'action_space': 'ee_delta',
        'action_names': ['ee_dx', 'ee_dy', 'ee_dz'],
        'horizon': 50,
        'dt_ns': NANOSECONDS // 80,
        'execute_steps': 10,
        'motion': [{'channel': 'ee_dz', 'amplitude': amplitude, 'period_s': period_s}],
    }
    (folder / 'lift').mkdir(exist_ok=True)
    (folder / 'lift' / 'config.yaml').write_text(yaml.safe_dump(document))
    return folder / 'lift'


def _with_budgets_of_an_arm(spec: NodeSpec) -> NodeSpec:
    return replace(
        spec,
        parameters={
            **spec.parameters,
            **({'budget_factor': 1.0} if 'budget_factor' in spec.parameters else {}),
        },
    )


def happen(running: Running, victim: str, number: signal.Signals) -> str:
    """Send a signal to a process while the arm moves; return a row of what came of it."""
    running.run_until_fast()
    begun_s = time.monotonic()
    running.signal(victim, number)
    running.spin(DEAD_S if number == signal.SIGKILL else STOPPED_S)
    again_s = time.monotonic()
    time_s, way_m = running.rest(begun_s, again_s)
    said = running.message()
    if number == signal.SIGKILL:
        running.start(victim)
    else:
        running.signal(victim, signal.SIGCONT)
    running.spin(WATCHED_S + (DEAD_S if number == signal.SIGKILL else 0.0))
    then_s, then_m = running.rest(again_s, time.monotonic())
    if victim == 'fake_arm_node' and number == signal.SIGKILL:
        then_m = 0.0 if then_s < 0.1 else then_m
    resumed = LoopState.TRACKING.value in running.states(again_s + 1.5)
    said = running.message() if victim != 'policy_node' else said
    return (
        f'{time_s:.2f} s, {100 * way_m:.1f} cm | {then_s:.2f} s, {100 * then_m:.1f} cm | '
        f'{"resumes" if resumed else "stays"} | {said} | then: {running.message()}'
    )


def main(names: list[str]) -> None:
    """Print a row for each arm, process and signal."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 101))
    print('arm | process | signal | until rest | after it goes on | by itself | said', flush=True)
    for name in names or STROKES:
        for victim in VICTIMS:
            for number in (signal.SIGKILL, signal.SIGSTOP):
                rclpy.init(args=[])
                with tempfile.TemporaryDirectory() as folder:
                    running = Running(name, Path(folder))
                    try:
                        row = happen(running, victim, number)
                        print(f'{name} | {victim} | {number.name} | {row}', flush=True)
                    finally:
                        running.close()
                        rclpy.shutdown()


if __name__ == '__main__':
    main(sys.argv[1:])
