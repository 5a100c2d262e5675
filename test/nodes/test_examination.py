"""The doctor over real DDS, beside small drivers with something wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped, Twist
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image, JointState
from support.patience import PATIENCE_S
from trajectory_msgs.msg import JointTrajectory

from robomamba_ros.bringup.options import graph
from robomamba_ros.cli.main import build_parser, main
from robomamba_ros.common.resources import share_directory
from robomamba_ros.doctor.examine import examine
from robomamba_ros.doctor.finding import Finding, Level
from robomamba_ros.nodes.clients import examination
from robomamba_ros.nodes.clients.examination import gather, try_policy
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.host import Host
from robomamba_ros.nodes.graph import node_factories
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.types import NANOSECONDS

SOURCE = Path(__file__).parents[2] / 'src'
LOAD = LoadOptions()


@pytest.fixture
def arm_file(tmp_path: Path) -> Path:
    """The simulated Sawyer with budgets that a busy machine keeps."""
    document = yaml.safe_load((share_directory() / 'config/arms/sawyer_sim.yaml').read_text())
    for stream in (*document['inputs'].values(), *document['cameras']):
        stream['budget_s'] = 10.0
    document['outputs'][0] |= {'kind': 'joint_trajectory', 'topic': 'arm_controller/trajectory'}
    path = tmp_path / 'sawyer_sim.yaml'
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def arm(arm_file: Path) -> ArmContract:
    return load_arm(str(arm_file))


class Driver(Node):
    """An arm that stands still. What is given replaces what a healthy one would do."""

    def __init__(
        self,
        *,
        name: str = 'driver',
        joints: Callable[[dict[str, float]], dict[str, float]] = dict,
        frame: str = 'base',
        encoding: str = 'rgb8',
        image_age_s: float = 0.0,
        pose_type: Any = PoseStamped,
        listens: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self.fatal = ''
        self._states = self.create_publisher(JointState, 'joint_states', qos.STATE)
        self._poses = self.create_publisher(pose_type, 'ee_pose', qos.STATE)
        self._images = self.create_publisher(Image, 'camera/corner2/image', qos.CAMERA)
        if listens:
            self.create_subscription(JointState, 'gripper', print, qos.COMMAND)
        positions = {f'right_j{index}': 0.1 for index in range(7)} | {'gripper': 0.5}
        self._positions = joints(positions)
        self._frame, self._encoding, self._image_age_s = frame, encoding, image_age_s
        self._pixels = np.random.default_rng(0).integers(0, 256, 64 * 48 * 3, np.uint8).tobytes()
        self.create_timer(0.05, self._publish)

    def _publish(self) -> None:
        now = self.get_clock().now()
        names, values = list(self._positions), list(self._positions.values())
        state = JointState(name=names, position=values)
        state.header.stamp = now.to_msg()
        self._states.publish(state)
        if self._poses.msg_type is PoseStamped:
            pose = PoseStamped()
            pose.header.frame_id, pose.header.stamp = self._frame, now.to_msg()
            pose.pose.position.y, pose.pose.position.z = 0.6, 0.2
            pose.pose.orientation.w = 1.0
            self._poses.publish(pose)
        image = Image(width=64, height=48, step=192, encoding=self._encoding, data=self._pixels)
        stamp_ns = now.nanoseconds - int(self._image_age_s * NANOSECONDS)
        image.header.frame_id = 'camera'
        image.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
        self._images.publish(image)


class Controller(Node):
    """A ros2_control controller, as far as it can be seen."""

    def __init__(self, *, joints: list[str], profile: Any = qos.COMMAND, **options: Any) -> None:
        super().__init__('arm_controller', **options)
        self.fatal = ''
        self.declare_parameter('joints', joints)
        self.declare_parameter('interpolate_from_desired_state', True)
        self.create_subscription(JointTrajectory, '~/trajectory', print, profile)


JOINTS = [f'right_j{index}' for index in range(7)]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine have all the time that it needs to see the nodes."""
    monkeypatch.setattr(examination, 'DISCOVERY_S', PATIENCE_S)


def found(arm: ArmContract, **options: Any) -> dict[str, list[Finding]]:
    """Return what the doctor finds, by what it is about."""
    findings = examine(gather(arm, None, seconds=1.5, **options))
    return {f.about: [g for g in findings if g.about == f.about] for f in findings}


def faults(findings: dict[str, list[Finding]]) -> dict[str, str]:
    every = [finding for about in findings.values() for finding in about]
    return {f.about: f.found for f in every if f.level is Level.FAULT}


def test_a_healthy_arm_has_no_fault(host, arm) -> None:
    host((Driver, {}), (lambda **o: Controller(joints=JOINTS, **o), {}))
    findings = found(arm)
    assert faults(findings) == {}
    assert findings['joint_trajectory: joints'][0].found == '/arm_controller moves the same joints'
    assert findings['joint_states: publisher'][0].found == '/joint_states of /driver'
    assert findings['camera corner2: size'][0].found == '64 x 48'


def test_what_messages_say_is_checked(host, arm, monkeypatch) -> None:
    def seen(node: Node, inputs: Any, outputs: Any) -> bool:
        return discovered(node, inputs, [each for each in outputs if each.name != 'gripper'])

    discovered = examination._discovered
    # Nobody listens to the gripper's commands, ever.
    monkeypatch.setattr(examination, '_discovered', seen)

    def driver(**options: Any) -> Driver:
        return Driver(
            joints=lambda positions: positions | {'right_j2': float('nan')},
            frame='world',
            encoding='bgr8',
            image_age_s=30.0,
            listens=False,
            **options,
        )

    def controller(**options: Any) -> Controller:
        # It asks for messages from before it was there, which nobody keeps for it.
        return Controller(joints=[*JOINTS[:6], 'rail'], profile=qos.LATCHED, **options)

    host((driver, {}), (controller, {}))
    problems = faults(found(arm))
    assert {name: text for name, text in problems.items() if 'rate' in name}.keys() == {
        'camera corner2: rate'
    }
    assert '30' in problems['camera corner2: rate']
    assert 'right_j2 a position that is not finite' in problems['joint_states: content']
    assert "frame 'world', the arm's base frame is 'base'" in problems['ee_pose: content']
    assert 'sends bgr8, the arm contract says rgb8' in problems['camera corner2: image']
    assert 'transient local subscription' in problems['joint_trajectory: QoS']
    assert 'right_j5, rail; sent are right_j0' in problems['joint_trajectory: joints']
    assert problems['gripper: controller'].startswith('nobody listens on /gripper')
    assert len(problems) == 7


def test_who_publishes_is_checked(host, arm_file, tmp_path) -> None:
    def renamed(positions: dict[str, float]) -> dict[str, float]:
        return {name.replace('right_j0', 'right_j_0'): at for name, at in positions.items()}

    class Rival(Node):
        def __init__(self, **options: Any) -> None:
            super().__init__('teleop', **options)
            self.fatal = ''
            self.create_publisher(JointTrajectory, '/robot/arm_controller/trajectory', 1)
            self.create_publisher(JointState, '/robot/joint_states', 1)

    namespace = {'namespace': 'robot'}
    host(
        (lambda **o: Driver(joints=renamed, pose_type=Twist, **namespace, **o), {}),
        (lambda **o: Controller(joints=JOINTS, **namespace, **o), {}),
        (Rival, {}),
    )
    # In another process: one process cannot have a topic with two types.
    output = tmp_path / 'findings.json'
    process = start(
        '--arm', str(arm_file), '--namespace', 'robot', '--seconds', '1', '--json', str(output)
    )
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, errors
    problems = {
        finding['about']: finding['found']
        for finding in json.loads(output.read_text())
        if finding['level'] == 'fault'
    }
    assert problems['joint_states: publisher'] == (
        '/robot/joint_states has 2: /robot/driver, /teleop'
    )
    assert "lacks 'right_j0' (near: 'right_j_0')" in problems['joint_states: names']
    assert 'as geometry_msgs/msg/Twist, it must be' in problems['ee_pose: publisher']
    assert problems['joint_trajectory: publishers'] == (
        '/robot/arm_controller/trajectory is commanded by /teleop'
    )
    assert problems.keys() <= {
        'joint_states: publisher',
        'joint_states: names',
        'ee_pose: publisher',
        'ee_pose: rate',
        'joint_trajectory: publishers',
    }


def test_names_are_remapped_as_those_of_the_nodes(host, arm) -> None:
    host(
        (lambda **o: Driver(cli_args=['--ros-args', '-r', 'ee_pose:=/tip'], **o), {}),
        (lambda **o: Controller(joints=JOINTS, **o), {}),
    )
    findings = found(arm, ros_arguments=['-r', 'ee_pose:=/tip'])
    assert findings['ee_pose: publisher'][0].found == '/tip of /driver'


def test_a_policy_is_run() -> None:
    facts = try_policy('scripted', LOAD, execute_steps=5)
    assert facts.spec is not None
    assert (facts.error, facts.execute_steps, len(facts.inferences_s)) == ('', 5, 10)
    assert min(facts.inferences_s) > 0.0
    broken = try_policy('nowhere', LOAD)
    assert (broken.spec, "no directory 'nowhere'" in broken.error) == (None, True)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    program = 'import sys; from robomamba_ros.cli.main import main; sys.exit(main())'
    return subprocess.Popen(
        [sys.executable, '-c', program, 'doctor', *arguments],
        env={**os.environ, 'PYTHONPATH': str(SOURCE), 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_verb_reports_and_publishes_nothing(host, peer, arm_file, tmp_path) -> None:
    host((Driver, {}), (lambda **o: Controller(joints=JOINTS, **o), {}))
    output = tmp_path / 'findings.json'
    process = start(
        '--arm', str(arm_file), '--policy', 'hold', '--seconds', '1.5', '--json', output
    )
    peer.wait_for(lambda: 'doctor' in peer.node.get_node_names(), 'the doctor')
    seen = []

    def look() -> bool:
        if 'doctor' in peer.node.get_node_names():
            seen.append(dict(peer.node.get_publisher_names_and_types_by_node('doctor', '/')))
        return process.poll() is not None

    peer.wait_for(look, 'the doctor to end')
    table, errors = process.communicate()
    assert process.returncode == 0, table + errors
    assert table.splitlines()[-1].startswith('0 fault(s)')
    findings = json.loads(output.read_text())
    assert {f['level'] for f in findings} <= {'ok', 'note'}
    assert {'policy: time', 'joint_trajectory: joints'} <= {f['about'] for f in findings}
    # Every node of rclpy has this one.
    assert {name for publishers in seen for name in publishers} == {'/parameter_events'}


def test_a_fake_arm_is_healthy(peer, tmp_path) -> None:
    pytest.importorskip('pinocchio', reason='its pose needs Pinocchio: pip install pin')
    document = yaml.safe_load((share_directory() / 'config/arms/so101.yaml').read_text())
    for stream in (*document['inputs'].values(), *document['cameras']):
        stream['budget_s'] = 10.0
    path = tmp_path / 'so101.yaml'
    path.write_text(yaml.safe_dump(document))
    joints = peer.record(JointState, 'joint_states', qos.STATE)
    arguments = ['up', '--policy', 'scripted', '--arm', str(path), '--fake']
    with Host(node_factories(graph(vars(build_parser().parse_args(arguments))))):
        peer.wait_for(lambda: joints, 'the fake arm')
        findings = found(load_arm(str(path)))
    assert faults(findings) == {}
    notes = [f.about for every in findings.values() for f in every if f.level is Level.NOTE]
    # Its images are JPEG, and it has no action server.
    assert [each.split()[:2] for each in notes] == [
        ['camera', 'wrist:'],
        ['gripper:', 'controller'],
    ]


def test_the_verb_fails_on_a_fault_and_on_a_mistake(
    ros_environment, arm_file, monkeypatch, capsys
) -> None:
    # There is nobody to be seen.
    monkeypatch.setattr(examination, 'DISCOVERY_S', 0.0)
    assert main(['doctor', '--arm', str(arm_file), '--seconds', '0.2']) == 1
    assert 'nobody publishes /joint_states' in capsys.readouterr().out
    assert main(['doctor', '--arm', 'sawyer']) == 2
    assert capsys.readouterr().err.startswith("robomamba doctor: there is no 'sawyer'")
