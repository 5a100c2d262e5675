"""In lockstep the order in which messages arrive does not change one bit of the commands."""

from __future__ import annotations

import random
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.control.policy.policy_loop import PolicyLoop
from robomamba_ros.control.setpoints.lockstep import LockstepGate, LockstepStep
from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import ActionChunk, ActionSpace, Pose, RobotState

ARM = load_arm('sawyer_sim')
DT = ARM.period_ns
START_NS = 7_000_000_000
EXECUTE = 4
SPEC = PolicySpec(
    name='toy',
    cameras=(CameraSpec('corner2', 2, 2),),
    state_names=('ee_x', 'ee_y', 'ee_z', 'gripper'),
    action_space=ActionSpace.EE_DELTA,
    action_names=('ee_dx', 'ee_dy', 'ee_dz', 'gripper'),
    horizon=10,
    dt_ns=DT,
    execute_steps=EXECUTE,
)


class ChaoticPolicy:
    """Chunks that depend on every bit of the observation, and on the order of the inferences."""

    spec = SPEC

    def __init__(self):
        self.count = 0

    def reset(self):
        self.count = 0

    def infer(self, observation):
        self.count += 1
        seen = np.concatenate([observation.state, observation.previous_state]).tobytes()
        seed = np.frombuffer(seen + observation.images['corner2'].tobytes(), np.uint8)
        generator = np.random.default_rng([self.count, *seed.tolist()])
        actions = generator.choice([-0.01, 0.0, 0.01, 0.003], (SPEC.horizon, 4))
        return ActionChunk(observation.stamp_ns, DT, actions, SPEC.action_space, SPEC.action_names)


class Sluggish:
    """A simulated arm that goes part of the way to each target."""

    def __init__(self):
        self.position = np.array([0.0, 0.6, 0.2])
        self.steps = 0

    def step(self, setpoint):
        self.position = self.position + 0.7 * (setpoint.pose.position - self.position)
        self.steps += 1

    @property
    def now_ns(self):
        return START_NS + self.steps * DT

    def state(self):
        return RobotState(self.now_ns, Pose(self.position, np.array([0, 0, 0, 1.0])), 0.5)

    def image(self):
        return np.full((2, 2, 3), self.steps % 251, np.uint8)


def controller():
    loop = SetpointLoop(ARM, supervised=False)
    loop.enable(True)
    return loop


def policy_side():
    buffer = ObservationBuffer(SPEC, {'corner2': 0.5}, ARM.budgets_s)
    buffer.set_instruction('push')
    return buffer, PolicyLoop(ChaoticPolicy(), buffer, execute_steps=EXECUTE)


def commands_in_process(steps):
    sim, loop, (buffer, policy) = Sluggish(), controller(), policy_side()
    commands = []
    for _ in range(steps):
        now_ns = sim.now_ns
        loop.update_state(sim.state())
        buffer.add_state(sim.state())
        buffer.add_image('corner2', now_ns, sim.image())
        if policy.due(now_ns):
            loop.add_chunk(policy.infer(now_ns), now_ns)
        setpoint = loop.tick(now_ns)
        commands.append(setpoint)
        sim.step(setpoint)
    return commands


def commands_by_messages(steps, chance):
    """Run the same parts as nodes do: messages keep their order within a topic, and only there."""
    sim, loop, (buffer, policy) = Sluggish(), controller(), policy_side()
    gate = LockstepGate(EXECUTE)
    commands = []
    topics = ('state to controller', 'state to policy', 'image to policy', 'chunk', 'command')
    in_flight = {topic: deque() for topic in topics}

    def publish():
        in_flight['state to controller'].append(sim.state())
        in_flight['state to policy'].append(sim.state())
        in_flight['image to policy'].append((sim.now_ns, sim.image()))

    publish()
    while len(commands) < steps:
        waiting = [topic for topic in topics if in_flight[topic]]
        if not waiting or chance.random() < 0.1:
            # The simulation repeats its observation while it waits for the command.
            publish()
            continue
        topic = chance.choice(waiting)
        message = in_flight[topic].popleft()
        if topic == 'command' and message.stamp_ns == sim.now_ns:
            commands.append(message)
            sim.step(message)
            publish()
        elif topic == 'chunk':
            gate.add_chunk(message)
        elif topic == 'state to controller':
            loop.update_state(message)
            gate.add_state(message.stamp_ns)
        elif topic == 'state to policy':
            buffer.add_state(message)
        elif topic == 'image to policy':
            buffer.add_image('corner2', *message)
        if policy.due(sim.now_ns):
            in_flight['chunk'].append(policy.infer(sim.now_ns))
        step = gate.release()
        if step is not None:
            if step.chunk is not None:
                loop.add_chunk(step.chunk, step.stamp_ns)
            in_flight['command'].append(loop.tick(step.stamp_ns))
    return commands


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_any_order_of_messages_gives_the_commands_of_one_process(seed):
    expected = commands_in_process(25)
    actual = commands_by_messages(25, random.Random(seed))
    for one, other in zip(expected, actual, strict=True):
        assert one.stamp_ns == other.stamp_ns
        assert np.array_equal(one.pose.position, other.pose.position)
        assert one.gripper == other.gripper


def chunk(stamp_ns):
    return ActionChunk(stamp_ns, DT, np.zeros((10, 1)), ActionSpace.EE_DELTA, ('ee_dx',))


@pytest.mark.parametrize('chunk_first', [True, False])
def test_the_first_step_waits_for_both_state_and_chunk(chunk_first):
    gate = LockstepGate(EXECUTE)
    first = chunk(START_NS)
    calls = [lambda: gate.add_state(START_NS), lambda: gate.add_chunk(first)]
    for call in reversed(calls) if chunk_first else calls:
        assert gate.release() is None
        call()
    assert gate.release() == LockstepStep(START_NS, first)
    assert gate.release() is None


def test_steps_run_freely_until_the_next_chunk_is_due():
    gate = LockstepGate(EXECUTE)
    gate.add_chunk(chunk(START_NS))
    released = []
    for step in range(EXECUTE + 1):
        gate.add_state(START_NS + step * DT)
        released.append(gate.release() is not None)
    assert released == [True] * EXECUTE + [False]
    due = chunk(START_NS + EXECUTE * DT)
    gate.add_chunk(due)
    assert gate.release() == LockstepStep(START_NS + EXECUTE * DT, due)


def test_a_repeated_state_is_released_again_without_its_chunk_and_a_passed_one_is_not():
    gate = LockstepGate(EXECUTE)
    gate.add_chunk(chunk(START_NS))
    for step in (0, 1):
        gate.add_state(START_NS + step * DT)
        gate.release()
    gate.add_state(START_NS + DT)
    gate.add_chunk(chunk(START_NS))
    assert gate.release() == LockstepStep(START_NS + DT, None)
    gate.add_state(START_NS)
    assert gate.release() is None


def test_after_a_reset_the_next_state_needs_a_chunk_of_its_own():
    gate = LockstepGate(EXECUTE)
    gate.add_chunk(chunk(START_NS))
    gate.add_state(START_NS)
    gate.release()
    gate.reset()
    gate.add_state(START_NS + DT)
    assert gate.release() is None
    gate.add_chunk(chunk(START_NS + DT))
    assert gate.release() is not None
