"""A controller_node and a fake_arm_node over DDS, in simulated time that waits for every command.

What is measured does not depend on how fast a machine is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool, Trigger
from support.patience import wait_until
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from robomamba_ros.bringup.graph import NodeSpec, PolicyOptions, fake_graph
from robomamba_ros.common.resources import share_directory
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.chunk_messages import chunk_to_messages
from robomamba_ros.nodes.common.conversions import time_message
from robomamba_ros.nodes.common.host import Host
from robomamba_ros.nodes.graph import make_node
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.simulation.fake_arm import FakeArm
from robomamba_ros.simulation.limit_record import ROUNDING
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace

FOLDER = share_directory() / 'config' / 'arms'
STEP_NS = 20_000_000
RESEND_S = 0.5
# In simulated time, for the slowest of the arms.
REST_S = 8.0


class DdsBench:
    """A fake arm and its controller in simulated time, which advances period by period.

    disagree: how the arm is not where it is told to be. hears: whether the controller listens to
    what the robot says of itself, as its speed scaling.
    """

    def __init__(self, peer: Any, name: str, disagree: str = '', *, hears: bool = False) -> None:
        self.arm = load_arm(name)
        self.kinematics = Kinematics(self.arm, made_up_urdf(self.arm))
        self._peer = peer
        self._now_ns = 1000 * NANOSECONDS
        self._commanded, self._hears = False, hears
        options = PolicyOptions('hold', arm=name, use_sim_time=True)
        robot, controller, _ = fake_graph(options, disagree)
        # Time reaches the arm first: a command that overtook it would be one of the period before.
        remappings = {**controller.remappings, '/clock': '/controller_clock'}
        parameters = {**controller.parameters, 'interlocks': hears}
        controller = replace(controller, remappings=remappings, parameters=parameters)
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
        counts = self._made['controller_node']._outputs.counts
        return {output.part: counts[output.name] for output in self.arm.outputs}

    @property
    def settled(self) -> bool:
        """Whether the fake arm has every command, and the controller the state of now."""
        controller = self._made['controller_node']
        age_s = controller._loop.ages_s(controller._now_ns()).get('joint_states')
        return age_s == 0.0 and self._arrived

    @property
    def _arrived(self) -> bool:
        """Whether the fake arm has every command."""
        inputs = self._made['fake_arm_node'].inputs
        taken = inputs.taken + inputs.refused
        return all(taken[part] == count for part, count in self.sent.items())

    @property
    def _ticks(self) -> tuple[object, int]:
        """Another one after each control period of the controller."""
        ticks = self._made['controller_node']._measured.ticks
        return ticks, ticks._count

    @property
    def status(self) -> str:
        """State and reason of the controller."""
        # Its whole report takes longer than a period, and this is asked many times in one.
        status = self._made['controller_node']._loop.status
        return f'{status.state.value}: {status.reason}' if status.reason else status.state.value

    def tell(self, service: str, happens: bool) -> None:
        """Let something begin or end at the arm, by its service; time stands still."""
        request = SetBool.Request(data=happens)
        assert self._peer.call(SetBool, f'fake_arm_node/{service}', request).success

    def happen(self, service: str) -> None:
        """Let something happen to the arm once, by its service; time stands still."""
        assert self._peer.call(Trigger, f'fake_arm_node/{service}', Trigger.Request()).success

    def slide(self, share: float) -> None:
        """Put the speed slider of the arm elsewhere, 0..1; go on until the controller knows."""
        parameter = Parameter('speed_scaling', value=share).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        (result,) = self._peer.call(SetParameters, 'fake_arm_node/set_parameters', request).results
        assert result.successful
        for _ in range(round(REST_S * self.arm.control_rate_hz)):
            if abs(self._scale - share) < 1e-6:
                return
            self._tick()
        raise AssertionError(f'after {REST_S} s the controller has not heard of {share}')

    @property
    def _scale(self) -> float:
        """At which speed the arm's time goes on by what the controller knows."""
        time, later_ns = self._made['controller_node']._loop.clock.time, self._now_ns + NANOSECONDS
        return (time.at(later_ns + NANOSECONDS) - time.at(later_ns)) / NANOSECONDS

    def enable(self) -> None:
        """Enable the controller again, and go on until it commands the arm."""
        self._commanded = False
        before = self.periods
        assert self._enabled()
        while self.periods == before:
            self._tick()
        self._commanded = True

    def run_until(self, state: str) -> None:
        """Run until the status of the controller begins with `state`."""
        for _ in range(round(REST_S * self.arm.control_rate_hz)):
            if self.status.startswith(state):
                return
            self._tick(lambda: self.status.startswith(state))
        raise AssertionError(f'after {REST_S} s not {state}: {self.status}')

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
        self._peer.wait_for(self._becomes_enabled, 'the controller to be active')
        for publisher in self._chunks:
            self._peer.wait_for(lambda p=publisher: p.get_subscription_count(), 'the chunk input')
        wait_until(self._commands, 'the first command')
        # It has answered, so no tick of a period before is under way.
        assert self._enabled()
        self._commanded = True

    def _becomes_enabled(self) -> bool:
        """Enable; what the arm says of itself it says as time goes on."""
        if self._hears:
            self._tick()
        return self._enabled()

    def refusal(self) -> str:
        """Enable the controller; return why it refuses, '' where it does not."""
        request = SetBool.Request(data=True)
        answer = self._peer.call(SetBool, 'controller_node/enable', request)
        return '' if answer.success else answer.message

    def _enabled(self) -> bool:
        return self.refusal() == ''

    def _commands(self) -> bool:
        self._tick()
        return self.periods > 0

    def _tick(self, over: Callable[[], bool] = lambda: False) -> None:
        """Advance by a period, and wait until it is commanded and the command has arrived.

        over: whether the controller has stopped commanding instead.
        """
        before, ticks = (self.periods, self._ticks) if self._commanded else (0, None)
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
            if not self._commanded or (self.periods > before and self.settled):
                return True
            # A command that came after the next period had begun would be one that is late.
            return over() and self._ticks != ticks and self._arrived

        wait_until(arrived, 'the time to pass')
        sent_s = 0.0
        wait_until(commanded, 'the command of a period')

    def send(self, actions: Any, names: tuple[str, ...], space: ActionSpace) -> None:
        """Send a chunk of now; time stands still until it is followed."""
        chunk = ActionChunk(self._now_ns, STEP_NS, np.asarray(actions), space, names)
        messages = chunk_to_messages(chunk, self.arm.base_frame)
        for publisher, message in zip(self._chunks, messages, strict=True):
            publisher.publish(message)
        wait_until(lambda: self.status == 'tracking', 'the chunk')

    def run(self, seconds: float, *, held: bool = False) -> dict[str, float]:
        """Run on; return how far each joint came from where it was [rad or m].

        held: whether the controller may command nothing.
        """
        start = np.array(list(self.fake.positions.values()))
        reach = np.zeros_like(start)
        for _ in range(round(seconds * self.arm.control_rate_hz)):
            self._tick(lambda: held)
            reach = np.maximum(reach, np.abs(list(self.fake.positions.values()) - start))
        return dict(zip(self.fake.positions, reach, strict=True))

    def reset(self) -> None:
        """Reset the controller; go on until the arm is at rest and it has started again."""
        assert self._peer.call(Trigger, 'controller_node/reset', Trigger.Request()).success

        def over() -> bool:
            return self.status != 'resetting: reset'

        assert not over()
        while not over():
            self._tick(over)
        self._commanded = False
        # The end of a stop is sent, too; it starts once it has measured the arm at rest.
        before = self.periods
        while self.periods == before or self.status != 'waiting: no action_chunk yet':
            before = self.periods
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

    def check(self, *, stopped: bool = False) -> None:
        """Hold that nothing was commanded beyond a limit, and nothing refused.

        stopped: whether the controllers were, who then refuse what they are sent.
        """
        exceeded = {
            (part, quantity): peak
            for part, peaks in self.fake.peaks.items()
            for quantity, peak in peaks.items()
            if peak.share > 1.0 + ROUNDING
        }
        assert exceeded == {}, exceeded
        assert stopped or self._made['fake_arm_node'].inputs.refusal == {}
        assert self.host.failures == []


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
