"""How long an answer takes through the live nodes: the first question about a scene, and others.

A fake Sawyer with a camera and a policy that answers, in a process of their own. Each round asks
one question three times, first about a new image: what is read and said is the same, so that the
difference is the image.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from robomamba_ros.benchmarks.domain import keep_to_itself
from robomamba_ros.benchmarks.measuring import machine
from robomamba_ros.bringup.graph import NodeSpec, PolicyOptions, fake_graph
from robomamba_ros.common.resources import find_file
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.host import run
from robomamba_ros.nodes.graph import node_factories
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.outline import read_outline

POLICY = 'robomamba-small'
QUESTION = 'is the drawer open?'
# Of one round, in turn. 'look again' asks for a new image.
ASKED = {
    'first question, new image': f'look again: {QUESTION}',
    'second question': QUESTION,
    'third question': QUESTION,
}
# For the node to load the policy, and for an answer.
PATIENCE_S = 120.0


def graph(folder: Path, policy: str, cache: str) -> tuple[NodeSpec, ...]:
    """Return a fake arm whose camera is the policy's, and the policy."""
    contract = yaml.safe_load(find_file('arms', 'sawyer_sim').read_text(encoding='utf-8'))
    camera = contract['cameras'][0]
    seen = read_outline(policy).cameras
    if seen:
        camera['name'] = seen[0].name
    camera['depth_topic'] = 'camera/depth'
    path = folder / 'sawyer_sim.yaml'
    path.write_text(yaml.safe_dump(contract), encoding='utf-8')
    options = PolicyOptions(policy, str(path), load=LoadOptions(cache=cache))
    return tuple(spec for spec in fake_graph(options) if spec.executable != 'controller_node')


def serve(policy: str, cache: str) -> int:
    """Run the nodes in this process until SIGTERM."""
    with tempfile.TemporaryDirectory() as folder:
        return run(node_factories(graph(Path(folder), policy, cache)), [])


@contextmanager
def serving(policy: str, cache: str) -> Iterator[None]:
    """Run the nodes in a process of their own."""
    own = ['--policy', policy, '--cache', cache, '--serve']
    process = subprocess.Popen([sys.executable, '-m', __spec__.name, *own])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class Asker(Node):
    """Asks, and waits for the answer."""

    def __init__(self) -> None:
        super().__init__('benchmark')
        self._answered, self._sees = threading.Event(), threading.Event()
        self._problem = ''
        self._questions = self.create_publisher(String, 'question', qos.LATCHED)
        self.create_subscription(String, 'answer', self._on_answer, qos.COMMAND)
        self.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.DIAGNOSTICS
        )

    def wait_for_images(self) -> None:
        """Wait until the policy has images and hears questions; ends the program where not."""
        if not self._sees.wait(PATIENCE_S):
            sys.exit(f'policy_node has seen no image within {PATIENCE_S:g} s; it says why above')

    def ask(self, question: str) -> float:
        """Return how long the answer takes [s]; ends the program, saying why, without one."""
        self._answered.clear()
        began_s = time.monotonic()
        self._questions.publish(String(data=question))
        if not self._answered.wait(PATIENCE_S):
            why = self._problem or 'policy_node says nothing'
            sys.exit(f'no answer within {PATIENCE_S:g} s: {why}')
        return time.monotonic() - began_s

    def _on_answer(self, _: String) -> None:
        self._answered.set()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            if status.name == 'policy_node':
                self._problem = values.get('question_problem') or status.message
                if any(key.endswith('_age_s') for key in values):
                    self._sees.set()


def measure(policy: str, cache: str, rounds: int) -> dict[str, float]:
    """Return the median time of each of ASKED [s]."""
    times: dict[str, list[float]] = {name: [] for name in ASKED}
    asker = Asker()
    spinning = threading.Thread(target=rclpy.spin, args=(asker,), daemon=True)
    spinning.start()
    with serving(policy, cache):
        asker.wait_for_images()
        asker.ask(QUESTION)  # kernels compile, memory is taken
        for _ in range(rounds):
            for name, question in ASKED.items():
                times[name].append(asker.ask(question))
    rclpy.shutdown()
    spinning.join()
    return {name: statistics.median(values) for name, values in times.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the times of the questions of a scene, or serve as the process of the nodes."""
    parser = argparse.ArgumentParser(prog='robomamba bench questions', description=__doc__)
    parser.add_argument('--policy', default=POLICY, help='one that answers: a name or a directory')
    parser.add_argument('--cache', default='auto', help='as in LoadOptions: auto, none or prefix')
    parser.add_argument('--rounds', type=int, default=20, help='scenes; the median counts')
    parser.add_argument('--serve', action='store_true', help='run the nodes (its own use)')
    options = parser.parse_args(arguments)
    if options.serve:
        return serve(options.policy, options.cache)
    keep_to_itself()
    # Through the way out that ends the process of the nodes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    print(machine(1))
    found = measure(options.policy, options.cache, options.rounds)
    first = next(iter(found.values()))
    print(f'\n{options.policy}, cache {options.cache}, question to answer, {options.rounds} scenes')
    print(f'{"":34}{"ms, p50":>9}{"of first":>10}')
    for name, value in found.items():
        print(f'{name:34}{1e3 * value:9.1f}{value / first:10.2f}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
