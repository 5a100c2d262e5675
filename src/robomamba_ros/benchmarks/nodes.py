"""How long an observation takes to become a command beside inference, and how even commands come.

A fake Sawyer at 100 Hz, driven by the shipped policy; with --arm, a fake one of another contract,
moved up and down by the policy `scripted`. In one process, and with a process for each node.
`make bench` runs it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from robomamba_ros.benchmarks.domain import keep_to_itself
from robomamba_ros.benchmarks.measuring import machine
from robomamba_ros.bringup.graph import NodeSpec, PolicyOptions, fake_graph
from robomamba_ros.common.resources import find_file
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.host import run
from robomamba_ros.nodes.graph import node_factories

RATE_HZ = 100.0
WARM_UP_S, PATIENCE_S = 5.0, 60.0
POLICY = 'anolevla-mt10'
# Who shares a process with whom.
LAYOUTS: Mapping[str, Sequence[Sequence[str]]] = {
    'composed': (('fake_arm_node',), ('policy_node', 'controller_node')),
    'two processes': (('fake_arm_node',), ('policy_node',), ('controller_node',)),
}


def graph(folder: Path, arm: str) -> tuple[NodeSpec, ...]:
    """Return a fake arm and the policy that drives it; '' for a Sawyer at 100 poses a second."""
    if arm:
        return fake_graph(PolicyOptions('scripted', arm, instruction='up', enabled=True))
    contract = yaml.safe_load(find_file('arms', 'sawyer_sim').read_text(encoding='utf-8'))
    path = folder / 'sawyer_sim.yaml'
    path.write_text(yaml.safe_dump({**contract, 'control_rate_hz': RATE_HZ}), encoding='utf-8')
    options = PolicyOptions(POLICY, str(path), instruction='Open a drawer', enabled=True)
    robot, *others = fake_graph(options)
    robot = replace(robot, parameters={**robot.parameters, 'camera_rate': 20.0})
    return (robot, *others)


def serve(names: Sequence[str], arm: str) -> int:
    """Run some nodes of the graph in this process until SIGTERM."""
    with tempfile.TemporaryDirectory() as folder:
        specs = [spec for spec in graph(Path(folder), arm) if spec.executable in names]
        return run(node_factories(specs), [])


class Listener(Node):
    """Notes when every command arrives, and the newest diagnostics of each node."""

    def __init__(self) -> None:
        super().__init__('benchmark')
        self.arrivals: list[int] = []
        self.values: dict[str, dict[str, str]] = {}
        self.create_subscription(PoseStamped, 'target_pose', self._on_command, qos.COMMAND)
        self.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS
        )

    def _on_command(self, _: PoseStamped) -> None:
        self.arrivals.append(time.monotonic_ns())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.values[status.name] = {pair.key: pair.value for pair in status.values}


@contextmanager
def processes(layout: Sequence[Sequence[str]], arm: str) -> Iterator[dict[str, int]]:
    """Start a process for each group of nodes; yield their process ids by the nodes' names."""
    running = {
        ' + '.join(names): subprocess.Popen(
            [sys.executable, '-m', __spec__.name, '--arm', arm, '--serve', *names]
        )
        for names in layout
    }
    try:
        yield {name: process.pid for name, process in running.items()}
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken [s]."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def measure(name: str, seconds: float, arm: str) -> None:
    """Run one layout and print what was seen of it."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    listener = Listener()
    spinning = threading.Thread(target=rclpy.spin, args=(listener,), daemon=True)
    spinning.start()
    with processes(LAYOUTS[name], arm) as pids:
        _wait_for_motion(listener)
        time.sleep(WARM_UP_S)
        begun = dict(listener.values['controller_node'])
        first, before, begin = len(listener.arrivals), _all_cpu_s(pids), time.monotonic()
        time.sleep(seconds)
        arrivals = np.array(listener.arrivals[first:])
        after, wall_s = _all_cpu_s(pids), time.monotonic() - begin
        values = {key: value for each in listener.values.values() for key, value in each.items()}
    rclpy.shutdown()
    spinning.join()
    ticks, overruns = (int(values[key]) - int(begun[key]) for key in ('ticks', 'overruns'))
    print(f'\n{arm or "sawyer_sim"}, {name}: {ticks} control periods in {wall_s:.0f} s')
    for key in ('inference', 'observation_to_command'):
        p50, p99 = (values.get(f'{key}_{part}_ms', 'none') for part in ('p50', 'p99'))
        print(f'  {key.replace("_", " "):34}{p50:>8} p50{p99:>8} p99  ms')
    if len(arrivals) > 1:
        gaps = np.diff(arrivals) / 1e6
        late = np.percentile(np.abs(gaps - 1e3 / RATE_HZ), (50, 99))
        print(f'  {"period of commands, off 10 ms by":34}{late[0]:8.2f} p50{late[1]:8.2f} p99  ms')
    for label, key in (
        ('control period, computing', 'tick'),
        ('control period, begun late', 'late'),
    ):
        p50, p99, most = (values[f'{key}_{part}_ms'] for part in ('p50', 'p99', 'max'))
        print(f'  {label:34}{p50:>8} p50{p99:>8} p99{most:>8} max since its start  ms')
    print(f'  {"overruns":34}{overruns:8d} of {ticks}')
    for process, share in after.items():
        used = (share - before[process]) / wall_s
        print(f'  {"processor, " + process:60}{100 * used:5.0f} % of a core')


def _wait_for_motion(listener: Listener) -> None:
    """Wait until the arm follows the policy; ends the program, saying why it does not."""
    values: Mapping[str, str] = {}
    for _ in range(round(PATIENCE_S / 0.1)):
        values = listener.values.get('controller_node', {})
        if values.get('state') == 'tracking':
            return
        time.sleep(0.1)
    said = values.get('interlocks') or values.get('reason') or 'controller_node says nothing'
    sys.exit(f'the arm has not moved within {PATIENCE_S:g} s: {said}')


def _all_cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_s(pid) for name, pid in pids.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every layout, or serve as one of its processes."""
    parser = argparse.ArgumentParser(prog='robomamba bench nodes', description=__doc__)
    parser.add_argument('--serve', nargs='+', metavar='NODE', help='run these nodes (its own use)')
    parser.add_argument('--arm', default='', help='name or path of a contract with kinematics')
    parser.add_argument('--seconds', type=float, default=20.0, help='for each layout')
    args = parser.parse_args(arguments)
    if args.serve:
        return serve(args.serve, args.arm)
    keep_to_itself()
    # Through the way out that ends the processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(machine(1))
    for name in LAYOUTS:
        measure(name, args.seconds, args.arm)
    return 0


if __name__ == '__main__':
    sys.exit(main())
