"""Faults over real topics while the arm moves: it comes to rest within its limits, and says why.

`pytest --junit-xml` keeps how long each stop took (`time_to_rest_s`), and ROBOMAMBA_FUZZ sets how
many broken messages every input gets.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from support.fuzzed_messages import fuzzed
from support.made_arms import MADE
from support.made_robot import JOINTS, LOOK_S, PERIOD_NS, contract
from support.motion import STEPS, STREAM, WAY, Commands, arrive, go

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.conversions import time_message
from robomamba_ros.nodes.controller.controller_node import ControllerNode
from robomamba_ros.nodes.policy.policy_node import PolicyNode
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.types import ActionChunk, ActionSpace, Observation

SIZE = 16
FUZZED = int(os.environ.get('ROBOMAMBA_FUZZ', '1000'))


@pytest.fixture
def moving(start, peer) -> Callable[..., tuple[Any, Commands]]:
    """Start a robot and a controller, and return them with the commands once the arm moves."""

    def run(**parameters: Any) -> tuple[Any, Commands]:
        robot = start(STREAM, parameters=parameters)
        commands = Commands(robot)
        robot.ready()
        go(robot, commands)
        return robot, commands

    return run


def stops(
    robot: Any, commands: Commands, reason: str, since_ns: int, record: Callable[..., None]
) -> None:
    """Wait until the arm holds for this reason, and check how it came to rest."""
    robot.wait_for('reason', reason)
    robot.wait_for('state', 'holding')
    robot.peer.wait_for(lambda: commands.resting, 'the arm to rest')
    record('time_to_rest_s', round(commands.time_to_rest_s(since_ns), 3))
    commands.check()


def joints_stop(robot: Any) -> None:
    robot.silent = True


def joints_are_not_finite(robot: Any) -> None:
    robot.joints['joint3'] = math.nan


def a_joint_is_missing(robot: Any) -> None:
    del robot.joints['joint3']


def a_joint_comes_twice(robot: Any) -> None:
    robot.again = ['joint3']


def joints_have_other_names(robot: Any) -> None:
    robot.joints = {f'left_{name}': position for name, position in robot.joints.items()}


@pytest.mark.parametrize(
    'fault',
    [
        joints_stop,
        joints_are_not_finite,
        a_joint_is_missing,
        a_joint_comes_twice,
        joints_have_other_names,
    ],
)
def test_joints_that_cannot_be_trusted_stop_the_arm_until_it_is_enabled(
    moving, fault, record_property
) -> None:
    robot, commands = moving()
    joints, since = dict(robot.joints), robot.now_ns()
    fault(robot)
    stops(robot, commands, 'joint_states is late', since, record_property)
    assert robot.values()['reason'].endswith('enable to move again')

    robot.silent, robot.joints, robot.again = False, joints, []
    arrive(robot, commands)
    count = len(robot.diagnostics)
    robot.peer.wait_for(lambda: len(robot.diagnostics) > count + 2, 'two more diagnostics')
    assert robot.values()['state'] == 'holding'
    robot.enable()
    robot.wait_for('state', 'waiting')
    go(robot, commands)
    commands.check()


def joints_are_permuted(robot: Any) -> None:
    robot.joints = dict(sorted(robot.joints.items(), reverse=True))


def an_unknown_joint_comes(robot: Any) -> None:
    robot.joints = {'left_wheel': math.nan, **robot.joints}


def test_what_is_no_fault_stops_nothing(moving) -> None:
    robot, commands = moving()
    joints_are_permuted(robot)
    half = JOINTS[0] + STEPS * WAY / 2
    robot.peer.wait_for(lambda: commands.path[-1][0] > half, 'half of the way')
    an_unknown_joint_comes(robot)
    robot.wait_for('reason', 'action_chunk ran out')
    robot.peer.wait_for(lambda: commands.resting, 'the arm to rest')
    assert commands.path[-1][0] == pytest.approx(JOINTS[0] + STEPS * WAY, abs=0.05)
    assert np.array_equal(commands.path[-1][1:], JOINTS[1:])
    commands.check()


@pytest.mark.parametrize(
    ('jump_s', 'reason'), [(60.0, 'the clock went on by'), (-60.0, 'the clock went back by')]
)
def test_a_clock_that_jumps_stops_the_arm(moving, peer, jump_s, reason, record_property) -> None:
    robot, commands = moving()
    since = robot.now_ns()
    robot.set_clock_ahead(jump_s)
    stops(robot, commands, reason, since, record_property)
    assert robot.values()['reason'].endswith('enable to move again')
    arrive(robot, commands)
    # The way back is a jump too, so it is waited for before the arm is enabled.
    robot.set_clock_ahead(0.0)
    # Where the clock went back, no state was taken, and none has an age, until then.
    peer.wait_for(
        lambda: abs(float(robot.values().get('joint_states_age_s', math.inf))) < 1.0, 'the time'
    )
    robot.enable()
    robot.wait_for('reason', 'no action_chunk yet')
    go(robot, commands)
    commands.check()


class Seeing:
    """Turns joint1 for as long as it sees."""

    spec = PolicySpec(
        name='seeing',
        cameras=(CameraSpec('wrist', SIZE, SIZE),),
        state_names=('joint1',),
        action_space=ActionSpace.JOINT_DELTA,
        action_names=('joint1',),
        horizon=20,
        dt_ns=50_000_000,
        execute_steps=4,
    )

    def reset(self) -> None:
        pass

    def infer(self, observation: Observation) -> ActionChunk:
        actions = np.full((20, 1), WAY, dtype=np.float32)
        return ActionChunk(
            observation.stamp_ns, 50_000_000, actions, self.spec.action_space, ('joint1',)
        )


CAMERA = {'name': 'wrist', 'topic': 'wrist', 'encoding': 'rgb8', 'required': True, 'budget_s': 0.5}
IMAGE = {'height': SIZE, 'width': SIZE, 'encoding': 'rgb8', 'step': 3 * SIZE}


class Camera:
    """Sends an image every 50 ms of the robot's time, as `fields` say, less some bytes."""

    def __init__(self, robot: Any) -> None:
        self.fields, self.lacks, self.frozen = IMAGE, 0, False
        self._robot, self._sent_ns = robot, 0
        node = robot.peer.node
        self._publisher = node.create_publisher(Image, 'camera/wrist/image', qos.CAMERA)
        node.create_timer(LOOK_S, self._look)

    def _look(self) -> None:
        now_ns = self._robot.now_ns()
        if self.frozen or now_ns < self._sent_ns + 5 * PERIOD_NS:
            return
        self._sent_ns = now_ns
        message = Image(**self.fields)
        message.data = bytes(message.height * message.step - self.lacks)
        message.header.stamp = time_message(now_ns)
        self._publisher.publish(message)


def it_freezes(camera: Camera) -> None:
    camera.frozen = True


def its_colours_have_another_order(camera: Camera) -> None:
    camera.fields = {**IMAGE, 'encoding': 'bgr8'}


def it_has_another_size(camera: Camera) -> None:
    camera.fields = {**IMAGE, 'width': 2 * SIZE, 'step': 6 * SIZE}


def its_images_are_cut_off(camera: Camera) -> None:
    camera.lacks = 5


@pytest.mark.parametrize(
    ('fault', 'reason'),
    [
        (it_freezes, 'wrist is late'),
        (its_colours_have_another_order, 'bgr8'),
        (it_has_another_size, "camera 'wrist' gives (16, 32, 3)"),
        (its_images_are_cut_off, 'bytes'),
    ],
)
def test_a_camera_that_fails_stops_the_arm_until_it_is_enabled(
    host, start, peer, tmp_path, fault, reason, record_property
) -> None:
    # The policy's chunks are the only ones: a second publisher of them keeps the arm disabled.
    robot = start(STREAM, cameras=[CAMERA], sends_chunks=False)
    parameters = {'checkpoint': str(tmp_path), 'instruction': 'go', 'use_sim_time': True}
    host(
        (
            partial(PolicyNode, load=lambda *_: Seeing()),
            {'arm': str(tmp_path / 'made.yaml'), **parameters},
        )
    )
    commands, camera = Commands(robot), Camera(robot)
    robot.ready()
    peer.wait_for(lambda: commands.moving, 'the arm to move')
    since = robot.now_ns()
    fault(camera)
    stops(robot, commands, 'no newer chunk has come', since, record_property)

    def told() -> bool:
        statuses = [s for m in robot.diagnostics for s in m.status if s.name == 'policy_node']
        return any(reason in value.value for s in statuses for value in s.values)

    peer.wait_for(told, f'the policy to say: {reason}')
    camera.fields, camera.lacks, camera.frozen = IMAGE, 0, False
    arrive(robot, commands)
    robot.enable()
    peer.wait_for(lambda: commands.moving, 'the arm to move again')
    commands.check()


@pytest.mark.parametrize(
    ('make', 'parameters'),
    [(ControllerNode, {'enabled': True}), (partial(PolicyNode, load=lambda *_: Seeing()), {})],
    ids=['controller_node', 'policy_node'],
)
def test_messages_of_any_content_break_nothing(peer, alone, tmp_path, make, parameters) -> None:
    made = MADE['mobile']
    camera = {**CAMERA, 'depth_topic': 'depth', 'info_topic': 'info'}
    contract(tmp_path, made.document()['outputs'], made, cameras=[camera])
    parameters = {**parameters, 'arm': str(tmp_path / 'made.yaml')}
    if make is not ControllerNode:
        parameters['checkpoint'] = str(tmp_path)
    node = alone(make, **parameters)
    peer.also_spin(node)
    peer.wait_for(lambda: len(list(node.subscriptions)) > 3, 'the inputs')
    draw = random.Random(0)
    inputs = [each for each in node.subscriptions if each.topic_name != '/parameter_events']
    timers = list(node.timers)
    assert len(inputs) >= 4
    for count in range(FUZZED):
        for each in inputs:
            message = fuzzed(each.msg_type, draw)
            if each.raw:
                data = serialize_message(message)
                message = data[: draw.choice((len(data), draw.randint(0, len(data))))]
            each.callback(message)
        if count % 10 == 0:
            for timer in timers:
                timer.callback()
