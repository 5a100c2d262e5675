"""Every shipped arm over DDS: the controller drives a fake one, which measures what it is told.

Time is simulated and waits for every command, so that what is measured does not depend on how
fast this machine is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from robomamba_ros.bringup import NodeSpec, PolicyOptions, fake_graph
from robomamba_ros.nodes import qos
from robomamba_ros.nodes.chunk_messages import chunk_to_messages
from robomamba_ros.nodes.conversions import time_message
from robomamba_ros.nodes.graph import make_node
from robomamba_ros.nodes.host import Host
from robomamba_ros.resources import share_directory
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.limit_record import ROUNDING
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

FOLDER = share_directory() / 'config' / 'arms'
# sawyer_sim is a simulator's, and has limits to match.
ARMS = sorted(path.stem for path in FOLDER.glob('*.yaml') if path.stem != 'sawyer_sim')
STEP_NS = 20_000_000
RESEND_S = 0.5
# In simulated time, for the slowest of the arms.
REST_S = 8.0
# The limits of a base hold in the frame of the odometry, and it brakes by its last heading in it.
HEADING = 0.005


class Rig:
    """A fake arm and its controller in simulated time, which advances period by period."""

    def __init__(self, peer: Any, name: str) -> None:
        self.arm = load_arm(name)
        self.kinematics = Kinematics(self.arm, made_up_urdf(self.arm))
        self._peer = peer
        self._now_ns = 1000 * NANOSECONDS
        self._commanded = False
        robot, controller, _ = fake_graph(PolicyOptions('hold', arm=name, use_sim_time=True))
        # Time reaches the arm first: a command that overtook it would be one of the period before.
        remappings = {**controller.remappings, '/clock': '/controller_clock'}
        controller = replace(controller, remappings=remappings)
        small = {'camera_width': 32, 'camera_height': 32, 'camera_rate': 1.0}
        robot = replace(robot, parameters={**robot.parameters, **small})
        self._made: dict[str, Any] = {}
        node = peer.node
        self._clock, self._controller_clock = (
            node.create_publisher(Clock, topic, qos.CLOCK)
            for topic in ('/clock', '/controller_clock')
        )
        self._chunks = (
            node.create_publisher(MultiDOFJointTrajectory, 'action_chunk', qos.COMMAND),
            node.create_publisher(JointTrajectory, 'joint_chunk', qos.COMMAND),
        )
        self.host = Host([partial(self._make, spec) for spec in (robot, controller)])

    def _make(self, spec: NodeSpec) -> Any:
        made = self._made[spec.name] = make_node(spec)
        return made

    @property
    def fake(self) -> FakeArm:
        return self._made['fake_arm_node'].fake

    @property
    def sent(self) -> dict[str, int]:
        """The commands that the controller has sent, by part."""
        values = self._made['controller_node'].report().values
        return {output.part: values[f'{output.name}_count'] for output in self.arm.outputs}

    @property
    def settled(self) -> bool:
        """Whether the fake arm has every command, and the controller the state of now."""
        taken = self._made['fake_arm_node'].inputs.taken
        age_s = self._made['controller_node'].report().values.get('joint_states_age_s')
        return age_s == 0.0 and all(taken[part] == count for part, count in self.sent.items())

    @property
    def speed(self) -> float:
        """Of the fastest joint [rad/s or m/s]."""
        return float(np.abs(list(self.fake.velocities.values())).max())

    @property
    def periods(self) -> int:
        """The commands of the last output: there is one in every period, after the others."""
        return self.sent[self.arm.outputs[-1].part]

    def start(self) -> None:
        """Enable the controller, and go on until it commands the arm."""
        self._peer.wait_for(
            lambda: getattr(self._made.get('fake_arm_node'), 'fake', None) is not None, 'the arm'
        )
        self._tick()
        self._peer.wait_for(self._enabled, 'the controller to be active')
        for publisher in self._chunks:
            self._peer.wait_for(lambda p=publisher: p.get_subscription_count(), 'the chunk input')
        self._peer.wait_for(self._commands, 'the first command')
        # It has answered, so no tick of a period before is under way.
        assert self._enabled()
        self._commanded = True

    def _enabled(self) -> bool:
        request = SetBool.Request(data=True)
        return self._peer.call(SetBool, 'controller_node/enable', request).success

    def _commands(self) -> bool:
        self._tick()
        return self.periods > 0

    def _tick(self, over: Callable[[], bool] = lambda: False) -> None:
        """Advance by a period, and wait until it is commanded and the command has arrived.

        over: whether the controller has stopped commanding instead.
        """
        before = self.periods if self._commanded else 0
        self._now_ns += self.arm.period_ns
        sent_s = 0.0

        def tell(clock: Any) -> None:
            nonlocal sent_s
            if time.monotonic() > sent_s + RESEND_S:
                sent_s = time.monotonic()
                clock.publish(Clock(clock=time_message(self._now_ns)))

        def arrived() -> bool:
            tell(self._clock)
            return self.fake.now_ns == self._now_ns

        def commanded() -> bool:
            tell(self._controller_clock)
            return not self._commanded or over() or (self.periods > before and self.settled)

        self._peer.wait_for(arrived, 'the time to pass', every_s=1e-3)
        sent_s = 0.0
        self._peer.wait_for(commanded, 'the command of a period', every_s=1e-3)

    def send(self, actions: Any, names: tuple[str, ...], space: ActionSpace) -> None:
        """Send a chunk of now; time stands still until it is followed."""
        chunk = ActionChunk(self._now_ns, STEP_NS, np.asarray(actions), space, names)
        messages = chunk_to_messages(chunk, self.arm.base_frame)
        for publisher, message in zip(self._chunks, messages, strict=True):
            publisher.publish(message)
        controller = self._made['controller_node']
        self._peer.wait_for(lambda: controller.report().message == 'tracking', 'the chunk')

    def run(self, seconds: float) -> dict[str, float]:
        """Run on; return how far each joint came from where it was [rad or m]."""
        start = np.array(list(self.fake.positions.values()))
        reach = np.zeros_like(start)
        for _ in range(round(seconds * self.arm.control_rate_hz)):
            self._tick()
            reach = np.maximum(reach, np.abs(list(self.fake.positions.values()) - start))
        return dict(zip(self.fake.positions, reach, strict=True))

    def reset(self) -> None:
        """Reset the controller; go on until the arm is at rest and it has started again."""
        assert self._peer.call(Trigger, 'controller_node/reset', Trigger.Request()).success

        def over() -> bool:
            return self._made['controller_node'].report().message != 'stopping: reset'

        assert not over()
        while not over():
            self._tick(over)
        self._commanded = False
        before = self.periods
        while self.periods == before:
            self._tick()
        self._commanded = True

    def run_to_rest(self) -> None:
        """Run until every joint stands still for ten periods."""
        still = 0
        for _ in range(round(REST_S * self.arm.control_rate_hz)):
            self._tick()
            still = 0 if self.speed > 1e-9 else still + 1
            if still == 10:
                return
        raise AssertionError(f'after {REST_S} s still moving: {self.fake.velocities}')

    def position(self) -> np.ndarray:
        """Return where the end effector is (3,) [m]."""
        joints = [self.fake.positions[name] for name in self.kinematics.names]
        return self.kinematics.forward(np.array(joints)).position

    def check(self) -> None:
        """Hold that nothing was commanded beyond a limit, and nothing refused."""
        exceeded = {
            (part, quantity): peak
            for part, peaks in self.fake.peaks.items()
            for quantity, peak in peaks.items()
            if peak.share > 1.0 + (HEADING if part == 'base' else ROUNDING)
        }
        assert exceeded == {}
        assert self._made['fake_arm_node'].inputs.refusal == {}
        assert self.host.failures == []


@pytest.fixture
def rig(peer) -> Iterator[Callable[[str], Rig]]:
    rigs: list[Rig] = []

    def start(name: str) -> Rig:
        rigs.append(Rig(peer, name))
        rigs[-1].start()
        return rigs[-1]

    yield start
    for each in rigs:
        each.host.stop()


def swing(arm) -> np.ndarray:
    """Return deltas (100, n) that take every joint out and back in 2 s, well within its limits."""
    times = np.linspace(0.0, 2.0, 101)
    most = [
        min(0.4 * joint.velocity / (np.pi / 2), 0.4 * joint.acceleration / (np.pi**2 / 2))
        for joint in arm.joints
    ]
    sign = np.where(np.arange(len(most)) % 2, -1.0, 1.0)
    path = 0.5 * (1.0 - np.cos(np.pi * times))[:, None] * (sign * most)
    return np.diff(path, axis=0)


def reverse(arm) -> np.ndarray:
    """Return deltas (40, n) that reverse from one step to the next, at most of the full speed."""
    speed = np.array([joint.velocity for joint in arm.joints])
    sign = np.where(np.arange(len(speed)) % 2, -1.0, 1.0)
    there = np.tile(0.7 * sign * speed * STEP_NS / NANOSECONDS, (20, 1))
    return np.vstack([there, -there])


def lift(driven: Rig) -> None:
    """Move the end effector up by 4 cm, and hold that it went there."""
    begin = driven.position()
    steps = np.diff(0.02 * (1.0 - np.cos(np.pi * np.linspace(0.0, 1.0, 101))))
    driven.send(steps[:, None], ('ee_dz',), ActionSpace.EE_DELTA)
    driven.run(2.0)
    driven.run_to_rest()
    np.testing.assert_allclose(driven.position() - begin, [0.0, 0.0, 0.04], atol=2e-3)


def drive(driven: Rig, actions: np.ndarray) -> dict[str, float]:
    """Run joint deltas and close the gripper; return how far each joint came."""
    names = tuple(joint.name for joint in driven.arm.joints)
    with_gripper = np.column_stack([actions, np.zeros(len(actions))])
    driven.send(with_gripper, (*names, 'gripper'), ActionSpace.JOINT_DELTA)
    reach = driven.run(len(actions) * STEP_NS / NANOSECONDS)
    driven.run_to_rest()
    gripper = driven.arm.gripper
    assert driven.fake.positions[gripper.joint] == pytest.approx(gripper.closed_position)
    return reach


def variant(folder: Path, name: str, outputs: list[tuple[str, str]]) -> str:
    """Write a shipped contract with other controllers; the last one is sent to all the time."""
    document = yaml.safe_load((FOLDER / f'{name}.yaml').read_text())
    document['outputs'] = [
        {'part': part, 'kind': kind, 'topic': f'{part}_commands'}
        | ({'stamped': part == 'arm'} if kind == 'twist' else {})
        for part, kind in outputs
    ]
    path = folder / f'{name}.yaml'
    path.write_text(yaml.safe_dump(document))
    return str(path)


JOINTS = {
    **{name: (name, None) for name in ARMS},
    'forward': ('ur5e', [('arm', 'forward_position'), ('gripper', 'forward_position')]),
    'no twist': (
        'hsr',
        [
            ('base', 'joint_trajectory'),
            ('arm', 'joint_trajectory'),
            ('gripper', 'joint_trajectory'),
            ('head', 'forward_position'),
        ],
    ),
}


@pytest.mark.parametrize('case', JOINTS)
def test_chunks_move_every_arm_within_all_of_its_limits(rig, tmp_path, case) -> None:
    name, outputs = JOINTS[case]
    driven = rig(variant(tmp_path, name, outputs) if outputs else name)
    lift(driven)
    driven.check()
    actions = swing(driven.arm)
    reach = drive(driven, actions)
    asked = np.abs(actions.cumsum(axis=0)).max(axis=0)
    for joint, way in zip(driven.arm.joints, asked, strict=True):
        assert reach[joint.name] == pytest.approx(way, rel=0.1, abs=0.01)
    driven.check()


@pytest.mark.parametrize('kind', ['target_pose', 'twist'])
def test_an_arm_that_takes_poses_or_twists_is_moved_within_its_cartesian_limits(
    rig, tmp_path, kind
) -> None:
    driven = rig(variant(tmp_path, 'franka_fr3', [('gripper', 'joint_state'), ('arm', kind)]))
    lift(driven)
    driven.check()
    assert driven.fake.peaks['arm']['velocity'].value == pytest.approx(0.0314, rel=0.1)


def test_a_stream_keeps_the_limits_whatever_is_asked(rig, tmp_path) -> None:
    driven = rig(variant(tmp_path, *JOINTS['forward']))
    drive(driven, reverse(driven.arm))
    driven.check()
    assert driven.fake.peaks['arm']['jerk'].share > 0.99


@pytest.mark.parametrize('name', ARMS)
def test_ways_that_replace_one_another_keep_every_limit(rig, name) -> None:
    driven = rig(name)
    names = tuple(joint.name for joint in driven.arm.joints)
    for sign in (1.0, -1.0, 1.0):
        driven.send(sign * reverse(driven.arm), names, ActionSpace.JOINT_DELTA)
        driven.run(0.3)
    for _ in range(20):
        if driven.speed > 0.05:
            break
        driven.run(driven.arm.period_ns / NANOSECONDS)
    assert driven.speed > 0.05
    # A reset comes to rest on the way, and what it starts from is where that is.
    driven.reset()
    driven.run_to_rest()
    driven.check()
    assert driven.sent['arm'] >= 5
    assert driven.fake.peaks['arm']['acceleration'].share > 0.9
