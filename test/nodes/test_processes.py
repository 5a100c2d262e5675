"""Each node in a process of its own, found and judged from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from std_srvs.srv import SetBool
from support.patience import PATIENCE_S
from trajectory_msgs.msg import MultiDOFJointTrajectory

from robomamba_ros.nodes.common import qos
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import NANOSECONDS

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / 'src'
POLICY_PROCESS = TESTS / 'support' / 'policy_process.py'


class Processes:
    """Node processes; their output is read when they have ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], parameters: dict[str, object]) -> None:
        arguments = [f'{key}:={value}' for key, value in parameters.items()]
        flags = [part for argument in arguments for part in ('-p', argument)]
        with (self._folder / f'{name}.log').open('wb') as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *command, '--ros-args', *flags],
                env={**os.environ, 'PYTHONPATH': f'{SOURCE}:{TESTS}', 'OMP_NUM_THREADS': '1'},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def node(self, name: str, parameters: dict[str, object]) -> None:
        place = name.removesuffix('_node')
        program = f'from robomamba_ros.nodes.{place}.{name} import main; main()'
        self.start(name, ['-c', program], parameters)

    def end(self, name: str, number: int, *again: int) -> tuple[int, str]:
        """Send a signal, and `again` until it has ended; return exit code and output."""
        process = self._running.pop(name)
        process.send_signal(number)
        while again and process.poll() is None:
            for each in again:
                process.send_signal(each)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.02)
        code = process.wait(timeout=PATIENCE_S)
        return code, self.output(name)

    def signal(self, name: str, number: int) -> None:
        """Send a signal that does not end a process."""
        self._running[name].send_signal(number)

    def wait(self, name: str) -> tuple[int, str]:
        """Wait until a process ends by itself; return exit code and output."""
        code = self._running.pop(name).wait(timeout=PATIENCE_S)
        return code, self.output(name)

    def output(self, name: str) -> str:
        return (self._folder / f'{name}.log').read_text()

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


def wait_until_it_moves(peer, poses: list[PoseStamped], reports: list[DiagnosticArray]) -> None:
    """Wait until the arm has gone 2 cm; what a busy machine delays stops it until it is enabled."""
    start = poses[-1].pose.position.x

    def moved() -> bool:
        return abs(poses[-1].pose.position.x - start) > 0.02

    while not moved():
        said = len(reports)
        peer.wait_for(
            lambda n=said: moved() or message_of(reports[n:]).endswith('enable to move again'),
            'the arm to move',
        )
        if not moved():
            peer.call(SetBool, 'controller_node/enable', SetBool.Request(data=True))


def message_of(reports: list[DiagnosticArray]) -> str:
    """Return what the controller said last."""
    heard = [s for report in reports for s in report.status if s.name == 'controller_node']
    return str(heard[-1].message) if heard else ''


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.close()


def test_the_arm_comes_to_rest_when_the_policy_process_dies(processes, peer, tmp_path) -> None:
    common = {'arm': 'sawyer_sim', 'use_sim_time': 'true'}
    processes.node('sim_node', {'task': 'reach', 'camera_size': 64})
    processes.node('controller_node', {**common, 'enabled': 'true'})
    processes.start('policy_node', [str(POLICY_PROCESS)], {**common, 'checkpoint': str(tmp_path)})
    node = peer.node
    poses = peer.record(PoseStamped, 'ee_pose', qos.STATE_LOCKSTEP)
    targets = peer.record(PoseStamped, 'target_pose', qos.COMMAND)
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)

    peer.wait_for(lambda: len(poses) > 0, 'the simulated arm')
    wait_until_it_moves(peer, poses, diagnostics)

    # The graph is discovered later than the topics whose messages have come already.
    expected = {'sim_node', 'controller_node', 'policy_node'}
    peer.wait_for(
        lambda: (
            expected <= {name for name, _ in node.get_node_names_and_namespaces()}
            and len(node.get_publishers_info_by_topic('/diagnostics')) == 2
            and len(node.get_subscriptions_info_by_topic('camera/corner2/image')) == 1
        ),
        'the three nodes in the graph',
    )
    # An endpoint may be discovered before the name of its node.
    peer.wait_for(
        lambda: (
            [e.node_name for e in node.get_publishers_info_by_topic('action_chunk')]
            == [e.node_name for e in node.get_subscriptions_info_by_topic('camera/corner2/image')]
            == [e.node_name for e in node.get_publishers_info_by_topic('active_instruction')]
            == ['policy_node']
        ),
        'policy_node as the one publisher of chunks and the one reader of images',
    )
    (chunk,) = node.get_publishers_info_by_topic('action_chunk')
    assert chunk.topic_type == 'trajectory_msgs/msg/MultiDOFJointTrajectory'
    assert chunk.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    (camera,) = node.get_subscriptions_info_by_topic('camera/corner2/image')
    assert camera.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    (active,) = node.get_publishers_info_by_topic('active_instruction')
    assert active.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL

    processes.end('policy_node', signal.SIGKILL)

    def controller() -> DiagnosticStatus | None:
        found = [s for m in diagnostics for s in m.status if s.name == 'controller_node']
        return found[-1] if found else None

    def holding() -> bool:
        status = controller()
        return status is not None and status.message.startswith('holding')

    peer.wait_for(holding, 'the controller to hold')
    status = controller()
    assert status is not None
    assert status.level == DiagnosticStatus.WARN
    assert 'no newer chunk has come' in status.message
    # What was under way on one topic may come after what was said later on another.
    heard = len(targets)
    peer.wait_for(
        lambda: len(targets) > heard + 6 and all(t.pose == targets[-1].pose for t in targets[-6:]),
        'the commands to end',
    )
    seen = len(poses)
    peer.wait_for(lambda: len(poses) > seen + 40, 'half a second')
    travel = abs(poses[-1].pose.position.x - poses[seen + 20].pose.position.x)
    assert travel < 1e-3

    for name in ('controller_node', 'sim_node'):
        code, output = processes.end(name, signal.SIGINT)
        assert (code, 'Traceback' in output) == (0, False), output


def test_the_arm_decelerates_before_the_controller_ends(processes, peer, tmp_path) -> None:
    common = {'arm': 'sawyer_sim', 'use_sim_time': 'true'}
    processes.node('sim_node', {'task': 'reach', 'camera_size': 64})
    processes.start('policy_node', [str(POLICY_PROCESS)], {**common, 'checkpoint': str(tmp_path)})
    processes.node('controller_node', {**common, 'enabled': 'false'})
    poses = peer.record(PoseStamped, 'ee_pose', qos.STATE_LOCKSTEP)
    targets = peer.record(PoseStamped, 'target_pose', qos.STATE_LOCKSTEP)
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    peer.wait_for(lambda: len(poses) > 0, 'the simulated arm')
    assert targets == []
    peer.wait_for(
        lambda: peer.call(SetBool, 'controller_node/enable', SetBool.Request(data=True)).success,
        'controller_node to be active',
    )
    wait_until_it_moves(peer, poses, diagnostics)
    # Whoever presses Ctrl-C again, or a launch file that loses patience, does not cut the stop.
    code, output = processes.end('controller_node', signal.SIGINT, signal.SIGINT, signal.SIGTERM)
    assert (code, 'Traceback' in output) == (0, False), output

    def decelerated() -> bool:
        # A millimetre per period while it moved; at most 4 m/s^2 of deceleration: 0.6 mm less each.
        x = [message.pose.position.x for message in targets]
        steps = [after - before for before, after in pairwise(x)]
        return max(steps) > 0.9e-3 and abs(steps[-1]) < 0.65e-3

    # The last commands may still be under way.
    peer.wait_for(decelerated, 'commands that end at rest')


# What a controller may say of it, whichever it meets with first.
STOPPED = {
    'policy_node': ('no newer chunk has come',),
    'controller_node': ('the clock went on by', 'is late', 'no newer chunk has come'),
}


def test_a_process_that_is_stopped_and_goes_on_leaves_the_arm_at_rest_without_a_jump(
    processes, peer, tmp_path
) -> None:
    """The policy's, and after an enable the controller's."""
    common = {'arm': 'sawyer_sim', 'use_sim_time': 'true'}
    processes.node('sim_node', {'task': 'reach', 'camera_size': 64})
    processes.node('controller_node', {**common, 'enabled': 'true'})
    processes.start('policy_node', [str(POLICY_PROCESS)], {**common, 'checkpoint': str(tmp_path)})
    poses = peer.record(PoseStamped, 'ee_pose', qos.STATE_LOCKSTEP)
    targets = peer.record(PoseStamped, 'target_pose', qos.STATE_LOCKSTEP)
    chunks = peer.record(MultiDOFJointTrajectory, 'action_chunk', qos.STATE_LOCKSTEP)
    diagnostics = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    peer.wait_for(lambda: len(poses) > 0, 'the simulated arm')
    said = 0

    def message() -> str:
        return message_of(diagnostics[said:])

    def held() -> bool:
        return message().startswith('holding') and message().endswith('enable to move again')

    for name, reasons in STOPPED.items():
        wait_until_it_moves(peer, poses, diagnostics)
        processes.signal(name, signal.SIGSTOP)
        stopped = len(poses)
        # Two seconds of the simulated arm, 80 poses each.
        peer.wait_for(lambda n=stopped: len(poses) > n + 160, 'time to pass')

        if name == 'controller_node':
            said = len(diagnostics)
            processes.signal(name, signal.SIGCONT)
        peer.wait_for(held, 'the controller to hold')
        assert any(reason in message() for reason in reasons), message()
        if name == 'policy_node':
            processes.signal(name, signal.SIGCONT)
        heard, rest = len(chunks), poses[-1].pose.position.x
        peer.wait_for(lambda n=heard: len(chunks) > n + 2, 'the policy to go on')
        seen = len(poses)
        peer.wait_for(lambda n=seen: len(poses) > n + 80, 'another second')
        assert message().startswith('holding')
        assert abs(poses[-1].pose.position.x - rest) < 2e-3
        peer.call(SetBool, 'controller_node/enable', SetBool.Request(data=True))

    # Within its limit of velocity; and what was missed, 0.16 m in two seconds, is not made up for.
    limit = load_arm('sawyer_sim').cartesian.velocity
    stamps = (target.header.stamp for target in targets)
    times_ns = [stamp.sec * NANOSECONDS + stamp.nanosec for stamp in stamps]
    way = zip(times_ns, [target.pose.position.x for target in targets], strict=True)
    for (before_ns, before), (after_ns, after) in pairwise(way):
        passed_s = (after_ns - before_ns) / NANOSECONDS
        most_m = 1.01 * limit * passed_s if passed_s < 0.2 else 0.03
        assert abs(after - before) < most_m + 1e-6


def test_a_mistake_ends_the_process_with_one_line(processes) -> None:
    processes.node('policy_node', {'checkpoint': '/nowhere'})
    code, output = processes.wait('policy_node')
    assert code == 1
    assert 'cannot configure' in output
    assert "there is no directory '/nowhere'" in output
    assert 'Traceback' not in output


def test_the_controller_runs_without_torch() -> None:
    program = (
        'import sys\nimport robomamba_ros.nodes.controller.controller_node\n'
        "print([n for n in ('torch', 'cv2', 'mujoco', 'metaworld') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, 'PYTHONPATH': str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == '[]\n'
